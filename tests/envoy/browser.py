"""A script of another origin against the filter: `browser.py CHROMIUM PROXY PORT`.

Serves a page at that port, which is another origin than the proxy's, and has its script call
the API with the account headers, which needs a preflight. Prints what the script can read of each
reply as one JSON object: status, code and waits, or "blocked" where the browser hides the reply.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from playwright.sync_api import sync_playwright

chromium, proxy, port = sys.argv[1:]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
SCRIPT = """async ([proxy, headers]) => {
  try {
    const reply = await fetch(`http://${proxy}/v1/chat/completions`, {
      method: "POST", headers: {"content-type": "application/json", ...headers},
      body: '{"model":"demo","messages":[]}',
    });
    const text = await reply.text();
    let code = null;
    try { code = JSON.parse(text).error?.code ?? null } catch {}
    return {
      status: reply.status, code,
      wait: reply.headers.get("retry-after-ms"),
      remaining: reply.headers.get("x-ratelimit-remaining-requests"),
    };
  } catch (error) {
    return "blocked";
  }
}"""


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another origin</title>")

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", int(port)), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    account = {"x-account-id": "browser", "x-account-tier": "t"}
    call = lambda headers: page.evaluate(SCRIPT, [proxy, headers])
    seen = {
        "served": call(account),
        "limited": call(account),
        "nobody": call({}),
        "stranger": call({"x-account-id": "browser", "x-account-tier": "gold"}),
    }
    browser.close()
print(json.dumps(seen))
