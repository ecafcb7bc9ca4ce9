#!/bin/sh
# Builds the site of the docs: site.sh MDBOOK OUT, with mdbook-mermaid beside MDBOOK. Pages keep
# their places in the repository, so a link to a file outside of docs/ works on the site as well.
set -eu
mdbook=$1 out=$2
book=target/book
rm -rf "$book" "$out"
mkdir -p "$book/src" "$out"

# New files count before they are committed, and files that were deleted do not.
git ls-files --cached --others --exclude-standard -- README.md LICENSE .github/CONTRIBUTING.md \
  .github/SECURITY.md .github/workflows docs envoy tests/fleet_model/README.md tests/requirements.txt \
  tests/rate_limit_service/src | while IFS= read -r file; do
  if [ -f "$file" ]; then echo "$file"; fi
done | tar -cf - -T - | tar -xf - -C "$book/src"

mv "$book/src/docs/book.toml" "$book/src/docs/site.css" "$book/"
# The links of SUMMARY.md begin at docs/, and those of mdBook's at the root.
sed -e 's|](|](docs/|' -e 's|](docs/\.\./|](|' docs/SUMMARY.md > "$book/src/SUMMARY.md"
rm "$book/src/docs/SUMMARY.md"

# It adds its scripts to the book, and itself to book.toml.
PATH=$PWD/$(dirname "$mdbook"):$PATH
export PATH
mdbook-mermaid install "$book"
"$mdbook" build "$book" --dest-dir "$PWD/$out"
python3 .ci/site_links.py "$out"
echo "$out/index.html"
