// Measures graphile-worker.
//
//   node graphile.mjs URL work|enqueue-many|enqueue-one|latency N HANDS [--variant local-queue|plain]
//
// Settings:
// - `local-queue` has the settings of the published benchmark: a local queue of 500 jobs, and completions in batches
//   without a delay. Source: https://worker.graphile.org/docs/performance
// - `plain` has the default settings. Each hand claims one job and completes it in a round trip of its own.
// - Both use HANDS concurrent jobs in one process, and HANDS + 2 connections as the documentation recommends.
// - add_jobs gets batches of 5,000 jobs. Larger batches are not faster.

import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { measure, parse, version } from "./measure.mjs";

const BATCH = 5_000;
const VARIANTS = {
  "local-queue": { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 },
  plain: {},
};

process.env.NO_LOG_SUCCESS = "1"; // as in the published benchmark: do not log each completed job
const args = parse(Object.keys(VARIANTS));
const logger = new Logger(() => (level, message) => {
  if (level === "error" || level === "warning") console.error(`${level}: ${message}`);
});
const pool = new pg.Pool({ connectionString: args.url, max: args.hands + 2 });
const producer = new pg.Pool({ connectionString: args.url, max: 1 });
for (const each of [pool, producer]) {
  const report = (error) => console.error(`error: ${error.message}`);
  each.on("error", report);
  each.on("connect", (client) => client.on("error", report));
}
const worker = { concurrentJobs: args.hands, maxPoolSize: args.hands + 2, ...VARIANTS[args.variant] };
const utils = await makeWorkerUtils({ pgPool: producer, logger });
await utils.migrate();

const rival = {
  unfinished: "SELECT count(*) FROM graphile_worker._private_jobs",

  async enqueueMany(from, count) {
    for (let start = from; start < from + count; start += BATCH) {
      const length = Math.min(BATCH, from + count - start);
      await utils.addJobs(
        Array.from({ length }, (_, index) => ({ identifier: "bench", payload: { number: start + index } })),
      );
    }
  },

  async enqueueOne(number) {
    await utils.addJob("bench", { number });
  },

  async startWorker(handler) {
    const runner = await run({
      pgPool: pool,
      logger,
      noHandleSignals: true,
      taskList: { bench: ({ number }) => handler(number) },
      parsedCronItems: [],
      preset: { worker },
    });
    return () => runner.stop();
  },
};

await measure(args, rival, {
  rival: `graphile-worker ${version("graphile-worker")}`,
  settings: JSON.stringify({ ...worker, addJobs: BATCH }),
});
await utils.release();
await Promise.all([pool.end(), producer.end()]);
