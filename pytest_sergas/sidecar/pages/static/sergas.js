// Keeps the page up to date: asks for it again, and puts what has changed in its place. Everything works without it.
"use strict";
(() => {
  const main = document.querySelector("main[data-live]");
  const status = document.getElementById("live");
  if (!main || !status) return;
  const interval = Number(main.dataset.live) * 1000;
  let shown = main.innerHTML;
  let failed = false;

  const say = (text) => { if (status.textContent !== text) status.textContent = text; };

  // Somebody who reads with the keyboard, or types, is not disturbed.
  const busy = () => document.activeElement && main.contains(document.activeElement) &&
    document.activeElement.matches("input, select, textarea");

  const replace = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("main");
    if (!fresh || fresh.innerHTML === shown) return;
    const focused = document.activeElement && main.contains(document.activeElement) ? document.activeElement : null;
    const place = focused && focused.getAttribute("href");
    const open = new Set([...main.querySelectorAll("details[open][id]")].map((found) => found.id));
    shown = fresh.innerHTML;
    main.replaceChildren(...fresh.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (place) [...main.querySelectorAll("a[href]")].find((link) => link.getAttribute("href") === place)?.focus();
  };

  const update = async () => {
    if (document.hidden || busy()) return;
    try {
      const answer = await fetch(location.href, { cache: "no-store", headers: { Accept: "text/html" } });
      if (answer.redirected) { location.assign(answer.url); return; } // the session has ended
      if (!answer.ok) throw new Error(String(answer.status));
      replace(await answer.text());
      if (failed) say("Connected again.");
      failed = false;
    } catch {
      if (!failed) say("The sidecar does not answer; what you see is old.");
      failed = true;
    }
    document.documentElement.classList.toggle("stale", failed);
  };

  setInterval(update, interval);
  document.addEventListener("visibilitychange", update);
})();
