#!/usr/bin/env python3
"""Writes to a SQLite database while another program uses it, and measures how long each write takes.

    python neighbor.py DB SECONDS

Two processes each insert one row into error_log in its own transaction, pause for 1 ms, and repeat until SECONDS have
passed. They use Python's sqlite3 with its default timeout of 5 seconds, like another application on the same file. A
SIGTERM ends the measurement early, and the result is still printed.

Prints one JSON line: the number of successful writes, the median, 99th percentile and maximum of all attempts in
milliseconds, and the number of attempts that failed with "database is locked". The time of a failed attempt is the time
that it waited.
"""

import argparse
import json
import math
import multiprocessing
import os
import signal
import sqlite3
import time

WRITERS = 2
PAUSE = 0.001


def write(path, seconds, barrier, stop, results):
    """Inserts rows until the time is up. Sends back the milliseconds of each attempt and the number of failures."""
    # Ignore the signals, because the parent decides when to stop.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Use autocommit, so that each INSERT is its own transaction.
    connection = sqlite3.connect(path, timeout=5, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    times, failures = [], 0
    barrier.wait(timeout=30)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end and not stop.is_set():
        start = time.perf_counter()
        try:
            connection.execute(
                "INSERT INTO error_log (module, error_type, error_message) VALUES (?, ?, ?)",
                ("neighbor", "Benchmark", f"write {len(times)}"),
            )
        except sqlite3.OperationalError as error:
            if "database is locked" not in str(error):
                raise
            failures += 1
        times.append((time.perf_counter() - start) * 1_000)
        time.sleep(PAUSE)
    connection.close()
    results.send((times, failures))


def percentile(times, fraction):
    """Returns the smallest time that at least this fraction of the sorted times do not exceed."""
    return round(times[math.ceil(len(times) * fraction) - 1], 3) if times else None


def main():
    parser = argparse.ArgumentParser(description="Measure small writes to a SQLite database from two processes.")
    parser.add_argument("db", help="path of the database, or sqlite:///path")
    parser.add_argument("seconds", type=float)
    args = parser.parse_args()
    path = args.db.removeprefix("sqlite:///")
    if not os.path.exists(path):
        parser.error(f"the database {path} does not exist")  # sqlite3 would create an empty one

    stop = multiprocessing.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    barrier = multiprocessing.Barrier(WRITERS)
    pipes, writers = [], []
    for _ in range(WRITERS):
        receive, send = multiprocessing.Pipe(duplex=False)
        writer = multiprocessing.Process(target=write, args=(path, args.seconds, barrier, stop, send))
        writer.start()
        send.close()  # so that recv() fails instead of waiting forever if a writer dies
        pipes.append(receive)
        writers.append(writer)

    results = [pipe.recv() for pipe in pipes]
    for writer in writers:
        writer.join()
    times = sorted(milliseconds for of_one, _ in results for milliseconds in of_one)
    failures = sum(failed for _, failed in results)
    print(
        json.dumps(
            {
                "writes": len(times) - failures,
                "p50": percentile(times, 0.50),
                "p99": percentile(times, 0.99),
                "max": percentile(times, 1.0),
                "failures": failures,
            }
        )
    )


if __name__ == "__main__":
    main()
