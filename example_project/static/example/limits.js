// Sends requests without leaving the page and shows the response headers. Without JavaScript, the
// links still send requests.
const output = document.getElementById("response");
const shownHeaders = ["RateLimit", "RateLimit-Policy", "Retry-After", "Content-Type"];
const quotas = new Map();

for (const cell of document.querySelectorAll("output[data-policy]")) {
  quotas.set(cell.dataset.policy, { cell, limit: cell.dataset.limit });
}

for (const link of document.querySelectorAll("a.send")) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    const response = await fetch(link.href, { headers: { Accept: "application/json" } });
    const headers = shownHeaders
      .filter((name) => response.headers.has(name))
      .map((name) => `${name}: ${response.headers.get(name)}`);
    output.textContent = [`${response.status} ${response.statusText}`, ...headers].join("\n");
    const usage = response.headers.get("Request-Usage");
    if (usage) document.querySelector("footer p").textContent = usage;
    updateQuotas(response.headers.get("RateLimit") ?? "");
  });
}

// The header has one item per policy: "search";r=2;t=7
function updateQuotas(header) {
  for (const [, policy, remaining, seconds] of header.matchAll(/"([^"]+)";r=(\d+);t=(\d+)/g)) {
    const quota = quotas.get(policy);
    if (quota) Object.assign(quota, { remaining, until: Date.now() + seconds * 1000 });
  }
  renderQuotas();
}

function renderQuotas() {
  for (const { cell, limit, remaining, until } of quotas.values()) {
    if (until === undefined) continue;
    const seconds = Math.ceil((until - Date.now()) / 1000);
    const reset = seconds > 0 ? `more in ${seconds} s` : "more available now";
    cell.textContent = `${remaining} of ${limit}, ${reset}`;
  }
}

setInterval(renderQuotas, 1000);
