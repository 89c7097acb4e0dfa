// Looks again while something is wrong. Without it, reload the page.
const parts = ["#state", "#actions", ".badge", "footer"];

setInterval(async () => {
  if (document.hidden || !document.querySelector("#state[data-live]")) return;
  const response = await fetch(location.href);
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of parts) {
    const old = document.querySelector(part);
    const now = page.querySelector(part);
    // What has the focus stays: a keyboard's user may be about to press it.
    if (old && now && !old.contains(document.activeElement)) old.replaceWith(now);
  }
}, 2000);
