// BullMQ: delayed jobs, added in bulk, handled by several worker processes. Prints one JSON object.
//
//   node bullmq.mjs PORT ORDERS RATE PROCESSES CONCURRENCY      RATE 0: all due at one instant
//
// Settings: the order's id is the job's id, so that it is stored once. Finished jobs are removed by
// an option of the worker, not of the job, so that data and options of each job stay under 64
// bytes, the limit for Redis' packed hashes. addBulk; a high concurrency for a handler that does
// nothing; several processes, as its documentation recommends; no metrics, no event listener.

import { fork } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';

// The packages are installed in the working directory, not beside this file.
const require = createRequire(path.join(process.cwd(), 'package.json'));
const { Queue, Worker } = require('bullmq');
const { Redis } = require('ioredis');

const [port, orders, rate, processes, concurrency] = process.argv.slice(2).map(Number);
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
const QUEUE = 'orders';

/** One worker: handles jobs, records lags, reports its progress to the parent 20 times a second. */
async function work() {
  const lags = [];
  const handler = async (job) => {
    lags.push(Date.now() - (job.timestamp + job.opts.delay));
  };
  const options = { connection, concurrency, autorun: false, removeOnComplete: { count: 0 } };
  const worker = new Worker(QUEUE, handler, options);
  worker.on('error', (error) => console.error(String(error)));
  await worker.waitUntilReady();
  process.on('message', (what) => {
    if (what === 'cpu') process.send({ cpu: seconds(process.cpuUsage()) });
    if (what === 'lags') process.send({ lags });
  });
  setInterval(() => process.send({ done: lags.length }), 50);
  process.send({ ready: true });
  await worker.run();
}

const seconds = ({ user, system }) => (user + system) / 1e6;

function ask(children, question, field) {
  return Promise.all(
    children.map(
      (child) =>
        new Promise((resolve) => {
          const hear = (message) => {
            if (!(field in message)) return;
            child.off('message', hear);
            resolve(message[field]);
          };
          child.on('message', hear);
          if (question) child.send(question);
        }),
    ),
  );
}

async function info(redis, section, names) {
  const text = await redis.info(section);
  const figure = (name) => Number(text.match(new RegExp(`^${name}:(.*)$`, 'm'))[1]);
  return names.reduce((sum, name) => sum + figure(name), 0);
}

const cpu = (redis) => info(redis, 'cpu', ['used_cpu_sys', 'used_cpu_user']);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function fill(name, count, due) {
  const queue = new Queue(name, { connection });
  for (let first = 0; first < count; first += 1000) {
    const jobs = [];
    for (let i = first; i < Math.min(first + 1000, count); i++) {
      const buyer_id = `buyer${String(i).padStart(7, '0')}`;
      const data = { buyer_id, amount: 59000, currency: 'KRW' };
      const jobId = `20261123-${String(i).padStart(9, '0')}`; // BullMQ refuses integers
      jobs.push({ name: 'receive', data, opts: { jobId, delay: due(i) - Date.now() } });
    }
    await queue.addBulk(jobs);
  }
  return queue;
}

async function main() {
  const redis = new Redis(connection);
  const later = Date.now() + 86_400_000;
  const trial = Math.min(5_000, orders);
  const started = Date.now();
  const tried = await fill('trial', trial, () => later);
  const first = Date.now() + 1_500 + (Date.now() - started) * (orders / trial) * 1.4;
  await tried.obliterate({ force: true });
  const before = await info(redis, 'memory', ['used_memory']);
  const due = (i) => Math.round(first + (rate === 0 ? 0 : (i * 1000) / rate));
  const queue = await fill(QUEUE, orders, due);
  const bytes = ((await info(redis, 'memory', ['used_memory'])) - before) / orders;
  const env = { ...process.env, WORKER: '1' };
  const start_worker = () => fork(process.argv[1], process.argv.slice(2), { env });
  const children = Array.from({ length: processes }, start_worker);
  await ask(children, null, 'ready');
  if (Date.now() >= first) {
    throw new Error('adding the jobs took too long: some were due before the start');
  }
  const done = children.map(() => 0);
  children.forEach((child, i) => {
    child.on('message', (message) => {
      if ('done' in message) done[i] = message.done;
    });
  });
  await sleep(first - Date.now());
  const start = performance.now();
  const server = await cpu(redis);
  const own = (await ask(children, 'cpu', 'cpu')).reduce((a, b) => a + b, 0);
  while (done.reduce((a, b) => a + b, 0) < orders) await sleep(5);
  for (;;) {
    const left = await queue.getJobCounts('active', 'wait', 'delayed');
    if (left.active + left.wait + left.delayed === 0) break;
    await sleep(5);
  }
  const taken = (performance.now() - start) / 1000;
  const own_at_end = (await ask(children, 'cpu', 'cpu')).reduce((a, b) => a + b, 0);
  const used = { own: own_at_end - own, server: (await cpu(redis)) - server };
  const lags = (await ask(children, 'lags', 'lags')).flat().sort((a, b) => a - b);
  const at = (q) => lags[Math.min(lags.length - 1, Math.ceil(q * lags.length) - 1)];
  const lag_ms = {
    p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999),
    max: lags.at(-1), count: lags.length,
  };
  console.log(
    JSON.stringify({
      peer: 'bullmq', orders, processes, concurrency, seconds: taken,
      orders_per_second: orders / taken, lag_ms,
      cpu_seconds: { ...used, total: used.own + used.server }, bytes_per_order: Math.round(bytes),
    }),
  );
  children.forEach((child) => child.kill());
  process.exit(0);
}

await (process.env.WORKER ? work() : main());
