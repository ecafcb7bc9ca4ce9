// Fetches this page again and applies the changes, node by node. An unchanged node keeps its
// focus, selection and scroll position. Without this script the page does not update.
"use strict";
(() => {
  const EVERY = 2000;
  const stale = document.getElementById("stale");
  // Leaves out a user and password in the address: a fetch must not have them.
  const here = location.origin + location.pathname + location.search;
  let updated = new Date();
  let timer = 0;
  let busy = false;

  const isSelected = (node) => {
    const selection = getSelection();
    return selection && !selection.isCollapsed && selection.containsNode(node, true);
  };

  // Rows move as refusals come in, so a row's link must not change under the pointer.
  const isAimedAt = (node) => node.id === "accounts" && node.querySelector("a:hover, a:focus-visible");

  // Makes `now` equal to `next`.
  const become = (now, next) => {
    if (now.isEqualNode(next)) return;
    if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName) {
      now.replaceWith(document.importNode(next, true));
      return;
    }
    if (now.nodeType !== Node.ELEMENT_NODE) {
      now.nodeValue = next.nodeValue;
      return;
    }
    for (const name of now.getAttributeNames()) {
      if (!next.hasAttribute(name)) now.removeAttribute(name);
    }
    for (const name of next.getAttributeNames()) {
      const value = next.getAttribute(name);
      if (now.getAttribute(name) !== value) now.setAttribute(name, value);
    }
    const [old, fresh] = [[...now.childNodes], [...next.childNodes]];
    fresh.forEach((node, i) => {
      if (i < old.length) become(old[i], node);
      else now.append(document.importNode(node, true));
    });
    old.slice(fresh.length).forEach((node) => node.remove());
  };

  const takeOver = (page) => {
    const fresh = page.querySelectorAll("[data-live]");
    if (fresh.length === 0) throw new Error("not the page");
    for (const next of fresh) {
      const now = document.getElementById(next.id);
      if (!now || now.isEqualNode(next) || isSelected(now)) continue;
      if (isAimedAt(now)) now.setAttribute("data-held", "");
      else become(now, next);
    }
  };

  const say = (text) => {
    if (stale.textContent !== text) stale.textContent = text;
  };

  const refresh = async () => {
    if (busy) return;
    busy = true;
    clearTimeout(timer);
    try {
      const reply = await fetch(here, { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(5000) });
      if (!reply.ok) throw new Error(String(reply.status));
      takeOver(new DOMParser().parseFromString(await reply.text(), "text/html"));
      updated = new Date();
      say("");
    } catch {
      say("Not updated since " + updated.toLocaleTimeString());
    }
    busy = false;
    if (!document.hidden) timer = setTimeout(refresh, EVERY);
  };

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) refresh();
  });
  if (!document.hidden) timer = setTimeout(refresh, EVERY);
})();
