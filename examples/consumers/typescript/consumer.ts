// Reads order events as a member of a consumer group and credits points, once for each event id. See README.md.
import { createClient } from "redis";

const stream = process.env.STREAM ?? "orders";
const group = "points";
// A name of its own for each instance, kept over restarts: what an instance had read and not acknowledged waits under its name.
const consumer = process.env.CONSUMER ?? "points-1";

const redis = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379/0" });
redis.on("error", (error) => console.error(String(error)));

async function handle(event: Record<string, string>): Promise<void> {
  if (event.type !== "order.received") return;
  const { order } = JSON.parse(event.body).data;
  // The event's id is the key of what is done, so a repeat does nothing. A buyer's points are the sum of the hash's values.
  await redis.hSetNX(`points:${order.buyer_id}`, event.id, String(Math.floor((order.amount ?? 0) / 100)));
}

async function main(): Promise<void> {
  await redis.connect();
  await redis.xGroupCreate(stream, group, "0", { MKSTREAM: true }).catch((error) => {
    if (!String(error).includes("BUSYGROUP")) throw error;
  });
  let position = "0"; // first what was read before a crash, then (">") what is new
  for (;;) {
    const answer: any = await redis.xReadGroup(group, consumer, { key: stream, id: position }, { COUNT: 100, BLOCK: 5000 });
    const entries: { id: string; message: Record<string, string> | null }[] = answer?.[0]?.messages ?? [];
    if (position !== ">" && entries.length === 0) position = ">";
    for (const { id, message } of entries) {
      if (message?.id) await handle(message); // an entry that was cut off meanwhile has no fields
      await redis.xAck(stream, group, id);
    }
    if (position !== ">" && entries.length > 0) position = entries[entries.length - 1].id;
  }
}

main();
