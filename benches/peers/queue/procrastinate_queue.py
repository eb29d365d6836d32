#!/usr/bin/env python3
"""Measures Procrastinate.

    python procrastinate_queue.py URL work|enqueue-many|enqueue-one|latency N HANDS [--variant workers|concurrency]

Settings:
- `workers` runs HANDS workers in one process. Each fetches and finishes one job at a time.
- `concurrency` runs one worker with HANDS concurrent jobs. This worker fetches one job at a time.
- Both use LISTEN/NOTIFY (the default), keep finished jobs (the default), and have 2 connections for each worker, one of
  which listens, and 2 more.
- batch_defer gets batches of 5,000 jobs.
"""

import asyncio
import importlib.metadata
import logging
import time

import measure
import procrastinate
import psycopg

BATCH = 5_000
UNFINISHED = "SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded'"


class Rival:
    def __init__(self, args):
        self.args = args
        self.handler = None
        is_one = args.variant == "concurrency"
        self.workers, self.concurrency = (1, args.hands) if is_one else (args.hands, 1)
        connector = procrastinate.PsycopgConnector(conninfo=args.url, min_size=1, max_size=2 * args.hands + 2)
        self.app = procrastinate.App(connector=connector)
        self.task = self.app.task(name="bench")(self.run)

    async def run(self, number):
        self.handler(number)

    async def enqueue_many(self, start, count):
        for first in range(start, start + count, BATCH):
            last = min(first + BATCH, start + count)
            await self.task.batch_defer_async(*({"number": number} for number in range(first, last)))

    async def work(self, wait):
        """Runs the workers until no job is left, or if `wait` is true, until they are canceled."""
        await asyncio.gather(
            *(
                self.app.run_worker_async(
                    name=f"worker-{number}", concurrency=self.concurrency, wait=wait, install_signal_handlers=False
                )
                for number in range(self.workers)
            )
        )


class Table:
    """A separate connection that prepares and checks the table."""

    def __init__(self, conn):
        self.conn = conn

    async def unfinished(self):
        return (await (await self.conn.execute(UNFINISHED)).fetchone())[0]

    async def settle(self):
        for statement in ("VACUUM ANALYZE", "CHECKPOINT"):
            await self.conn.execute(statement)


async def drain(rival, table, count):
    handled = []
    rival.handler = handled.append
    start = time.perf_counter()
    await rival.work(wait=False)
    left = await table.unfinished()
    seconds = time.perf_counter() - start
    measure.check("jobs are left", left, 0)
    measure.check("handlers ran", len(handled), count)
    return seconds


async def work(rival, table, count):
    await rival.enqueue_many(0, measure.SINGLE_WARM_UP)
    await drain(rival, table, measure.SINGLE_WARM_UP)
    await rival.enqueue_many(0, count)
    await table.settle()
    return measure.rate(count, await drain(rival, table, count))


async def enqueue_many(rival, table, count):
    await rival.enqueue_many(0, measure.WARM_UP)
    await table.settle()
    start = time.perf_counter()
    await rival.enqueue_many(measure.WARM_UP, count)
    result = measure.rate(count, time.perf_counter() - start)
    measure.check("jobs are in the table", await table.unfinished(), measure.WARM_UP + count)
    return result


async def enqueue_one(rival, table, count):
    for number in range(measure.SINGLE_WARM_UP):
        await rival.task.defer_async(number=number)
    await table.settle()
    start = time.perf_counter()
    for number in range(count):
        await rival.task.defer_async(number=number)
    result = measure.rate(count, time.perf_counter() - start)
    measure.check("jobs are in the table", await table.unfinished(), measure.SINGLE_WARM_UP + count)
    return result


async def latency(rival, table, count):
    enqueued, times = {}, {}

    def handler(number):
        times[number] = time.perf_counter() - enqueued[number]

    rival.handler = handler
    workers = asyncio.create_task(rival.work(wait=True))
    await asyncio.sleep(1)  # until the workers are idle
    turn = time.perf_counter()
    for number in range(measure.LATENCY_WARM_UP + count):
        enqueued[number] = time.perf_counter()
        await rival.task.defer_async(number=number)
        turn = max(turn + measure.INTERVAL, time.perf_counter())
        await asyncio.sleep(turn - time.perf_counter())
    while await table.unfinished():
        await asyncio.sleep(0.02)
    workers.cancel()
    await asyncio.gather(workers, return_exceptions=True)
    return measure.percentiles(times, count)


MEASUREMENTS = {"work": work, "enqueue-many": enqueue_many, "enqueue-one": enqueue_one, "latency": latency}


async def main():
    args = measure.parse("Measure Procrastinate.", list(MEASUREMENTS), ["workers", "concurrency"])
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    rival = Rival(args)
    async with rival.app.open_async(), await psycopg.AsyncConnection.connect(args.url, autocommit=True) as conn:
        await rival.app.schema_manager.apply_schema_async()
        result = await MEASUREMENTS[args.what](rival, Table(conn), args.count)
    settings = f"{rival.workers} workers, concurrency {rival.concurrency}, batch_defer {BATCH}"
    measure.report(args, f"procrastinate {importlib.metadata.version('procrastinate')}", settings, result)


if __name__ == "__main__":
    asyncio.run(main())
