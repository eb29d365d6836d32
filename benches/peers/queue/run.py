#!/usr/bin/env python3
"""Measures other job queues, as rivals for viraldb's queue.

    run.py                                  measure everything and print a table
    run.py --rounds 5 --what latency        measure only the latency, five times
    run.py --rival pg-boss --rival huey     measure only these rivals
    run.py --url postgres://me@host/mydb    use this server instead of a temporary one

Measurements:
- work: process JOBS empty jobs that are already in the table. The time ends when the table says that all are done.
- enqueue-many: store JOBS jobs, and 5 * JOBS jobs, with the rival's call for many jobs.
- enqueue-one: store single jobs, one after the other.
- latency: give an idle worker 200 jobs, one each 20 ms, and measure the time from before the call that stores a job
  until its handler starts.

Each measurement is a process with a new database. Rounds run in opposite orders. The settings of each rival are in its
script. The temporary server has PostgreSQL's default settings, so each commit waits for the disk.

Needs Python 3.10 with venv, npm, PostgreSQL's server programs, and network access to install the versions in
package-lock.json and requirements.txt. They are installed into a temporary folder, or into the folder that --tools
names, which later runs use again. VIRALDB_TEST_POSTGRES_BIN names the folder of the server programs.

--rust also measures the rivals in Rust, and needs cargo. Their build takes several minutes.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
TIMEOUT = 900  # seconds for one measurement
LATENCY_JOBS = 200
SERVER, FILE = "server", "file"
RUST = "rust"  # the script of rivals that are one Rust program


@dataclasses.dataclass(frozen=True)
class Rival:
    name: str
    script: str
    variant: str
    engine: str
    # Divides the number of jobs of `work` and `enqueue-one`, so that a slow rival does not take minutes.
    divisor: int = 1
    skipped: tuple = ()


RIVALS = [
    Rival("graphile-worker", "graphile.mjs", "local-queue", SERVER),
    Rival("graphile-worker", "graphile.mjs", "plain", SERVER, 5, ("enqueue-many", "enqueue-one")),
    Rival("pg-boss", "pgboss.mjs", "newest", SERVER),
    Rival("pg-boss", "pgboss.mjs", "v10", SERVER),
    Rival("procrastinate", "procrastinate_queue.py", "workers", SERVER, 10),
    Rival("huey", "huey_queue.py", "no-fsync", FILE, 1, ("enqueue-many",)),
    Rival("huey", "huey_queue.py", "fsync", FILE, 10, ("enqueue-many",)),
    Rival("graphile_worker", RUST, "graphile_worker", SERVER),
    Rival("apalis", RUST, "apalis-postgres", SERVER),
    Rival("apalis", RUST, "apalis-sqlite", FILE, 10),
]


def cases(args):
    """Returns the measurements of one round as tuples of rival, measurement, number of jobs and hands."""
    rivals = [rival for rival in RIVALS if not args.rival or rival.name in args.rival]
    rivals = [rival for rival in rivals if rival.script != RUST or args.rust]
    many = args.jobs
    measurements = [
        *(("work", lambda rival: many // rival.divisor, hands) for hands in args.hands),
        ("enqueue-many", lambda _: many, args.hands[0]),
        ("enqueue-many", lambda _: 5 * many, args.hands[0]),
        ("enqueue-one", lambda _: max(1, many // 20), args.hands[0]),
        ("latency", lambda _: LATENCY_JOBS, args.hands[0]),
    ]
    return [
        (rival, what, max(1, count(rival)), hands)
        for what, count, hands in measurements
        if not args.what or what in args.what
        for rival in rivals
        if what not in rival.skipped
    ]


class Tools:
    """The installed packages of the rivals."""

    def __init__(self, folder):
        self.node_folder = folder / "node"
        self.python = folder / "python/bin/python"
        self.rust_folder = folder / "rust"

    def install(self, scripts):
        if any(script.endswith(".mjs") for script in scripts):
            self.install_node()
        if any(script.endswith(".py") for script in scripts):
            self.install_python()
        if RUST in scripts:
            manifest = ["--manifest-path", HERE / "rust/Cargo.toml", "--target-dir", self.rust_folder]
            run(["cargo", "build", "--quiet", "--release", "--locked", *manifest], timeout=None)

    def install_node(self):
        lock = (HERE / "package-lock.json").read_bytes()
        done = self.node_folder / "done"
        self.node_folder.mkdir(parents=True, exist_ok=True)
        if not done.exists() or done.read_bytes() != lock:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, self.node_folder)
            run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=self.node_folder)
            done.write_bytes(lock)
        # Node.js looks for packages in the folder of the script.
        for script in HERE.glob("*.mjs"):
            shutil.copy(script, self.node_folder)

    def install_python(self):
        folder = self.python.parent.parent
        requirements = HERE / "requirements.txt"
        done = folder / "done"
        if not done.exists() or done.read_bytes() != requirements.read_bytes():
            run([sys.executable, "-m", "venv", "--clear", folder])
            run([self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements])
            done.write_bytes(requirements.read_bytes())

    def command(self, script):
        if script.endswith(".mjs"):
            return [self.node_folder / "node_modules/.bin/node", self.node_folder / script]
        if script == RUST:
            return [self.rust_folder / "release/queue-peers"]
        return [self.python, HERE / script]


class Server:
    """A PostgreSQL server on which each measurement gets a database of its own."""

    def __init__(self, url, folder):
        self.folder, self.bin, self.is_running = folder, find_bin(), False
        self.url = url or f"postgres://postgres@{urllib.parse.quote(str(folder), safe='')}/postgres"
        if not url:
            self.start()

    def start(self):
        data = self.folder / "data"
        self.folder.mkdir()
        self.folder.chmod(0o777)  # the user postgres writes to it
        locale = ["--encoding=UTF8", "--locale=C"]
        self.run_as_postgres("initdb", "--auth=trust", "--no-sync", *locale, "--username=postgres", "-D", data)
        options = f"-k {self.folder} -c listen_addresses="
        self.run_as_postgres("pg_ctl", "-w", "-D", data, "-l", self.folder / "log", "-o", options, "start")
        self.is_running = True

    def stop(self):
        if self.is_running:
            self.run_as_postgres("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")

    def run_as_postgres(self, program, *args):
        prefix = [] if os.geteuid() else ["runuser", "-u", "postgres", "--"]  # PostgreSQL refuses to run as root
        run([*prefix, self.bin / program, *args], cwd=self.folder)

    def sql(self, *statements):
        commands = [part for statement in statements for part in ("-c", statement)]
        return run([self.bin / "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", self.url, *commands])

    def version(self):
        return self.sql("SHOW server_version").strip()

    @contextlib.contextmanager
    def database(self):
        name = f"queue_peers_{os.getpid()}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            parts = urllib.parse.urlsplit(self.url)
            yield parts._replace(path=f"/{name}").geturl()
        finally:
            self.sql(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def file_database():
    with tempfile.TemporaryDirectory(prefix="queue-peers") as folder:
        yield str(pathlib.Path(folder) / "queue.db")


def find_bin():
    """Returns the folder of the newest PostgreSQL server programs."""
    if folder := os.environ.get("VIRALDB_TEST_POSTGRES_BIN"):
        return pathlib.Path(folder)
    found = pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")
    found = sorted((path.parent for path in found), key=lambda path: float(path.parent.name))
    if found:
        return found[-1]
    if initdb := shutil.which("initdb"):
        return pathlib.Path(initdb).parent
    raise SystemExit(
        "error: PostgreSQL server programs not found; install them (Debian: apt-get install postgresql) or set "
        "VIRALDB_TEST_POSTGRES_BIN to their folder"
    )


def run(command, timeout=TIMEOUT, **options):
    """Runs a program that must succeed, and returns its output."""
    command = [str(part) for part in command]
    try:
        # A server inherits stdout from pg_ctl and keeps it open, so a pipe would never end.
        is_start = command[-1] == "start"
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if is_start else subprocess.PIPE,
            stderr=subprocess.DEVNULL if is_start else subprocess.PIPE,
            text=True,
            timeout=timeout,
            **options,
        )
    except FileNotFoundError:
        raise SystemExit(f'error: cannot run "{command[0]}": not found; install it') from None
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command)} failed with {done.returncode}: {(done.stderr or '').strip()}")
    return done.stdout


def measure(tools, server, case, round_number):
    """Runs one measurement and returns its result, or None if it failed."""
    rival, what, count, hands = case
    with server.database() if rival.engine == SERVER else file_database() as url:
        command = [*tools.command(rival.script), url, what, count, hands, "--variant", rival.variant]
        command = [str(part) for part in command]
        os.sync()  # so that writes of earlier work do not slow this measurement
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=environment)
        except subprocess.TimeoutExpired:
            print(f"{' '.join(command)}: no result after {TIMEOUT} seconds", file=sys.stderr)
            return None
    if done.returncode or not done.stdout:
        print(f"{' '.join(command)}: failed with {done.returncode}: {done.stderr.strip()}", file=sys.stderr)
        return None
    if done.stderr:
        print(done.stderr.strip(), file=sys.stderr)
    result = {"round": round_number, "engine": rival.engine, **json.loads(done.stdout)}
    shown = f"{result['per_second']:,}/s" if "per_second" in result else f"{result['p50_ms']} ms"
    print(f"  {result['rival']}, {rival.variant}: {what} {count:,}, {hands} hands: {shown}", file=sys.stderr)
    return result


def print_table(results, version):
    groups = {}
    for result in results:
        key = tuple(result[name] for name in ("what", "count", "hands", "rival", "variant"))
        groups.setdefault(key, []).append(result)
    runtimes = sorted({f"{name} {result[name]}" for result in results for name in ("node", "python") if name in result})
    print(f"PostgreSQL {version}, {', '.join(runtimes)}, {os.cpu_count()} cores")
    print(f"{'measurement':<13} {'jobs':>7} {'hands':>5}  {'rival':<23} {'variant':<12} {'median':>12}  range")
    for (what, count, hands, rival, variant), group in groups.items():
        start = f"{what:<13} {count:>7,} {hands:>5}  {rival:<23} {variant:<12}"
        if what == "latency":
            p50, p99 = (statistics.median(result[name] for result in group) for name in ("p50_ms", "p99_ms"))
            print(f"{start} {p50:>9.2f} ms  p99 {p99:.2f} ms")
        else:
            rates = sorted(result["per_second"] for result in group)
            print(f"{start} {round(statistics.median(rates)):>10,}/s  {rates[0]:,}-{rates[-1]:,}")
    print()
    for text in dict.fromkeys(f"{r['rival']}, {r['variant']}, {r['hands']} hands: {r['settings']}" for r in results):
        print(text)


def parse():
    parser = argparse.ArgumentParser(description="Measure other job queues, as rivals for viraldb's queue.")
    names = list(dict.fromkeys(rival.name for rival in RIVALS))
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds [default: 3]")
    parser.add_argument("--jobs", type=int, default=20_000, help="number of jobs [default: 20000]")
    parser.add_argument(
        "--hands", type=int, nargs="+", default=[4, 20], help="numbers of concurrent jobs [default: 4 20]"
    )
    parser.add_argument("--rival", action="append", choices=names, help="measure only this rival; repeatable")
    parser.add_argument(
        "--what",
        action="append",
        choices=["work", "enqueue-many", "enqueue-one", "latency"],
        help="measure only this; repeatable",
    )
    parser.add_argument("--url", help="URL of a PostgreSQL database whose user may create databases")
    parser.add_argument("--tools", type=pathlib.Path, help="folder for the installed packages")
    parser.add_argument("--rust", action="store_true", help="also build and measure the rivals in Rust")
    parser.add_argument(
        "--json", action="store_true", help="print one line of JSON for each result instead of the table"
    )
    args = parser.parse_args()
    if min(args.rounds, args.jobs, *args.hands) < 1:
        parser.error("--rounds, --jobs and --hands must be at least 1")
    if not cases(args):
        parser.error("nothing to measure: huey has no enqueue-many, and apalis and graphile_worker need --rust")
    return args


def main():
    args = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # run the cleanup below
    planned = cases(args)
    with tempfile.TemporaryDirectory(prefix="queue-peers") as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        tools = Tools((args.tools or folder / "tools").resolve())
        tools.install({rival.script for rival, *_ in planned})
        server = Server(args.url, folder / "server")
        try:
            results, failures = [], 0
            for round_number in range(args.rounds):
                for case in planned[:: -1 if round_number % 2 else 1]:
                    result = measure(tools, server, case, round_number)
                    if result is None:
                        failures += 1
                        continue
                    results.append(result)
                    if args.json:
                        print(json.dumps(result), flush=True)
            if results and not args.json:
                results.sort(key=lambda result: result["round"])
                print_table(results, server.version())
        finally:
            server.stop()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
