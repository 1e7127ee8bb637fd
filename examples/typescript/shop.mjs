// @ts-check
// A shop in one file. It places and pays orders, and credits points when an order was received.
//
//     AUTORECEIVE_WEBHOOK_SECRET=whsec_… node shop.mjs A-1001 A-1002
//
// It needs only Node 18 or newer. The types are in comments: the file runs without a build, and
// editors check it.

import { createHmac, timingSafeEqual } from "node:crypto";
import {
  appendFileSync, closeSync, existsSync, fsyncSync, openSync, readFileSync, truncateSync,
} from "node:fs";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * @typedef {{
 *   order_id: string, status: string, version: number,
 *   buyer_id?: string, amount?: number, currency?: string,
 * }} Order
 * @typedef {{
 *   id: string, type: string, timestamp: string, data: { cause: string, order: Order },
 * }} OrderEvent
 */

const SERVICE = process.env.AUTORECEIVE_URL ?? "http://127.0.0.1:8780";
const TOKEN = process.env.AUTORECEIVE_TOKEN;
const PORT = Number(process.env.PORT ?? 9000);
const KEY = readKey(process.env.AUTORECEIVE_WEBHOOK_SECRET ?? "");
const POINTS = process.env.POINTS_FILE ?? "points.ndjson";
const BODY_BYTES = 256 * 1024;

/** @param {string} secret */
function readKey(secret) {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  if (!secret.startsWith("whsec_") || key.length < 24) {
    throw new Error("AUTORECEIVE_WEBHOOK_SECRET must be a whsec_… secret");
  }
  return key;
}

// ---- calling the service -----------------------------------------------------------------------

/**
 * Sends a command. After no answer, 408, 429 or 503 it repeats it: every command is safe to repeat.
 *
 * @param {string} path
 * @param {object} body
 * @returns {Promise<Order>}
 */
async function ask(path, body) {
  /** @type {Record<string, string>} */
  const headers = { "content-type": "application/json" };
  if (TOKEN) headers.authorization = `Bearer ${TOKEN}`;
  for (let attempt = 1; ; attempt++) {
    const signal = AbortSignal.timeout(10_000);
    const request = { method: "POST", headers, body: JSON.stringify(body), signal };
    let why;
    try {
      const answer = await fetch(SERVICE + path, request);
      const json = await answer.json();
      if (answer.ok) return json;
      if (![408, 429, 503].includes(answer.status)) {
        throw new Refused(`${json.code}: ${json.title}`);
      }
      why = json.title;
    } catch (error) {
      if (error instanceof Refused || attempt === 10) throw error;
      why = String(error);
    }
    if (attempt === 10) throw new Error(why);
    await sleep(Math.min(500 * attempt, 5_000));
  }
}

/** The service refused the command. A repeat would get the same answer. */
class Refused extends Error {}

/** @param {string} id */
async function buy(id) {
  await ask("/v1/orders", { order_id: id, buyer_id: "buyer-7", amount: 59_000, currency: "KRW" });
  const order = await ask(`/v1/orders/${encodeURIComponent(id)}/pay`, {});
  console.log(`${id} is ${order.status}`);
}

// ---- points, credited once ---------------------------------------------------------------------

// One line is one credit with its webhook-id: both are on the disk, or neither is. A shop with a
// database inserts the id into a table with a unique key, in the same transaction as the credit.

/** The webhook-ids that were credited. */
const credited = readCredited();

function readCredited() {
  if (!existsSync(POINTS)) return new Set();
  const bytes = readFileSync(POINTS);
  // A crash can cut off the last line. Its webhook was not answered, so it comes again.
  const whole = bytes.lastIndexOf("\n") + 1;
  if (whole < bytes.length) truncateSync(POINTS, whole);
  const lines = bytes.subarray(0, whole).toString().split("\n").filter(Boolean);
  return new Set(lines.map((line) => JSON.parse(line).webhook_id));
}

/**
 * @param {string} webhookId
 * @param {Order} order
 */
function credit(webhookId, order) {
  if (credited.has(webhookId)) return console.log(`${webhookId} again: nothing to do`);
  const points = Math.floor((order.amount ?? 0) / 100);
  const file = openSync(POINTS, "a");
  try {
    const line = { webhook_id: webhookId, order_id: order.order_id, points };
    appendFileSync(file, JSON.stringify(line) + "\n");
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  credited.add(webhookId);
  console.log(`${order.order_id}: ${points} points`);
}

// ---- receiving webhooks ------------------------------------------------------------------------

/**
 * Checks that the message was signed with our secret in the last five minutes
 * (https://www.standardwebhooks.com).
 *
 * @param {import("node:http").IncomingHttpHeaders} headers
 * @param {Buffer} body the original bytes, not parsed JSON
 */
function isGenuine(headers, body) {
  const header = (/** @type {string} */ name) => String(headers[name] ?? "");
  const id = header("webhook-id");
  const time = header("webhook-timestamp");
  const signatures = header("webhook-signature");
  if (!id || !(Math.abs(Date.now() / 1000 - Number(time || NaN)) <= 300)) return false;
  const expected = createHmac("sha256", KEY).update(`${id}.${time}.`).update(body).digest();
  return signatures.split(" ").some((signature) => {
    const given = Buffer.from(signature.startsWith("v1,") ? signature.slice(3) : "", "base64");
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

/**
 * @param {import("node:http").IncomingMessage} request
 * @returns {Promise<Buffer | undefined>}
 */
async function readBody(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** @param {import("node:http").IncomingMessage} request */
async function receive(request) {
  if (request.method !== "POST") return 405;
  const body = await readBody(request);
  if (!body) return 413;
  if (!isGenuine(request.headers, body)) return 401;
  /** @type {OrderEvent} */
  const event = JSON.parse(body.toString());
  if (event.type === "order.received") {
    credit(String(request.headers["webhook-id"]), event.data.order);
  }
  return 204; // Only after the work is done: without a 2xx the webhook comes again.
}

const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
  receive(request)
    .catch((error) => (console.error(error), 500))
    .then((status) => {
      response.writeHead(status, status === 413 ? { connection: "close" } : {}).end();
    });
});

server.on("error", (error) => {
  console.error(`cannot listen on 127.0.0.1:${PORT} (${error.message}); set PORT to another port`);
  process.exit(1);
});

server.listen(PORT, "127.0.0.1", async () => {
  console.log(`receiving webhooks on http://127.0.0.1:${PORT}/`);
  for (const id of process.argv.slice(2)) await buy(id);
});
