#!/bin/sh
# A Redis for the tests, in the directory $1, without root: Debian's package and its libraries,
# unpacked. Nothing is fetched where the PATH has redis-server 7 or later.
set -eu
tools=$1
major() { "$1" --version | sed -nE 's/.*v=([0-9]+)\..*/\1/p'; }
if command -v redis-server >/dev/null && [ "$(major redis-server)" -ge 7 ]; then exit 0; fi
if [ -x "$tools/bin/redis-server" ]; then exit 0; fi
missing="the tests of the fleet need redis-server 7 or later: install it, or set TIERGATE_REDIS to its path"
for tool in apt-get dpkg; do
  command -v "$tool" >/dev/null || { echo "$missing" >&2; exit 1; }
done
tools=$(mkdir -p "$tools/bin" && cd "$tools" && pwd)
mkdir -p "$tools/redis/packages"
cd "$tools/redis/packages"
fetch() { apt-get download -qq redis-tools liblzf1 libjemalloc2 libatomic1 >/dev/null 2>&1; }
fetch || { apt-get update -qq >/dev/null 2>&1 && fetch; } || { echo "$missing" >&2; exit 1; }
for package in *.deb; do dpkg -x "$package" "$tools/redis"; done
# The server is the program of redis-check-rdb under another name.
cp "$tools/redis/usr/bin/redis-check-rdb" "$tools/redis/redis-server"
libraries=$(echo "$tools"/redis/usr/lib/*-linux-gnu*)
cat >"$tools/redis/run" <<END
#!/bin/sh
LD_LIBRARY_PATH=$libraries exec $tools/redis/redis-server "\$@"
END
chmod +x "$tools/redis/run"
[ "$(major "$tools/redis/run")" -ge 7 ] || { echo "$missing" >&2; exit 1; }
ln -sf "$tools/redis/run" "$tools/bin/redis-server"
