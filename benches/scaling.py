"""Measures the cost of rows, advertisers and concurrent requests, and how close a sync gets to Criteo's limits.

    cargo build --release --workspace
    python3 benches/scaling.py [rows] [advertisers] [concurrency] [latency] [--runs 3] [--scale 1.0] [--update]

Without names: all. `--scale 0.01` uses a hundredth of the rows. `--update` redraws the plots in `docs/performance/`. Results are
medians; PASS and FAIL compare them with the documented performance.
"""

import argparse
import json
import tempfile

import measure
from measure import (
    Reader, calls, configuration, days_before, fast_sandbox, median, one_day_windows, read_command, run, state_of_density, verify
)

# Maximum memory of a sync of any length, and the additional memory for ten thousand advertisers.
MAX_MIB, EXTRA_MIB = 96, 32
# Allowed relative difference to the longest sync, in cost per row and in memory.
TOLERANCE = 0.1


def measure_reads(folder, rows, days, runs, *sandbox_options, advertisers=1, arguments=(), is_warm=True, **config):
    """Reads days with this many rows per advertiser; verified once, then measured."""
    total = rows * days * advertisers
    with fast_sandbox(rows, *sandbox_options, advertisers=advertisers) as box:
        command = read_command(folder, configuration(box, rows, days, **config), *arguments)
        if is_warm:
            Reader(box).read(days_before(1), days_before(1))
            verify(command, total)
        before = calls(box)
        usage = median([run(command) for _ in range(runs)])
        reports, others = ((now - then) / runs for now, then in zip(calls(box), before))
        return {"rows": total, "days": days, "advertisers": advertisers, "reports": reports, "other_calls": others,
                "calls_at_once": box.ask("/peak")["concurrency"], **vars(usage), "microseconds_a_row": usage.cpu / total * 1e6}


def show(title, name, results):
    """Prints results; `name` is the varied parameter."""
    columns = {name: lambda result: f"{result[name]:,}", "rows": lambda result: result["rows"],
               "wall s": lambda result: result["wall"], "CPU s": lambda result: result["cpu"],
               "CPU µs a row": lambda result: result["microseconds_a_row"], "peak MiB": lambda result: result["peak_kib"] / 1024,
               "reports": lambda result: result["reports"], "other calls": lambda result: result["other_calls"],
               "concurrent requests": lambda result: result["calls_at_once"]}
    measure.table(title, columns, [[figure(result) for figure in columns.values()] for result in results])


def judge(what, is_so):
    print(f"{'PASS' if is_so else 'FAIL'}: {what}")


def rows(folder, options):
    """10 thousand to 10 million rows of one advertiser, 20,000 per day, known from a previous sync."""
    shapes = [(5, 2_000), (15, 2_000), (5, 20_000), (15, 20_000), (50, 20_000), (150, 20_000), (500, 20_000)]
    results = []
    for days, rows_a_day in shapes:
        rows_a_day = max(1, round(rows_a_day * options.scale))
        state = state_of_density(folder, rows_a_day)
        results.append(measure_reads(folder, rows_a_day, days, options.runs, arguments=("--state", state)))
    show("Rows", "rows", results)
    most = results[-1]
    start = results[0]["cpu"] - results[0]["rows"] * most["microseconds_a_row"] / 1e6
    print(f"\nA start costs about {start * 1000:.0f} ms of CPU time.")
    flat = [result for result in results if result["rows"] >= 100_000 * options.scale]
    costs = [result["microseconds_a_row"] / most["microseconds_a_row"] - 1 for result in flat]
    judge(f"CPU time per row from {flat[0]['rows']:,} rows on is within {TOLERANCE:.0%} of that of {most['rows']:,} rows: "
          f"{min(costs):+.1%} to {max(costs):+.1%}", max(map(abs, costs)) <= TOLERANCE)
    # Both are long enough to use all of the response memory.
    shorter = results[-3]
    grown = most["peak_kib"] / shorter["peak_kib"] - 1
    judge(f"{shorter['days']} and {most['days']} days of {most['rows'] // most['days']:,} rows take the same memory: "
          f"{shorter['peak_kib'] / 1024:.1f} and {most['peak_kib'] / 1024:.1f} MiB, {grown:+.1%}", grown <= TOLERANCE)
    peak = max(result["peak_kib"] for result in results) / 1024
    judge(f"no sync needs {MAX_MIB} MiB: at most {peak:.1f} MiB", peak < MAX_MIB)
    return results


def advertisers(folder, options):
    """A million rows over a hundred days, divided among 1 to 10,000 advertisers."""
    results = []
    for number in (1, 10, 100, 1_000, 10_000):
        rows_each = max(1, round(10_000 * options.scale) // number)
        results.append(measure_reads(folder, rows_each, 100, options.runs, advertisers=number))
    show("Advertisers", "advertisers", results)
    times = results[-1]["microseconds_a_row"] / results[0]["microseconds_a_row"]
    print(f"\nWith {results[-1]['advertisers']:,} advertisers, a row costs {times:.2f} times as much as with one. "
          "Each has one row per day, so Criteo's totals double the number of rows.")
    *few, many = (result["peak_kib"] / 1024 for result in results)
    judge(f"up to a thousand advertisers take less than {MAX_MIB} MiB: {max(few):.1f} MiB", max(few) < MAX_MIB)
    judge(f"ten thousand take less than {MAX_MIB + EXTRA_MIB} MiB: {many:.1f} MiB", many < MAX_MIB + EXTRA_MIB)
    return results


def concurrency(folder, options):
    """1 to 16 concurrent windows, with 100 ms per response."""
    days, rows_a_day = 128, max(1, round(1_000 * options.scale))
    state = state_of_density(folder, rows_a_day)
    results = []
    for number in (1, 2, 4, 8, 16):
        result = measure_reads(folder, rows_a_day, days, options.runs, "--latency", 100, arguments=("--state", state),
                               calls_at_once=number, **one_day_windows(rows_a_day))
        # Token, advertisers and totals precede the first window, one after the other.
        result["least"] = 0.1 * (3 + -(-days // number))
        results.append({"concurrency": number, **result})
    show("Concurrent windows, with 100 ms per response", "concurrency", results)
    for result in results:
        # Totals are requested together with their windows.
        judge(f"{result['concurrency']} concurrent: {result['wall']:.2f} s, minimum {result['least']:.2f} s",
              result["calls_at_once"] == result["concurrency"] and result["wall"] <= 1.5 * result["least"])
    return results


def latency(folder, options):
    """1.5 s per response and 40 reports per minute, Criteo's limit, in real time."""
    rows_a_day = max(1, round(1_000 * options.scale))
    state = state_of_density(folder, rows_a_day)
    result = measure_reads(folder, rows_a_day, options.windows, 1, "--latency", 1500, "--documented-limits", is_warm=False,
                           arguments=("--state", state), **one_day_windows(rows_a_day))
    # The first forty reports start immediately, and forty more after each minute.
    result["least"] = 60 * ((int(result["reports"]) - 1) // 40)
    show("1.5 s per response and 40 reports per minute", "days", [result])
    judge(f"{result['reports']:.0f} reports in {result['wall']:.1f} s, minimum {result['least']} s "
          f"({result['wall'] / max(result['least'], 1):.3f} times that)", result["wall"] <= 1.15 * result["least"])
    return [result]


AXES = {axis.__name__: axis for axis in (rows, advertisers, concurrency, latency)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("axes", nargs="*", choices=[*AXES, []], metavar="AXIS", help="parameters to vary; all by default")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="factor for the numbers of rows")
    parser.add_argument("--windows", type=int, default=125, help="windows of the case latency")
    parser.add_argument("--update", action="store_true", help="redraw the plots in docs/performance/")
    options = parser.parse_args()
    print(json.dumps(measure.machine()))
    for name in options.axes or AXES:
        with tempfile.TemporaryDirectory() as folder:
            measure.keep(f"{name}.json", {"results": AXES[name](folder, options)})
    if options.update:
        import plots

        plots.draw()


if __name__ == "__main__":
    main()
