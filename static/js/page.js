// Small manners of every page. Without this script all of it still works, a click or two longer.
(() => {
  "use strict";

  // data-copy="#id": copy that element's text
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = document.querySelector(button.dataset.copy)?.textContent.trim() ?? "";
    const said = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(document.querySelector(button.dataset.copy));
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      button.textContent = "Press Ctrl C";
    }
    setTimeout(() => { button.textContent = said; }, 2000);
  });

  // table.cards: each cell learns its column's name, so that a phone can show a row as a card
  const name = (within) => {
    for (const table of within.querySelectorAll("table.cards:not([data-named])")) {
      const names = [...table.tHead.rows[0].cells].map((cell) => (cell.querySelector(".sr") ? "" : cell.textContent));
      for (const row of table.tBodies[0].rows) [...row.cells].forEach((cell, at) => { if (!cell.colSpan || cell.colSpan === 1) cell.dataset.name = names[at]; });
      table.dataset.named = "";
    }
  };
  name(document);
  document.addEventListener("htmx:load", (event) => name(event.target));

  // data-autosubmit: a form that is sent when a choice in it changes; its button is for those without script
  for (const form of document.querySelectorAll("form[data-autosubmit]")) {
    for (const button of form.querySelectorAll("button[data-fallback]")) button.hidden = true;
    form.addEventListener("change", () => form.requestSubmit());
  }

  // one open pop-up or menu at a time; Escape and a click elsewhere close it
  const openOnes = () => document.querySelectorAll("details.pop[open], details.menu-toggle[open]");
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const details of openOnes()) { details.open = false; details.querySelector("summary").focus(); }
  });
  document.addEventListener("click", (event) => {
    for (const details of openOnes()) {
      const sheet = details.matches(".menu-toggle") ? details.nextElementSibling : details;
      if (!details.contains(event.target) && !sheet.contains(event.target)) details.open = false;
    }
  });

  // a polled fragment that cannot be reached is shown as stale, not as current
  const stale = (event, on) => {
    const fragment = event.target.closest?.("[data-live]");
    if (!fragment) return;
    fragment.classList.toggle("stale", on);
    fragment.title = on ? "No answer from the server: these figures may be old" : "";
  };
  for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) document.addEventListener(name, (e) => stale(e, true));
  document.addEventListener("htmx:afterOnLoad", (e) => stale(e, false));

  // while an error page or a sign-in page answers a poll, keep the fragment that is there
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.responseURL.includes("/login/")) { event.detail.shouldSwap = false; location.reload(); }
  });
})();
