"""The command line, the percentiles and the output that the Python rivals share. measure.mjs is its twin."""

import argparse
import json
import math
import platform

WARM_UP = 1_000
SINGLE_WARM_UP = 100
LATENCY_WARM_UP = 20
INTERVAL = 0.02  # seconds between the jobs of `latency`


def parse(description, measurements, variants):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("url", help="URL of an empty database")
    parser.add_argument("what", choices=measurements)
    parser.add_argument("count", type=int, help="number of jobs")
    parser.add_argument("hands", type=int, help="number of jobs that run concurrently")
    parser.add_argument("--variant", choices=variants, default=variants[0])
    args = parser.parse_args()
    if args.count < 1 or args.hands < 1:
        parser.error(f"count and hands must be at least 1, got {args.count} and {args.hands}")
    return args


def rate(count, seconds):
    return {"seconds": round(seconds, 4), "per_second": round(count / seconds)}


def percentiles(times, count):
    """Returns the percentiles of the latencies, given the seconds of each job by its number, without the warm-up."""
    measured = sorted(seconds * 1_000 for number, seconds in times.items() if number >= LATENCY_WARM_UP)
    check("handlers ran", len(measured), count)
    return {f"p{part}_ms": round(measured[math.ceil(count * part / 100) - 1], 3) for part in (50, 99)}


def check(what, found, expected):
    if found != expected:
        raise SystemExit(f"error: {found} {what} instead of {expected}")


def report(args, rival, settings, result):
    print(
        json.dumps(
            {
                "rival": rival,
                "settings": settings,
                "python": platform.python_version(),
                "what": args.what,
                "variant": args.variant,
                "count": args.count,
                "hands": args.hands,
                **result,
            }
        )
    )
