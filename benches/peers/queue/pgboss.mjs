// Measures pg-boss.
//
//   node pgboss.mjs URL work|enqueue-many|enqueue-one|latency N HANDS [--variant newest|v10]
//
// Settings:
// - `newest`: a worker fetches 100 jobs, fetches again without a pause while batches are full (`burstWhenBatchFull`),
//   and is woken by LISTEN/NOTIFY (`notify`).
// - `v10` is the last major version for Node.js 20. It only polls, and waits 0.5 seconds (the minimum) even after a
//   full batch. The handler calls `notifyWorker` after a full batch, which skips the wait.
// - Both use HANDS workers in one process, and HANDS + 2 connections.
// - insert gets batches of 5,000 jobs.

import { measure, parse, version } from "./measure.mjs";

const [BATCH, FETCH] = [5_000, 100];
const QUEUE = "bench";

const args = parse(["newest", "v10"]);
const isOld = args.variant === "v10";
const name = isOld ? "pg-boss-10" : "pg-boss";
const module = await import(name);
const PgBoss = module.PgBoss ?? module.default;

async function open(max) {
  const boss = new PgBoss({
    connectionString: args.url,
    max,
    schedule: false, // no cron jobs
    ...(isOld ? {} : { useListenNotify: true }),
  });
  boss.on("error", (error) => console.error(`error: ${error.message}`));
  await boss.start();
  return boss;
}

const [boss, producer] = [await open(args.hands + 2), await open(1)];
await boss.createQueue(QUEUE, isOld ? { name: QUEUE } : { notify: true });
const options = {
  batchSize: FETCH,
  pollingIntervalSeconds: 0.5,
  ...(isOld ? {} : { burstWhenBatchFull: true }),
};

const rival = {
  unfinished: `SELECT count(*) FROM pgboss.job WHERE name = '${QUEUE}' AND state <> 'completed'`,

  async enqueueMany(from, count) {
    for (let start = from; start < from + count; start += BATCH) {
      const length = Math.min(BATCH, from + count - start);
      const jobs = Array.from({ length }, (_, index) => ({ data: { number: start + index } }));
      if (isOld) await producer.insert(jobs.map((job) => ({ name: QUEUE, ...job })));
      else await producer.insert(QUEUE, jobs);
    }
  },

  async enqueueOne(number) {
    await producer.send(QUEUE, { number });
  },

  async startWorker(handler) {
    for (let hand = 0; hand < args.hands; hand += 1) {
      let id;
      id = await boss.work(QUEUE, options, async (jobs) => {
        for (const job of jobs) handler(job.data.number);
        if (isOld && jobs.length === FETCH) boss.notifyWorker(id);
      });
    }
    return () => boss.offWork(QUEUE);
  },
};

await measure(args, rival, {
  rival: `pg-boss ${version(name)}`,
  settings: JSON.stringify({ ...options, insert: BATCH }),
});
await Promise.all([boss, producer].map((one) => one.stop({ graceful: false })));
process.exit(0); // version 10 keeps a timer
