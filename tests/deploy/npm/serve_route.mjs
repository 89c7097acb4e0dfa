// Serves a compiled route handler of Next.js: node serve_route.mjs MODULE PORT
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [file, port] = process.argv.slice(2);
const route = await import(pathToFileURL(file).href);

createServer(async (incoming, outgoing) => {
  const { method, headers } = incoming;
  const body = method === "GET" ? undefined : incoming;
  const url = `http://localhost${incoming.url}`;
  const request = new Request(url, { method, headers, body, duplex: "half" });
  const response = await route[method](request);
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  outgoing.end(await response.text());
}).listen(Number(port), "127.0.0.1");
