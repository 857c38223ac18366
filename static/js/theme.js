// Runs before the first paint, so that a kept choice never flashes. Says "themechange" on document when the look changes.
(() => {
  "use strict";
  const root = document.documentElement;
  const KEY = "greenai-theme";
  const kept = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const keep = (theme) => { try { localStorage.setItem(KEY, theme); } catch { /* private mode: holds for this page */ } };

  function show(theme) {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
    for (const button of document.querySelectorAll("[data-set-theme]")) {
      button.setAttribute("aria-pressed", String(button.dataset.setTheme === (root.dataset.theme ?? "auto")));
    }
    document.dispatchEvent(new CustomEvent("themechange"));
  }

  show(kept());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(kept()));
  document.addEventListener("DOMContentLoaded", () => show(kept()));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-set-theme]");
    if (!button) return;
    keep(button.dataset.setTheme);
    show(button.dataset.setTheme);
  });
})();
