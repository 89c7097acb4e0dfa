// Asks without leaving the page, and shows what a client is told. Without it the links still ask.
const answer = document.getElementById("answer");
const told = ["RateLimit", "RateLimit-Policy", "Retry-After", "Content-Type"];

for (const link of document.querySelectorAll("a.ask")) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    const response = await fetch(link.href, { headers: { Accept: "application/json" } });
    const headers = told
      .filter((name) => response.headers.has(name))
      .map((name) => `${name}: ${response.headers.get(name)}`);
    answer.textContent = [`${response.status} ${response.statusText}`, ...headers].join("\n");
  });
}
