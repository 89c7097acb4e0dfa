// Runs a compiled Worker in workerd: node serve_worker.mjs MODULE PORT; its variables are the
// environment variables that WORKER_VARIABLES names.
import { readFileSync } from "node:fs";
import { Miniflare } from "miniflare";

const [file, port] = process.argv.slice(2);
const names = process.env.WORKER_VARIABLES.split(",");
const miniflare = new Miniflare({
  modules: true,
  script: readFileSync(file, "utf8"),
  compatibilityDate: process.env.COMPATIBILITY_DATE,
  host: "127.0.0.1",
  port: Number(port),
  cf: false,
  bindings: Object.fromEntries(names.map((name) => [name, process.env[name]])),
});
await miniflare.ready;
process.on("SIGTERM", async () => {
  await miniflare.dispose();
  process.exit(0);
});
