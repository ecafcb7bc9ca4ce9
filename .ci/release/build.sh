#!/bin/sh
# Builds what a release has, into dist/release/VERSION: `make release`. docs/releasing.md has the list, and
# how each file can be built again. TIERGATE_BUILD is the commit; RELEASE_DOCS comes before links of the notes.
# What a machine can't build is said and left out; with RELEASE_STRICT=1 that is an error at the end.
set -eu
cd "$(dirname "$0")/../.."
here=.ci/release
tools=$PWD/.tools
work=target/release-files
version=$(sed -nE 's/^version = "(.*)"$/\1/p' Cargo.toml | head -n 1)
out=dist/release/$version
# The oldest glibc that the command line asks for: that of Debian 10 and RHEL 8.
glibc=2.28
module_target=wasm32-wasip1

# As the Makefile maps them for the module.
remap_crates=--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=crates
remap_clone=--remap-path-prefix=$PWD=tiergate
# The SBOM has it as its time.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
ZIG_GLOBAL_CACHE_DIR=$PWD/$work/zig
export SOURCE_DATE_EPOCH ZIG_GLOBAL_CACHE_DIR

problems=""
problem() {
  echo "make release: $1" >&2
  problems="$problems$1
"
}

check_source() {
  [ -z "$(git status --porcelain)" ] || problem "NOT REPRODUCIBLE: commit $TIERGATE_BUILD lacks changes of this tree"
  grep -q "^## $version\b" docs/CHANGELOG.md || return 0
  sh $here/notes.sh docs/CHANGELOG.md Unreleased | grep '^- ' | grep -qv '^- Nothing yet' || return 0
  problem "INCOMPLETE NOTES: docs/CHANGELOG.md has changes under Unreleased, beside those of $version"
}

have_zig() {
  "$tools/bin/python" -m pip install --quiet --disable-pip-version-check -r $here/requirements.txt &&
    "$tools/bin/cargo-zigbuild" --version >/dev/null
}

# The command line for the processor $1, which is called $2 in the file's name. Zig compiles the C of ring.
cross_build() {
  target=$1-unknown-linux-gnu
  rustup target list --installed | grep -qx "$target" || rustup target add "$target" || return 1
  RUSTFLAGS="$remap_crates $remap_clone" PATH=$tools/bin:$PATH "$tools/bin/cargo-zigbuild" zigbuild --locked \
    --release --bin tiergate --features cli,fleet --target "$target.$glibc" --target-dir $work || return 1
  cp "$work/$target/release/tiergate" "$out/tiergate-linux-$2"
}

# Without Zig: this machine's own processor, linker and glibc.
native_build() {
  target=$1-unknown-linux-gnu
  [ "$(rustc -vV | sed -n 's/^host: //p')" = "$target" ] || return 1
  RUSTFLAGS="$remap_crates $remap_clone" cargo build --locked --release --bin tiergate --features cli,fleet \
    --target "$target" --target-dir $work || return 1
  cp "$work/$target/release/tiergate" "$out/tiergate-linux-$2"
  problem "NOT PORTABLE: tiergate-linux-$2 needs this machine's glibc or a newer one"
}

build_cli() {
  if [ -n "$zig" ] && cross_build "$1" "$2"; then return; fi
  native_build "$1" "$2" || problem "NOT BUILT: tiergate-linux-$2, since this machine has no compiler for $1"
}

# What cargo-cyclonedx $1 finds under a target and features, without the dependencies of tests.
bill() {
  name=$1
  shift
  "$tools/bin/cargo-cyclonedx" cyclonedx --quiet --format json --spec-version 1.5 \
    --override-filename "$name.cdx" "$@"
  # The folder of this clone is no part of a release.
  sed "s|path+file://$PWD|path+file:///tiergate|g" "$name.cdx.json" >"$out/$name.cdx.json"
  rm "$name.cdx.json"
}

write_notes() {
  digest() { sed -nE "s/^$1 +(sha256:[0-9a-f]+) .*/\1/p" "$work/image.txt"; }
  sh $here/notes.sh docs/CHANGELOG.md "$version" "${RELEASE_DOCS:-}" >"$out/RELEASE_NOTES.md"
  printf '\n### Digests\n\n- image, to pin in oci://: %s\n- module, for code.remote: %s\n- built with %s\n' \
    "$(digest manifest)" "$(digest module)" "$(rustc --version)" >>"$out/RELEASE_NOTES.md"
}

rm -rf "$out"
mkdir -p "$out" $work
check_source
cp dist/tiergate.wasm "$out/"
cargo run --locked --quiet --example oci-image -- "$out/tiergate.wasm" "$out/tiergate.oci.tar" >"$work/image.txt"
zig=$(have_zig >&2 && echo yes) || zig=""
build_cli x86_64 x86_64
build_cli aarch64 arm64
bill tiergate.wasm --target $module_target
for file in "$out"/tiergate-linux-*; do
  [ -e "$file" ] || break
  case $file in *arm64) processor=aarch64 ;; *) processor=x86_64 ;; esac
  bill "$(basename "$file")" --features cli,fleet --target $processor-unknown-linux-gnu
done
cp LICENSE "$out/"
write_notes
sh $here/sums.sh "$out"

echo "$out, of commit $TIERGATE_BUILD:"
(cd "$out" && wc -c ./* | sed 's|\./||')
cat "$work/image.txt" "$out/SHA256SUMS"
if [ -n "$problems" ]; then
  printf '%s' "$problems"
  [ "${RELEASE_STRICT:-}" != 1 ] || exit 1
fi
