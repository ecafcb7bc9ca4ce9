#!/bin/sh
# Programs of Debian packages for tests, in the directory $1, without root: $2 has their names, and the
# packages follow, with libraries that may be missing. Nothing is fetched where the PATH has them all.
# Best effort: a test says that it was skipped where its program is missing.
set -eu
tools=$1 programs=$2
shift 2
skip() {
  echo "no $programs: their tests will be skipped" >&2
  exit 0
}
there() {
  for program in $programs; do
    command -v "$program" >/dev/null || [ -x "$tools/bin/$program" ] || return 1
  done
}
if there; then exit 0; fi
for tool in apt-get dpkg; do
  command -v "$tool" >/dev/null || skip
done
tools=$(mkdir -p "$tools/bin" && cd "$tools" && pwd)
home=$tools/$1
mkdir -p "$home/packages"
cd "$home/packages"
fetch() { apt-get download -qq "$@" >/dev/null 2>&1; }
fetch "$@" || { apt-get update -qq >/dev/null 2>&1 && fetch "$@"; } || skip
for package in *.deb; do dpkg -x "$package" "$home"; done
libraries=$(echo "$home"/usr/lib/*-linux-gnu*):$(echo "$home"/lib/*-linux-gnu*)
for program in $programs; do
  cat >"$home/$program" <<END
#!/bin/sh
LD_LIBRARY_PATH=$libraries exec $home/usr/bin/$program "\$@"
END
  chmod +x "$home/$program"
  "$home/$program" --version >/dev/null 2>&1 || skip
  ln -sf "$home/$program" "$tools/bin/$program"
done
