// Shows the progress of a report, and loads the page again when it is ready. Without JavaScript, the
// page is refreshed each second.
const report = document.getElementById("report");
const progress = document.getElementById("progress");
const percent = document.getElementById("percent");

function showPercent(value) {
  if (value <= progress.value) return;
  progress.value = value;
  percent.textContent = `${value} %`;
}

async function readState() {
  const response = await fetch(report.dataset.stateUrl);
  if (!response.ok) return;
  const state = await response.json();
  showPercent(state.percent);
  if (state.is_finished) location.reload();
  else if (state.percent === 100) setTimeout(readState, 200);
}

function connect() {
  const { liveUrl, channel } = report.dataset;
  const aMinuteAgo = Date.now() - 60_000;
  const query = new URLSearchParams({ channel, [`last_ack_${channel}`]: aMinuteAgo });
  const source = new EventSource(`${liveUrl}?${query}`);
  source.onmessage = (message) => {
    const { id, data } = JSON.parse(message.data);
    if (!id || data.report !== report.dataset.report) return;
    showPercent(data.percent);
    if (data.percent === 100) readState();
  };
  // A task that failed, or that began again elsewhere, sends no event.
  setInterval(readState, 5_000);
}

if (report?.dataset.finished === "no") connect();
