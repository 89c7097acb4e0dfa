// A page with the unmodified React hook of @upstash/realtime: it lists what the hook delivers.
import { useState } from "react";
import { createRoot } from "react-dom/client";
import { RealtimeProvider, useRealtime } from "@upstash/realtime/client";

function Events() {
  const [events, setEvents] = useState([]);
  const { status } = useRealtime({
    channels: ["room", "room 2"],
    onData: (event) => setEvents((earlier) => [...earlier, event]),
  });
  return (
    <>
      <output id="status">{status}</output>
      <ol>{events.map((event, at) => <li key={at}>{JSON.stringify(event)}</li>)}</ol>
    </>
  );
}

createRoot(document.getElementById("root")).render(
  <RealtimeProvider api={{ url: "/api/realtime", withCredentials: true }}><Events /></RealtimeProvider>,
);
