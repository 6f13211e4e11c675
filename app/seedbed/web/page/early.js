// Runs before the page is drawn: the theme that was chosen, and what to say if a script fails.
"use strict";

(() => {
  const root = document.documentElement;
  try {
    const theme = localStorage.getItem("seedbed-theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch {
    // Storage may be forbidden; the system's theme is as good.
  }
  root.classList.add("scripted");

  const fail = (what) => {
    const show = () => {
      const place = document.getElementById("failure");
      if (!place) return;
      place.hidden = false;
      place.querySelector("code").textContent = what;
    };
    if (document.readyState === "loading") addEventListener("DOMContentLoaded", show);
    else show();
  };

  addEventListener(
    "error",
    (event) => {
      const source = event.target;
      if (source instanceof HTMLScriptElement) fail(`${source.src} did not load`);
      else if (source instanceof HTMLLinkElement) fail(`${source.href} did not load`);
      else if (event.message && !event.message.startsWith("ResizeObserver")) fail(event.message);
    },
    true,
  );
  addEventListener("unhandledrejection", (event) => fail(String(event.reason)));
})();
