// A consumer in a group: reads order events and credits points once per event id. See README.md.
import { createClient } from "redis";

const stream = process.env.STREAM ?? "orders";
const group = "points";
// Each instance needs its own name and keeps it over restarts: Redis stores its unacknowledged
// entries under this name.
const consumer = process.env.CONSUMER ?? "points-1";

const redis = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379/0" });
redis.on("error", (error) => console.error(String(error)));

async function handle(event: Record<string, string>): Promise<void> {
  if (event.type !== "order.received") return;
  const { order } = JSON.parse(event.body).data;
  // The event's id is the field, so a repeat does nothing. The points of a buyer are the sum.
  const points = Math.floor((order.amount ?? 0) / 100);
  await redis.hSetNX(`points:${order.buyer_id}`, event.id, String(points));
}

type Entry = { id: string; message: Record<string, string> | null };

async function main(): Promise<void> {
  await redis.connect();
  await redis.xGroupCreate(stream, group, "0", { MKSTREAM: true }).catch((error) => {
    if (!String(error).includes("BUSYGROUP")) throw error;
  });
  let position = "0"; // first the entries that were read before a crash, then (">") new ones
  for (;;) {
    const from = { key: stream, id: position };
    const answer: any = await redis.xReadGroup(group, consumer, from, { COUNT: 100, BLOCK: 5000 });
    const entries: Entry[] = answer?.[0]?.messages ?? [];
    if (position !== ">" && entries.length === 0) position = ">";
    for (const { id, message } of entries) {
      if (message?.id) await handle(message); // a trimmed entry has no fields
      await redis.xAck(stream, group, id);
    }
    if (position !== ">" && entries.length > 0) position = entries[entries.length - 1].id;
  }
}

main();
