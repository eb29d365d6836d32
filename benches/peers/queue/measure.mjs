// The command line, the clock and the output that the Node.js rivals share.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import pg from "pg";

const WARM_UP = 1_000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Parses `URL WHAT N HANDS [--variant NAME]`. Exits with 2 if an argument is invalid. */
export function parse(variants) {
  const usage = `usage: URL work|enqueue-many|enqueue-one|latency N HANDS [--variant ${variants.join("|")}]`;
  const fail = (reason) => {
    console.error(`error: ${reason}\n${usage}`);
    process.exit(2);
  };
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { variant: { type: "string", default: variants[0] } },
  });
  const [url, what, ...numbers] = positionals;
  const [count, hands] = numbers.map(Number);
  if (positionals.length !== 4) fail(`expected 4 arguments, got ${positionals.length}`);
  if (!["work", "enqueue-many", "enqueue-one", "latency"].includes(what)) fail(`unknown measurement "${what}"`);
  if (![count, hands].every((number) => Number.isInteger(number) && number > 0)) {
    fail(`N and HANDS must be whole numbers above 0, got "${numbers.join(" ")}"`);
  }
  if (!variants.includes(values.variant)) fail(`unknown variant "${values.variant}"`);
  return { url, what, count, hands, variant: values.variant };
}

/** Returns the version of an installed package. */
export function version(name) {
  const require = createRequire(import.meta.url);
  const folder = require.resolve.paths(name)[0];
  return JSON.parse(readFileSync(`${folder}/${name}/package.json`, "utf8")).version;
}

/**
 * Runs one measurement and prints it as one line of JSON.
 *
 * `rival` has these functions:
 * - `enqueueMany(from, count)` stores jobs with the numbers from `from`. Its batch size is the rival's own choice.
 * - `enqueueOne(number)` stores one job.
 * - `startWorker(handler)` starts a worker that calls `handler(number)` for each job. Returns a function that stops it.
 * - `unfinished` is a query that returns the number of jobs that are not completed in the table.
 */
export async function measure(args, rival, facts) {
  const client = new pg.Client({ connectionString: args.url });
  await client.connect();
  const unfinished = async () => Number((await client.query(rival.unfinished)).rows[0].count);
  // Prepare as the Rust benchmark does: up-to-date statistics, and no checkpoint from earlier work.
  const settle = async () => {
    await client.query("VACUUM ANALYZE");
    await client.query("CHECKPOINT");
  };
  const measurements = { work, latency, "enqueue-many": enqueueMany, "enqueue-one": enqueueOne };
  const result = await measurements[args.what](args, rival, unfinished, settle);
  await client.end();
  const { what, count, hands, variant } = args;
  console.log(JSON.stringify({ ...facts, node: process.versions.node, what, variant, count, hands, ...result }));
}

/** Processes jobs until the table says that none is left. Returns the seconds that this took. */
async function drain(rival, count, unfinished) {
  let handled = 0;
  let finish;
  const allHandled = new Promise((resolve) => (finish = resolve));
  const start = performance.now();
  const stop = await rival.startWorker(() => {
    handled += 1;
    if (handled === count) finish();
  });
  await allHandled;
  while ((await unfinished()) > 0) await sleep(1);
  const seconds = (performance.now() - start) / 1_000;
  await stop();
  if (handled !== count) throw new Error(`${handled} handlers ran for ${count} jobs`);
  return seconds;
}

async function work({ count }, rival, unfinished, settle) {
  // Let V8 compile the code first, because a worker usually runs for days.
  await rival.enqueueMany(0, WARM_UP);
  await drain(rival, WARM_UP, unfinished);
  await rival.enqueueMany(0, count);
  await settle();
  return rate(count, await drain(rival, count, unfinished));
}

async function enqueueMany({ count }, rival, unfinished, settle) {
  await rival.enqueueMany(0, WARM_UP);
  await settle();
  const start = performance.now();
  await rival.enqueueMany(WARM_UP, count);
  const result = rate(count, (performance.now() - start) / 1_000);
  await expect(unfinished, WARM_UP + count);
  return result;
}

async function enqueueOne({ count }, rival, unfinished, settle) {
  for (let number = 0; number < 100; number += 1) await rival.enqueueOne(number);
  await settle();
  const start = performance.now();
  for (let number = 0; number < count; number += 1) await rival.enqueueOne(number);
  const result = rate(count, (performance.now() - start) / 1_000);
  await expect(unfinished, 100 + count);
  return result;
}

/** Gives an idle worker one job each 20 ms, and measures the time from before the call to the start of the handler. */
async function latency({ count }, rival, unfinished) {
  const warmUp = 20;
  const [enqueued, times] = [new Map(), []];
  const stop = await rival.startWorker((number) => {
    times.push([number, performance.now() - enqueued.get(number)]);
  });
  await sleep(1_000); // until the worker is idle
  let next = performance.now();
  for (let number = 0; number < warmUp + count; number += 1) {
    enqueued.set(number, performance.now());
    await rival.enqueueOne(number);
    next = Math.max(next + 20, performance.now());
    await sleep(next - performance.now());
  }
  while ((await unfinished()) > 0) await sleep(20);
  await stop();
  const sorted = times.filter(([number]) => number >= warmUp).map(([, ms]) => ms);
  if (sorted.length !== count) throw new Error(`${sorted.length} handlers ran for ${count} jobs`);
  sorted.sort((a, b) => a - b);
  const percentile = (part) => Number(sorted[Math.ceil(sorted.length * part) - 1].toFixed(3));
  return { p50_ms: percentile(0.5), p99_ms: percentile(0.99) };
}

async function expect(unfinished, count) {
  const found = await unfinished();
  if (found !== count) throw new Error(`the table has ${found} jobs instead of ${count}`);
}

function rate(count, seconds) {
  return { seconds: Number(seconds.toFixed(4)), per_second: Math.round(count / seconds) };
}
