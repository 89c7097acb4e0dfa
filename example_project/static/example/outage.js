// Updates the page during an outage. Without JavaScript, reload the page.
const parts = ["#state", "#actions", ".badge", "footer"];

setInterval(async () => {
  if (document.hidden || !document.querySelector("#state[data-live]")) return;
  const response = await fetch(location.href);
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of parts) {
    const old = document.querySelector(part);
    const updated = page.querySelector(part);
    // Keep an element that has the focus: a keyboard user may be about to activate it.
    if (old && updated && !old.contains(document.activeElement)) old.replaceWith(updated);
  }
}, 2000);
