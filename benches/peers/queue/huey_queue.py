#!/usr/bin/env python3
"""Measures huey on SQLite.

    python huey_queue.py PATH work|enqueue-one|latency N HANDS [--variant no-fsync|fsync]

Settings:
- `no-fsync` sets `fsync=False`, which is faster and less safe than viraldb's `synchronous = NORMAL`.
- `fsync` keeps SQLite's default, `synchronous = FULL`, which is slower and safer than viraldb's.
- Both use WAL (the default), do not store results, and run HANDS threads, which share one connection.
- Idle workers look for jobs every 10 ms. The default is every 100 ms, and less often the longer they are idle.

huey has no call that stores many jobs. It deletes a job when a worker claims it, so the job is lost if the worker dies.
"""

import importlib.metadata
import logging
import sqlite3
import time

import huey
import measure

POLLING = 0.01
VARIANTS = {"no-fsync": False, "fsync": None}


class Rival:
    def __init__(self, args):
        self.path = args.url.removeprefix("sqlite://")
        self.huey = huey.SqliteHuey(filename=self.path, fsync=VARIANTS[args.variant], results=False)
        self.hands = args.hands
        self.handler = None
        self.task = self.huey.task(name="bench")(self.run)

    def run(self, number):
        self.handler(number)

    def unfinished(self):
        return self.huey.storage.queue_size()

    def checkpoint(self):
        conn = sqlite3.connect(self.path)
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.close()

    def start(self):
        """Starts a worker and returns it."""
        consumer = self.huey.create_consumer(
            workers=self.hands, worker_type="thread", periodic=False, initial_delay=POLLING, max_delay=POLLING
        )
        consumer.start()
        return consumer


def stop(consumer):
    consumer.stop(graceful=True)


def drain(rival, count):
    handled = []
    rival.handler = handled.append
    start = time.perf_counter()
    consumer = rival.start()
    while len(handled) < count or rival.unfinished():
        time.sleep(0.005)
    seconds = time.perf_counter() - start
    stop(consumer)
    measure.check("handlers ran", len(handled), count)
    return seconds


def work(rival, count):
    for number in range(measure.WARM_UP):
        rival.task(number)
    drain(rival, measure.WARM_UP)
    for number in range(count):
        rival.task(number)
    rival.checkpoint()
    return measure.rate(count, drain(rival, count))


def enqueue_one(rival, count):
    for number in range(measure.SINGLE_WARM_UP):
        rival.task(number)
    rival.checkpoint()
    start = time.perf_counter()
    for number in range(count):
        rival.task(number)
    result = measure.rate(count, time.perf_counter() - start)
    measure.check("jobs are in the table", rival.unfinished(), measure.SINGLE_WARM_UP + count)
    return result


def latency(rival, count):
    enqueued, times = {}, {}

    def handler(number):
        times[number] = time.perf_counter() - enqueued[number]

    rival.handler = handler
    consumer = rival.start()
    time.sleep(1)  # until the workers are idle
    turn = time.perf_counter()
    for number in range(measure.LATENCY_WARM_UP + count):
        enqueued[number] = time.perf_counter()
        rival.task(number)
        turn = max(turn + measure.INTERVAL, time.perf_counter())
        time.sleep(max(0, turn - time.perf_counter()))
    while len(times) < measure.LATENCY_WARM_UP + count:
        time.sleep(0.02)
    stop(consumer)
    return measure.percentiles(times, count)


MEASUREMENTS = {"work": work, "enqueue-one": enqueue_one, "latency": latency}


def main():
    args = measure.parse("Measure huey on SQLite.", list(MEASUREMENTS), list(VARIANTS))
    logging.getLogger("huey").setLevel(logging.ERROR)
    rival = Rival(args)
    result = MEASUREMENTS[args.what](rival, args.count)
    settings = f"{args.hands} threads, fsync={VARIANTS[args.variant]}, results=False, polling every {POLLING} s"
    measure.report(args, f"huey {importlib.metadata.version('huey')}", settings, result)


if __name__ == "__main__":
    main()
