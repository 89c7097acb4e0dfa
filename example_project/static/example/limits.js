// Asks without leaving the page, and shows what a client is told. Without it the links still ask.
const answer = document.getElementById("answer");
const told = ["RateLimit", "RateLimit-Policy", "Retry-After", "Content-Type"];
const quotas = new Map();

for (const output of document.querySelectorAll("output[data-policy]")) {
  quotas.set(output.dataset.policy, { output, limit: output.dataset.limit });
}

for (const link of document.querySelectorAll("a.ask")) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    const response = await fetch(link.href, { headers: { Accept: "application/json" } });
    const headers = told
      .filter((name) => response.headers.has(name))
      .map((name) => `${name}: ${response.headers.get(name)}`);
    answer.textContent = [`${response.status} ${response.statusText}`, ...headers].join("\n");
    learn(response.headers.get("RateLimit") ?? "");
  });
}

// One item for each policy that was asked: "search";r=2;t=7
function learn(header) {
  for (const [, policy, remains, seconds] of header.matchAll(/"([^"]+)";r=(\d+);t=(\d+)/g)) {
    const quota = quotas.get(policy);
    if (quota) Object.assign(quota, { remains, until: Date.now() + seconds * 1000 });
  }
  show();
}

function show() {
  for (const { output, limit, remains, until } of quotas.values()) {
    if (until === undefined) continue;
    const seconds = Math.ceil((until - Date.now()) / 1000);
    output.textContent = `${remains} of ${limit}, ${seconds > 0 ? `more in ${seconds} s` : "more by now"}`;
  }
}

setInterval(show, 1000);
