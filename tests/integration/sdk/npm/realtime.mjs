// Reads and publishes events of a channel by the unmodified @upstash/realtime. Each line of the
// standard input is an event to emit; each line of the output is an event that was delivered.
import { createInterface } from "node:readline";
import { Realtime } from "@upstash/realtime";
import { Redis } from "@upstash/redis";

const [channel, after] = process.argv.slice(2);
const realtime = new Realtime({
  redis: Redis.fromEnv(),
  history: { maxLength: 100, expireAfterSecs: 600 },
});
const print = (value) => console.log(JSON.stringify(value));

await realtime.channel(channel).subscribe({
  events: ["chat.message"],
  onData: print,
  ...(after && { after }),
});
print(await realtime.channel(channel).history({ limit: 10 }));
for await (const line of createInterface({ input: process.stdin })) {
  await realtime.channel(channel).emit("chat.message", JSON.parse(line));
}
process.exit(0);
