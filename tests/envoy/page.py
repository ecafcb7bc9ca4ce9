"""The admin page in Chromium: `page.py CHROMIUM PROXY ADMIN [SHOTS]`, both as host:port.

The tiers of the stack are the default ones, its admin token is "secret". Refuses 500 requests of
accounts with awkward ids, and looks at the page as an operator does, at two sizes, light and dark,
with and without JavaScript. Prints what was seen as one JSON object; with SHOTS, a directory,
leaves screenshots there.
"""

import http.client
import json
import sys
import time
from urllib.parse import quote

from playwright.sync_api import sync_playwright

chromium, proxy, admin, *shots = sys.argv[1:]
PAGE = f"http://{admin}/-/tiergate/"
SIZES = {"1280": (1280, 900), "390": (390, 844)}
SHOTS = {"1280": "light", "390": "dark"}
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AWKWARD = [
    b"\"><script>document.title='owned'</script>",
    b"'\"><img src=x onerror=\"document.title='owned'\">",
    b"</style></script></title><svg onload=alert(1)>",
    b"it's \"quoted\" & <b>bold</b>",
    b"\x80\xfe\xff\tcontrol",
    "\u202egnp.exe".encode(),
    b"x" * 60_000,
    "a\u200bcme".encode(),
]
PLAIN = [b"acme", b"globex-prod", b"newcomer", b"org-7Qk2/eu-west"]


def request(account, tier=b"tier0"):
    connection = http.client.HTTPConnection(proxy, timeout=20)
    body = b'{"model":"demo","messages":[{"role":"user","content":"hi"}]}'
    connection.putrequest("POST", "/v1/chat/completions")
    for name, value in [("x-account-id", account), ("x-account-tier", tier), ("content-length", str(len(body)))]:
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(body)
    status = connection.getresponse().status
    connection.close()
    return status


def refuse(n):
    """Sends until so many are refused."""
    accounts, refused, sent = AWKWARD + PLAIN, 0, 0
    while refused < n:
        refused += request(accounts[sent % len(accounts)]) == 429
        sent += 1
        assert sent < 2 * n + 100, f"{refused} of {sent} refused"


def lower(load):
    connection = http.client.HTTPConnection(admin, timeout=20)
    connection.request("PUT", "/-/tiergate/load", json.dumps(load), {"authorization": "Bearer secret"})
    assert connection.getresponse().status == 200
    connection.close()


class Seen:
    """A page, and what went wrong on it."""

    def __init__(self, browser, size, scheme="light", scripts=True):
        width, height = SIZES[size]
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            java_script_enabled=scripts,
            http_credentials={"username": "anyone", "password": "secret"},
        )
        self.wrong = []
        self.page = self.context.new_page()
        self.page.on("dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", self.console)

    def console(self, message):
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text}")

    def open(self, query=""):
        self.page.goto(PAGE + query)
        return self.page


def total(page):
    text = page.locator("#now dd b").nth(1).inner_text()
    return int(text.replace(",", ""))


def wait_for(what, condition):
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < 20, f"waited too long: {what}"
        time.sleep(0.05)


def looked_at(browser, size, scheme):
    """Title, width and background, with a look-up of an awkward id and without."""
    seen = Seen(browser, size, scheme)
    for query in ["", "?account=" + quote(AWKWARD[0]), "?account=newcomer"]:
        page = seen.open(query)
        # One refresh, so that what the script puts in is looked at too.
        with page.expect_response(lambda reply: reply.status == 200):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        assert page.title() == "tiergate · tiergate", page.title()
        wide = page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1], f"{size} {query}: {wide} scrolls sideways"
        if size == "390":
            for id in ["found", "refusals", "accounts", "pages"]:
                hidden = page.evaluate(
                    "id => { const s = document.querySelector(`#${id} .scroll`); return s ? s.scrollWidth - s.clientWidth : 0 }", id
                )
                assert hidden <= 0, f"{query}: {hidden} px of #{id} lie outside"
        strange = page.locator("script, img, iframe, svg:not(.bar)").count()
        assert strange == 1, f"{size} {query}: {strange} scripts, images and the like; one is the page's own"
    assert page.locator("#found svg.bar").count() == 4, "four bars"
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    if shots and SHOTS.get(size) == scheme:
        page.screenshot(path=f"{shots[0]}/page-{size}.png", full_page=True)
    assert not seen.wrong, seen.wrong
    seen.context.close()
    return background


def without_scripts(browser):
    seen = Seen(browser, "390", scripts=False)
    page = seen.open()
    rows = {id: page.locator(f"#{id} tbody tr").count() for id in ["tiers", "refusals", "accounts", "pages"]}
    assert rows["tiers"] == 6 and rows["pages"] == 2 and rows["refusals"] >= 1, rows
    texts = page.locator("#accounts td.id").all_inner_texts()
    for text in [AWKWARD[0].decode(), "\\x80\\xfe\\xff\\u{9}control", "\\u{202e}gnp.exe", "x" * 64 + "…", "a\\u{200b}cme"]:
        assert text in texts, f"{text} in {texts}"
    page.fill("#account", "newcomer")
    page.click("button")
    assert page.url == PAGE + "?account=newcomer", page.url
    assert page.locator("#found svg.bar").count() == 4
    # An id with markup in it is a link to its own look-up.
    page.get_by_text("\"><script>document.title='owned'</script>", exact=True).first.click()
    assert page.locator("#found h2 .id").inner_text() == AWKWARD[0].decode()
    seen.context.close()
    return rows


def refreshed(browser):
    """A count changes in place; what is the same, typed or selected stays."""
    seen = Seen(browser, "1280")
    page = seen.open()
    loads = []
    page.on("load", lambda: loads.append(1))
    page.evaluate("""() => {
        window.kept = {cell: document.querySelector("#tiers td"), count: document.querySelectorAll("#now dd b")[1]};
        const section = document.querySelector("#tiers");
        window.touched = 0;
        new MutationObserver((all) => { window.touched += all.length; })
            .observe(section, {subtree: true, childList: true, attributes: true, characterData: true});
    }""")
    page.fill("#account", "half typ")
    page.focus("#account")
    before = total(page)
    assert request(b"newcomer") == 429
    wait_for("the count", lambda: total(page) > before)
    same = page.evaluate("""() => ({
        cell: window.kept.cell === document.querySelector("#tiers td"),
        count: window.kept.count === document.querySelectorAll("#now dd b")[1],
        touched: window.touched,
        typed: document.querySelector("#account").value,
        focused: document.activeElement.id,
    })""")
    assert same == {"cell": True, "count": True, "touched": 0, "typed": "half typ", "focused": "account"}, same
    assert not loads, "reloaded"
    assert not seen.wrong, seen.wrong
    # The list holds still under a pointer, and says so.
    link = page.locator("#accounts a").first
    link.hover()
    aimed, before = link.inner_text(), total(page)
    other = "globex-prod" if aimed == "acme" else "acme"
    assert request(other.encode()) == 429
    wait_for("the count", lambda: total(page) > before)
    assert link.inner_text() == aimed and page.locator("#accounts[data-held]").count() == 1
    page.mouse.move(1, 1)
    wait_for("the newest", lambda: link.inner_text() == other)
    assert page.locator("#accounts[data-held]").count() == 0
    # When the filter does not answer, the page says so, and stays.
    page.route("**/*", lambda route: route.abort())
    wait_for("word of it", lambda: "Not updated since" in page.locator("#stale").inner_text())
    assert total(page) > before
    page.unroute("**/*")
    wait_for("its end", lambda: page.locator("#stale").inner_text() == "")
    seen.context.close()
    return same


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
    refuse(400)
    lower({"scale": 0.8, "tiers": {"tier0": 0.4, "tier1": 0.5}})
    refuse(100)
    for _ in range(7):
        assert request(b"initech", b"gold") == 403
    first = Seen(browser, "1280")
    wait_for("all of them", lambda: total(first.open()) >= 507)
    first.context.close()
    backgrounds = {
        f"{size} {scheme}": looked_at(browser, size, scheme) for size in SIZES for scheme in ["light", "dark"]
    }
    assert len(set(backgrounds.values())) == 2, backgrounds
    report = {"rows": without_scripts(browser), "refreshed": refreshed(browser), "backgrounds": backgrounds}
    browser.close()
print(json.dumps(report))
