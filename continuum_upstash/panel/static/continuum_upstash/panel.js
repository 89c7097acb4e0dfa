// Refreshes the panel. Without JavaScript the page works and shows the time at which it was made.
"use strict";

const TIMEOUT = 8000; // milliseconds: without it, the page would show "OK" while a process hangs

const refresher = document.querySelector("[data-ch-refresher]");

class Region {
  constructor(element) {
    this.element = element;
    this.seconds = Number(element.dataset.chSeconds);
    this.due = Date.now() + this.seconds * 1000;
    this.failed = false;
  }

  async refresh() {
    this.due = Date.now() + this.seconds * 1000;
    try {
      await this.load();
      this.failed = false;
    } catch {
      this.failed = true;
    }
  }

  async load() {
    const response = await fetch(this.element.dataset.chUrl, {
      headers: { Accept: "text/html" },
      signal: AbortSignal.timeout(TIMEOUT),
    });
    if (response.redirected) {
      location.reload(); // logged out: the reloaded page shows the login form
      return;
    }
    if (!response.ok) throw new Error(response.statusText);
    const html = await response.text();
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    this.headline = fresh.content.querySelector("[data-ch-headline]") ?? this.headline;
    if (html === this.html || this.selected) return; // keep the text that the user has selected
    this.html = html;
    this.show(fresh.content);
  }

  get selected() {
    const selection = getSelection();
    return !selection.isCollapsed && selection.containsNode(this.element, true);
  }

  show(content) {
    const focused = this.element.contains(document.activeElement) && document.activeElement.id;
    const open = [...this.element.querySelectorAll("details[open]")].map((each) => each.id);
    const moved = [...this.element.querySelectorAll(".ch-scroll")].map((each) => [each.id, each.scrollLeft]);
    this.element.replaceChildren(content);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    for (const [id, left] of moved) document.getElementById(id)?.scrollTo(left, 0);
    if (focused) this.focus(document.getElementById(focused));
  }

  focus(element) {
    if (!element) this.element.tabIndex = -1; // it no longer exists: focus the region around it
    (element ?? this.element).focus({ preventScroll: true });
  }
}

if (refresher) {
  const regions = [...document.querySelectorAll("[data-ch-url]")].map((each) => new Region(each));
  const button = refresher.querySelector("button");
  const status = refresher.querySelector("[role=status]");
  let known = document.querySelector("[data-ch-headline]").dataset.chHeadline;
  let lost = false;
  let paused = false;
  let busy = false;

  // A hidden page is not refreshed: the statistics that it would read are billed.
  async function tick() {
    if (paused || busy || document.hidden) return;
    const due = regions.filter((region) => Date.now() >= region.due);
    if (!due.length) return;
    busy = true;
    for (const region of due) await region.refresh();
    busy = false;
    if (!paused) announce();
  }

  // Announce only changes of the state. The headline also contains the round trip, which varies.
  function announce() {
    const failed = regions.some((region) => region.failed);
    const headline = regions.map((region) => region.headline).find(Boolean);
    let text = failed ? refresher.dataset.failed : "";
    if (!failed && headline && (lost || headline.dataset.chHeadline !== known)) {
      known = headline.dataset.chHeadline;
      text = headline.dataset.chAnnouncement;
    }
    lost = failed;
    if (status.textContent !== text) status.textContent = text;
  }

  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? button.dataset.resume : button.dataset.pause;
    status.textContent = paused ? refresher.dataset.paused : "";
  });
  document.addEventListener("visibilitychange", tick);
  setInterval(tick, 1000);
  refresher.hidden = false;
}
