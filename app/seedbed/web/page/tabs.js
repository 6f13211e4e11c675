// Tabs, by the pattern of the ARIA authoring practices: arrows move, Home and End go to the ends.

/** Bring a role="tablist" to life; its tabs name their panels in aria-controls. */
export function setUpTabs(list, onChange = () => {}) {
  const tabs = [...list.querySelectorAll('[role="tab"]')];
  const choose = (chosen, focus) => {
    for (const tab of tabs) {
      const on = tab === chosen;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !on;
    }
    if (focus) chosen.focus();
    onChange(chosen);
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => choose(tab, false));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      choose(tabs[(to + tabs.length) % tabs.length], true);
    });
  });
  choose(tabs[0], false);
}
