// Keeps the panel up to date. Without it the page works, and shows the moment at which it was made.
"use strict";

const refresher = document.querySelector("[data-ch-refresher]");

class Region {
  constructor(element) {
    this.element = element;
    this.seconds = Number(element.dataset.chSeconds);
    this.due = Date.now() + this.seconds * 1000;
  }

  async refresh() {
    this.due = Date.now() + this.seconds * 1000;
    const response = await fetch(this.element.dataset.chUrl, { headers: { Accept: "text/html" } });
    if (response.redirected) {
      location.reload(); // logged out: the page says so better than a part of it
      return;
    }
    if (!response.ok) throw new Error(response.statusText);
    this.show(await response.text());
  }

  show(html) {
    const focused = this.element.contains(document.activeElement) && document.activeElement.id;
    const open = [...this.element.querySelectorAll("details[open]")].map((each) => each.id);
    this.element.innerHTML = html;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (focused) document.getElementById(focused)?.focus();
  }
}

if (refresher) {
  const regions = [...document.querySelectorAll("[data-ch-url]")].map((each) => new Region(each));
  const button = refresher.querySelector("button");
  const status = refresher.querySelector("[role=status]");
  const headline = () => document.querySelector("[data-ch-headline]").textContent;
  let paused = false;
  let busy = false;

  // A hidden page asks nothing: the statistics that it would read are billed.
  async function tick() {
    if (paused || busy || document.hidden) return;
    busy = true;
    const before = status.textContent;
    try {
      for (const region of regions) if (Date.now() >= region.due) await region.refresh();
      status.textContent = before === refresher.dataset.failed ? headline() : before;
    } catch {
      status.textContent = refresher.dataset.failed;
    }
    busy = false;
  }

  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    status.textContent = paused ? refresher.dataset.paused : "";
  });
  document.addEventListener("visibilitychange", tick);
  setInterval(tick, 1000);
  refresher.hidden = false;
}
