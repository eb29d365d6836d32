// Reads the content of the page again every few seconds, and replaces what changed. Pages work without this script, too.
"use strict";
(() => {
  const EVERY = 5000;
  document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  const link = document.querySelector("[data-refresh]");
  const main = document.getElementById("content");
  const notice = main && main.querySelector(".notice");
  if (!link || !main) return;
  const status = link.parentElement.querySelector("[role=status]");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  link.after(button);
  const KEY = "viraldb-paused";
  let paused = false;
  let failures = 0;
  let timer = 0;
  let newest = "";
  try { paused = sessionStorage.getItem(KEY) === "1"; } catch { /* no storage */ }

  function show() {
    button.textContent = paused ? "Resume updates" : "Pause updates";
    button.setAttribute("aria-pressed", String(paused));
  }
  function say(text) {
    if (status.textContent !== text) status.textContent = text;
  }
  function plan() {
    clearTimeout(timer);
    if (paused || document.hidden) return;
    timer = setTimeout(update, EVERY * Math.min(2 ** failures, 12));
  }

  // What the reader does in the content must survive the replacement.
  const parts = (root, selector) => Array.from(root.querySelectorAll(selector));
  const FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]";
  function isBusy() {
    const active = document.activeElement;
    if (main.contains(active) && active.matches("input, select, textarea")) return true;
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && main.contains(selection.anchorNode);
  }
  function replace(text) {
    const next = new DOMParser().parseFromString(text, "text/html").querySelector("main");
    if (!next) throw new Error("no content");
    const open = parts(main, "details").map((details) => details.open);
    const scrolled = parts(main, ".scroll").map((part) => [part.scrollLeft, part.scrollTop]);
    const focused = main.contains(document.activeElement) ? parts(main, FOCUSABLE).indexOf(document.activeElement) : -1;
    const top = window.scrollY;
    main.replaceChildren(...next.childNodes);
    if (notice && performance.now() < 20000) main.querySelector(".heading")?.after(notice);
    const details = parts(main, "details");
    if (details.length === open.length) details.forEach((part, at) => { part.open = open[at]; });
    const scrolls = parts(main, ".scroll");
    if (scrolls.length === scrolled.length) {
      scrolls.forEach((part, at) => { [part.scrollLeft, part.scrollTop] = scrolled[at]; });
    }
    if (focused >= 0) parts(main, FOCUSABLE)[focused]?.focus({ preventScroll: true });
    if (window.scrollY !== top) window.scrollTo(window.scrollX, top);
  }

  async function update() {
    if (isBusy()) return plan();
    try {
      const answer = await fetch(location.href, {
        headers: { Accept: "text/vnd.viraldb.content+html" },
        credentials: "same-origin",
        cache: "no-store",
        signal: AbortSignal.timeout(30000),
      });
      if (answer.status === 401) {
        say("Your session has ended: refresh to log in.");
        paused = true;
        show();
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      if (!paused && text !== newest && !isBusy()) {
        replace(text);
        newest = text;
      }
      failures = 0;
      say("");
    } catch {
      failures += 1;
      if (failures > 1) say("No update: the dashboard does not answer. Trying again.");
    }
    plan();
  }

  button.addEventListener("click", () => {
    paused = !paused;
    try { sessionStorage.setItem(KEY, paused ? "1" : "0"); } catch { /* no storage */ }
    say("");
    show();
    if (paused) clearTimeout(timer); else update();
  });
  document.addEventListener("visibilitychange", () => { if (document.hidden || paused) clearTimeout(timer); else update(); });
  show();
  plan();
})();
