"""Checks the site of the docs: each link within it leads to a file, and to a heading where it names one."""

import pathlib
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links and the ids of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        self.links += [attrs[name] for name in ("href", "src") if attrs.get(name)]


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    pages = {path: Page(path.read_text()) for path in root.rglob("*.html")}
    checked, broken = 0, []
    for path, page in pages.items():
        # mdBook's page for an address that is not there has links that begin at the site's root.
        if path.name in ("404.html", "toc.html"):
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            checked += 1
            known = target not in pages or not parts.fragment or unquote(parts.fragment) in pages[target].ids
            if not target.is_file() or not known or target.suffix == ".md":
                broken.append(f"{path.relative_to(root)}: {link}")
    print("\n".join(broken), file=sys.stderr, end="\n" if broken else "")
    print(f"{len(pages)} pages, {checked} links, {len(broken)} broken")
    sys.exit(bool(broken) or not checked)


main()
