// Shows the events of a channel. EventSource reconnects by itself and sends the id of the last event,
// so that none is missed and none is shown twice.
const list = document.getElementById("events");
const connection = document.getElementById("connection");
const received = document.getElementById("received");
const maxShown = 50;
const descriptions = {
  "page.visited": ({ path }) => `${path} was visited`,
  "limit.refused": ({ policy }) => `The rate limit “${policy}” refused a request`,
  "backend.changed": ({ backend, state }) => `The cache uses ${backend}, its circuit breaker is ${state}`,
  hello: ({ from }) => `Hello from ${from}`,
};

function show({ id, event, data }) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  const at = new Date(Number(id.split("-")[0]));
  time.dateTime = at.toISOString();
  time.textContent = at.toLocaleTimeString();
  const text = document.createElement("span");
  text.textContent = (descriptions[event] ?? JSON.stringify)(data);
  item.dataset.event = event;
  item.append(time, text);
  list.prepend(item);
  while (list.children.length > maxShown) list.lastChild.remove();
  received.textContent = Number(received.textContent) + 1;
}

function setConnection(text) {
  if (connection.textContent !== text) connection.textContent = text;
}

function connect() {
  const { url, channel } = list.dataset;
  const fiveMinutesAgo = Date.now() - 300_000;
  const query = new URLSearchParams({ channel, [`last_ack_${channel}`]: fiveMinutesAgo });
  const source = new EventSource(`${url}?${query}`);
  source.onmessage = (message) => {
    const frame = JSON.parse(message.data);
    if (frame.id) show(frame);
    else if (frame.type === "connected") setConnection("open");
    else if (frame.type === "error") setConnection(frame.error);
  };
  source.onerror = () => setConnection("interrupted, trying again");
}

if (list) connect();

document.getElementById("hello")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  await fetch(event.target.action, { method: "POST", body: new FormData(event.target) });
});
