#!/bin/sh
# The section of version $2 in the changelog $1; that of Unreleased, where the version has none.
# $3 comes before each relative link, since readers of the notes are not in docs/.
set -eu
changelog=$1 version=$2 base=${3:-}
# Without the heading and the empty lines at both ends. It fails where there is no such section.
section() {
  awk -v wanted="$1" '
    /^## / { inside = ($2 == wanted); found = found || inside; next }
    inside && (NF || kept) { lines[++kept] = $0; if (NF) last = kept }
    END { for (i = 1; i <= last; i++) print lines[i]; exit !found }
  ' "$changelog"
}
if ! notes=$(section "$version"); then
  notes=$(section Unreleased) || { echo "$changelog has neither $version nor Unreleased" >&2; exit 1; }
  echo "$changelog has no section $version: these are the notes of Unreleased" >&2
fi
printf '%s\n' "$notes" | sed -E -e "s|\]\(|](${base}|g" -e "s|\]\(${base}(https?:\|#)|](\1|g"
