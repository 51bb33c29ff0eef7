"""Compares source-criteo with a low-code manifest of Airbyte's CDK and a tap of the Singer SDK: same report, same sandbox.

    cargo build --release --workspace
    python3 benches/compare/compare.py [--rows 200000] [--days 200] [--rows-a-day 1000] [--rounds 3] [--update]

One response with `--rows` rows, and `--days` days with `--rows-a-day`. The programs first have to write the same rows, then take
turns; results are medians. Both SDKs come from PyPI into `.cache/`. `--update` redraws the plot in `docs/performance/`.

The manifest and the tap forward Criteo's strings; source-criteo also converts types, renames columns, checks every response and
runs the totals check. The manifest runs with its default decoder, which keeps a whole response as objects, and with the one for
large responses. Both request each day separately; source-criteo plans its windows, and also runs day by day. Responses are not
compressed, since that would take the sandbox longer than the programs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import measure
from measure import LAST_DAY, RECORD, REPOSITORY, STREAM, Reader, configuration, fast_sandbox, median, run, write

HERE = Path(__file__).parent
STREAM_OF_OTHERS = "statistics"
OURS, OURS_BY_DAY = "source-criteo", "source-criteo, by day"
CDK, CDK_STREAMING, SDK = "Airbyte CDK", "Airbyte CDK, JsonItemsDecoder", "Singer SDK"
MEASURES = {"wall": "wall", "cpu": "CPU", "peak_kib": "memory"}


def venv(name, *packages):
    """A Python environment, created once; shared with `scripts/lib` for the same packages."""
    folder = REPOSITORY / ".cache" / name
    complete = folder / "complete"
    if not complete.exists() or complete.read_text().split() != list(packages):
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *packages], check=True)
        complete.write_text(" ".join(packages) + "\n")
    return folder / "bin"


def commands(folder, box, days, rows):
    """Each program's command for this many days."""
    config = configuration(box, rows, days)
    others = {key: config[key] for key in ("client_id", "client_secret", "api_base_url", "currency", "start_date", "end_date")}
    others = write(folder, "others.json", others | {"advertiser_ids": Reader(box).advertisers})
    stream = {"name": STREAM_OF_OTHERS, "json_schema": {}, "supported_sync_modes": ["full_refresh", "incremental"]}
    catalog = {"streams": [{"stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append"}]}
    manifest = (HERE / "manifest.yaml").read_text()
    streaming = manifest.replace("type: JsonDecoder", "type: JsonItemsDecoder\n        items_path: Rows")
    streaming = streaming.replace("field_path: [Rows]", "field_path: []")
    assert streaming.count("Rows") == 1 and streaming != manifest
    Path(folder, "streaming.yaml").write_text(streaming)
    # With the other packages of `scripts/harness`.
    cdk = venv("airbyte-cdk", "airbyte-cdk[dev]==7.39.1", "airbyte-connector-models==0.1.12")
    cdk = [cdk / "source-declarative-manifest", "read", "--config", others, "--catalog",
           write(folder, "catalog.json", catalog), "--manifest-path"]
    sdk = [venv("singer-sdk", "singer-sdk[testing]==0.54.9") / "python", HERE / "tap.py", "--config", others]
    ours = [measure.SOURCE, "read", "--streams", STREAM, "--config"]
    found = {CDK: [*cdk, HERE / "manifest.yaml"], CDK_STREAMING: [*cdk, Path(folder, "streaming.yaml")], SDK: sdk,
             OURS: [*ours, write(folder, "ours.json", config)]}
    if days > 1:
        by_day, state = config | measure.one_day_windows(rows), measure.state_of_density(folder, rows)
        found[OURS_BY_DAY] = [*ours, write(folder, "by_day.json", by_day), "--state", state]
    return found


def sums(command):
    """A program's number of records and their sums."""
    found = [0, 0, 0, Decimal(0)]

    def read(pipe):
        for line in pipe:
            if line.startswith(RECORD):
                record = json.loads(line, parse_float=Decimal)["record"]
                row = {name.replace("_", "").lower(): value for name, value in record.get("data", record).items()}
                found[0] += 1
                found[1] += int(row["clicks"])
                found[2] += int(row["displays"])
                found[3] += Decimal(row["advertisercost"])

    run(command, read)
    return found


def measure_case(name, rows, days, rounds):
    """Runs all programs with this many rows per day."""
    with tempfile.TemporaryDirectory() as folder, fast_sandbox(rows) as box:
        programs = commands(folder, box, days, rows)
        size, _ = Reader(box).read(LAST_DAY, LAST_DAY)
        truth = {program: sums(command) for program, command in programs.items()}
        assert truth[OURS][0] == rows * days and all(found == truth[OURS] for found in truth.values()), truth
        records, clicks, displays, cost = truth[OURS]
        print(f"\n{name}: {len(truth)} programs wrote the same {records:,} rows: {clicks:,} clicks, {displays:,} displays, "
              f"{cost:,} {measure.CURRENCY}", flush=True)
        usages = {program: [] for program in programs}
        for _ in range(rounds):
            for program, command in programs.items():
                usages[program].append(run(command))
    figures = {program: vars(median(found)) for program, found in usages.items()}
    ours = figures[OURS]
    measure.table(
        f"{name}: {size * days / 1e6:.0f} MB",
        ["", "wall s", "CPU s", "peak MiB", *(f"times our {measured}" for measured in MEASURES.values())],
        [[program, figure["wall"], figure["cpu"], figure["peak_kib"] / 1024, *(figure[key] / ours[key] for key in MEASURES)]
         for program, figure in figures.items()],
    )
    return {"name": name, "rows": records, "bytes": size * days, "programs": figures}


def judge(case, ours, measured, least, aim=None):
    """Prints whether the CDK takes at least this many times our resources."""
    times = case["programs"][CDK][measured] / case["programs"][ours][measured]
    print(f"{'PASS' if times >= least else 'FAIL'}: {case['name']}: {ours} takes {times:.1f} times less {MEASURES[measured]} "
          f"than the {CDK}; required: {least}{f', target: {aim}' if aim else ''}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--days", type=int, default=200)
    parser.add_argument("--rows-a-day", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--update", action="store_true", help="redraw the plot in docs/performance/")
    options = parser.parse_args()
    print(json.dumps(measure.machine()))
    one = measure_case("One response", options.rows, 1, options.rounds)
    many = measure_case(f"{options.days} days of {options.rows_a_day:,} rows", options.rows_a_day, options.days, options.rounds)
    print()
    for case in (one, many):
        judge(case, OURS, "cpu", 25, 50)
    judge(one, OURS, "peak_kib", 10)
    judge(many, OURS_BY_DAY, "peak_kib", 30)
    measure.keep("compare.json", {"cases": [one, many]})
    if options.update:
        import plots

        plots.draw()


if __name__ == "__main__":
    main()
