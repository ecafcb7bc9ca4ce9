#!/bin/sh
# Writes SHA256SUMS of all files in the directory $1, sorted by name in bytes.
set -eu
cd "$1"
if command -v sha256sum >/dev/null; then sum=sha256sum; else sum="shasum -a 256"; fi
rm -f SHA256SUMS
LC_ALL=C
export LC_ALL
sums=$(for file in *; do $sum "$file"; done)
printf '%s\n' "$sums" >SHA256SUMS
