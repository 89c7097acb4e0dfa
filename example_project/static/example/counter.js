// Shows increments from other tabs. Without JavaScript, reload the page.
const total = document.getElementById("total");

setInterval(async () => {
  if (document.hidden) return;
  const response = await fetch(total.dataset.url);
  if (response.ok) total.textContent = (await response.json()).total.toLocaleString("en");
}, 2000);
