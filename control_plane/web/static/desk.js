// What the desk does in the browser beyond htmx: keys, a filter, a dialog, and staying up to date.
// Everything works without it too, by links and forms.
"use strict";
(() => {
  const main = () => document.getElementById("main");
  const dialog = () => document.getElementById("dialog");
  const say = (text) => { const place = document.getElementById("said"); if (place) place.textContent = text; };
  const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => !row.hidden);
  const typing = (target) => target.closest && target.closest("input:not([type=radio]):not([type=checkbox]), select, textarea, [contenteditable]");
  let at = "";      // The id of the row that keys act on.
  let going = false;
  let raised = -Infinity;  // When the last raise was answered.
  const SECOND_PRESS_MS = 1000;

  // --- Rows -------------------------------------------------------------------------------------

  function mark() {
    for (const row of document.querySelectorAll("[data-row]")) row.classList.toggle("at", row.id === at);
  }

  function current() { return rows().find((row) => row.id === at); }

  function step(by) {
    const all = rows();
    if (!all.length) return;
    const now = all.findIndex((row) => row.id === at);
    const next = all[Math.max(0, Math.min(all.length - 1, now < 0 ? (by > 0 ? 0 : all.length - 1) : now + by))];
    at = next.id;
    mark();
    const link = next.querySelector("[data-open]");
    if (link) link.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }

  function filter() {
    const field = document.querySelector("[data-filter]");
    if (!field) return;
    const wanted = field.value.trim().toLocaleLowerCase();
    let shown = 0;
    for (const row of document.querySelectorAll(`${field.dataset.filter} [data-row]`)) {
      row.hidden = !row.dataset.name.toLocaleLowerCase().includes(wanted);
      if (!row.hidden) shown += 1;
    }
    const none = document.querySelector("[data-none]");
    if (none) none.hidden = shown > 0;
  }

  // --- The dialog -------------------------------------------------------------------------------

  async function open(address) {
    const answer = await fetch(address, { headers: { accept: "text/html" }, credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const inner = page.querySelector("#main > *");
    if (!answer.ok || !inner || answer.redirected) { location.assign(address); return; }
    const box = dialog();
    box.replaceChildren(document.adoptNode(inner));
    // What is changed in the dialog is seen on the page below it.
    for (const field of box.querySelectorAll("input[name=back]")) field.value = location.pathname + location.search;
    htmx.process(box);
    box.showModal();
    const first = box.querySelector("[data-first]") || box.querySelector("input:not([type=hidden])");
    if (first) first.focus();
  }

  function close() {
    const box = dialog();
    if (box.open) box.close();
    box.replaceChildren();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-dialog], [data-close], [data-help]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (link.matches("[data-help]")) { document.getElementById("keys").showModal(); return; }
    if (link.matches("[data-close]")) { if (dialog().open) { event.preventDefault(); close(); } return; }
    event.preventDefault();
    open(link.href);
  });

  // A form is sent once, however often its button is pressed while it is on its way.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    // What moves under a resting pointer must not be pressed by the second half of a double click.
    const again = form.matches("[data-raise]") && performance.now() - raised < SECOND_PRESS_MS;
    if (form.dataset.sent || again) { event.preventDefault(); event.stopImmediatePropagation(); return; }
    form.dataset.sent = "1";
  }, true);

  document.addEventListener("htmx:after:request", (event) => {
    const form = event.target.closest ? event.target.closest("form") : null;
    if (!form) return;
    delete form.dataset.sent;
    const status = event.detail && event.detail.ctx && event.detail.ctx.response ? event.detail.ctx.response.status : 200;
    if (status >= 400) return;
    if (form.matches("[data-raise]")) raised = performance.now();
    if (form.dataset.said) say(form.dataset.said);
  });

  document.addEventListener("htmx:after:swap", () => { close(); mark(); filter(); live(); });

  // --- Keys -------------------------------------------------------------------------------------

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (typing(event.target)) {
      if (event.key === "Escape" && event.target.matches("[data-filter]")) {
        event.target.value = "";
        filter();
        event.target.blur();
      }
      if (event.key === "Enter" && event.target.matches("[data-filter]")) {
        // What is on the page is filtered at once; what is not there is searched for.
        if (rows().length) { event.preventDefault(); step(1); }
      }
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    if (going) {
      going = false;
      const link = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    const row = current();
    const act = {
      "/": () => { const field = document.querySelector("[data-filter]"); if (field) { field.focus(); field.select(); } },
      "j": () => step(1),
      "k": () => step(-1),
      "g": () => { going = true; setTimeout(() => { going = false; }, 1500); },
      "r": () => { const link = (row || document).querySelector("[data-raise-link]"); if (link) open(link.href); },
      "a": () => { const button = document.querySelector(`${row ? `#${CSS.escape(row.id)} ` : ""}[data-acknowledge] button`) || document.querySelector("[data-acknowledge] button"); if (button) button.click(); },
      "?": () => document.getElementById("keys").showModal(),
    }[event.key];
    if (act) { event.preventDefault(); act(); }
  });

  document.addEventListener("input", (event) => { if (event.target.matches("[data-filter]")) filter(); });
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest && event.target.closest("[data-row]");
    if (row && row.id !== at) { at = row.id; mark(); }
  });

  // --- Staying up to date -----------------------------------------------------------------------

  let since = "";
  let connected = false;
  let busy = false;
  let behind = false;

  function live() {
    const place = document.querySelector("[data-live-state]");
    if (!place || !document.body.dataset.live) return;
    place.classList.toggle("live", connected);
    place.classList.toggle("away", !connected && since !== "");
    if (connected) place.textContent = "live";
    else if (since) place.textContent = `reconnecting since ${since}`;
  }

  async function refresh() {
    if (!main()) return;
    if (busy || document.hidden || document.querySelector("dialog[open]") || document.querySelector("[data-shown-once]")) { behind = true; return; }
    busy = true;
    behind = false;
    try {
      await htmx.ajax("GET", location.pathname + location.search.replace(/[?&]stale=[^&]*/, ""), { target: "#main", select: "#main", swap: "outerMorph" });
    } finally {
      busy = false;
      if (behind) setTimeout(refresh, 1000);
    }
  }

  function listen() {
    const address = document.body.dataset.live;
    if (!address || !window.EventSource) return;
    const stream = new EventSource(address);
    let first = true;
    stream.addEventListener("open", () => { connected = true; since = ""; live(); });
    stream.addEventListener("moved", () => { if (!first) refresh(); first = false; });
    stream.addEventListener("error", () => {
      if (connected || !since) since = new Date().toTimeString().slice(0, 5);
      connected = false;
      first = false;
      live();
      if (stream.readyState === EventSource.CLOSED) { setTimeout(listen, 3000 + Math.random() * 2000); }
    });
  }

  document.addEventListener("visibilitychange", () => { if (!document.hidden && behind) refresh(); });
  document.querySelectorAll("dialog").forEach((box) => box.addEventListener("close", () => { if (behind) refresh(); }));
  listen();
})();
