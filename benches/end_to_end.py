"""Measures the program with the sandbox's fast mode, compared with `cat` and a bare parse of the same bytes.

    cargo build --release --workspace && cargo build --release --manifest-path benches/Cargo.toml --target-dir target --bin bare
    python3 benches/end_to_end.py [--rows 200000] [--days 10] [--rows-a-day 99000] [--runs 5]

One response with `--rows` rows, and `--days` days with `--rows-a-day`, each just below Criteo's cap, as in a sync that knows the
rows per day; each plain and compressed. Results are medians, except the sandbox's rate, which is the maximum.
"""

import argparse
import json
import os
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path

import measure
from measure import LAST_DAY, Reader, fast_sandbox, median, run

BARE = os.environ.get("BARE", str(measure.REPOSITORY / "target/release/bare"))
# Minimum rate of the sandbox in bytes per second, so that it is not the bottleneck.
MIN_RATE = 500e6
# `cat` is too fast to measure with one response.
CATS = 20


def serve(box, days, file=None):
    """Reads each day separately, as the program does; returns all bytes, and the best rate after a warm-up round."""
    reader = Reader(box)
    rounds = []
    for index in range(4):
        answers = [reader.read(day, day, file if index == 0 else None)
                   for day in (LAST_DAY - timedelta(back) for back in reversed(range(days)))]
        rounds.append([sum(figures) for figures in zip(*answers)])
    size = rounds[0][0]
    return size, size / min(seconds for _, seconds in rounds[1:])


def measure_case(name, folder, rows, days, gzip, runs, body=None):
    """Measures one way to read. The sandbox's compression is slowest, so its rate is given without."""
    state = measure.state_of_density(folder, rows)
    with fast_sandbox(rows, gzip=gzip) as box, open(body or os.devnull, "wb") as file:
        size, rate = serve(box, days, file)
        command = measure.read_command(folder, measure.configuration(box, rows, days), "--state", state)
        measure.verify(command, rows * days)
        before = measure.calls(box)
        usage = median([run(command) for _ in range(runs)])
        reports = (measure.calls(box)[0] - before[0]) / runs
    return {"name": name, "rows": rows * days, "bytes": size, "served_per_second": None if gzip else rate, "reports": reports,
            **vars(usage)}


def bare(body, config):
    """Results of `bare.rs` for this response."""
    if not Path(BARE).exists():
        print(f"{BARE} is not built, so the bare parse is skipped.")
        return []
    printed = subprocess.run([BARE, body, config, measure.STREAM], check=True, capture_output=True, text=True).stdout
    return [json.loads(line) for line in printed.splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--rows-a-day", type=int, default=99_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print(json.dumps(measure.machine()))
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder, "answer.json")
        one = (options.rows, 1)
        many = (options.rows_a_day, options.days)
        names = {one: "one response", many: f"{options.days} responses"}
        cases = [
            measure_case(f"{names[shape]}{', gzip' if gzip else ''}", folder, *shape, gzip, options.runs,
                         body if shape == one and not gzip else None)
            for shape in (one, many) for gzip in (False, True)
        ]
        cat = median([run(["cat", *[body] * CATS]) for _ in range(options.runs)])
        others = [{"name": "cat", "bytes": cat.written, "rows": options.rows * CATS, "cpu_seconds": cat.cpu}]
        others += bare(body, Path(folder, "config.json"))
    report(cases, others, cat)
    measure.keep("end_to_end.json", {"cases": cases, "others": others, "cat": vars(cat)})


def report(cases, others, cat):
    measure.table(
        "End to end",
        ["", "rows", "MB", "reports", "wall s", "rows/s", "MB/s", "CPU s", "MB per CPU s", "peak MiB", "sandbox MB/s"],
        [[case["name"], case["rows"], case["bytes"] / 1e6, case["reports"], case["wall"], case["rows"] / case["wall"],
          case["bytes"] / 1e6 / case["wall"], case["cpu"], case["bytes"] / 1e6 / case["cpu"], case["peak_kib"] / 1024,
          case["served_per_second"] and case["served_per_second"] / 1e6] for case in cases],
    )
    rates = {other["name"]: other["bytes"] / other["cpu_seconds"] for other in others}
    measure.table(
        "CPU time for the same bytes, source-criteo's as a multiple",
        ["", "MB per CPU s", *(case["name"] for case in cases)],
        [[name, rate / 1e6, *(rate * case["cpu"] / case["bytes"] for case in cases)] for name, rate in rates.items()],
    )
    print(f"\ncat through the same pipe: {cat.written / 1e6 / cat.wall:.0f} MB/s of wall time; reading one response takes "
          f"{cases[0]['wall'] / cases[0]['bytes'] / cat.wall * cat.written:.1f} times as long.")
    for case in cases:
        if (case["served_per_second"] or MIN_RATE) < MIN_RATE:
            print(f"{case['name']}: the sandbox is the bottleneck: it serves {case['served_per_second'] / 1e6:.0f} MB/s, and "
                  f"{MIN_RATE / 1e6:.0f} are required. CPU time and memory are still valid.")


if __name__ == "__main__":
    main()
