"use strict";
document.documentElement.classList.add("js");
const $ = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll('[role="tab"]')];

function choose(tab) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", chosen);
    other.tabIndex = chosen ? 0 : -1;
    $(other.getAttribute("aria-controls")).classList.toggle("chosen", chosen);
  }
}

const STEPS = {
  ArrowRight: (number) => (number + 1) % tabs.length,
  ArrowLeft: (number) => (number + tabs.length - 1) % tabs.length,
  Home: () => 0,
  End: () => tabs.length - 1,
};

tabs.forEach((tab, number) => {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    const next = tabs[STEPS[event.key](number)];
    choose(next);
    next.focus();
  });
});

// A link to a gallery, such as report.html#label_errors, opens it
function follow() {
  const tab = tabs.find((one) => `#${one.getAttribute("aria-controls")}` === location.hash);
  if (!tab) return;
  choose(tab);
  $("images").scrollIntoView();
}
addEventListener("hashchange", follow);
follow();

$("heat")?.addEventListener("click", () => {
  const shown = document.body.classList.toggle("heated");
  $("heat").setAttribute("aria-pressed", shown);
});

$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("command").textContent);
    $("copied").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("command"));
    $("copied").textContent = "Selected. Copy it with the keyboard.";
  }
});

// The navigation marks the section that the reader is in
const links = new Map([...document.querySelectorAll("nav a")].map((link) => [$(link.hash.slice(1)), link]));
const reading = new IntersectionObserver(
  (entries) => {
    const section = entries.find((entry) => entry.isIntersecting)?.target;
    if (!section) return;
    for (const [other, link] of links) {
      if (other === section) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  },
  { rootMargin: "-25% 0px -70% 0px" },
);
links.forEach((_, section) => reading.observe(section));
