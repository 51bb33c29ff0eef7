"""Shared by the programs in this folder: a report, the sandbox's fast mode, and measurements of other programs.

The report has one row per ad and day, of about 326 bytes. `SANDBOX` and `SOURCE` override the programs of
`cargo build --release`.
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import date, timedelta
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "integration_tests/judges"))
from sandbox import sandbox  # noqa: E402

RESULTS = REPOSITORY / "target/bench"
SOURCE = os.environ.setdefault("SOURCE", str(REPOSITORY / "target/release/source-criteo"))
os.environ.setdefault("SANDBOX", str(REPOSITORY / "target/release/criteo-sandbox"))

# The connector also requests totals for these days.
TODAY, LAST_DAY, CURRENCY = "2026-11-01", date(2026, 10, 28), "EUR"
STREAM = "custom_bench"
DIMENSIONS = ["AdvertiserId", "CampaignId", "AdsetId", "AdId", "Day"]
METRICS = ["Displays", "Clicks", "AdvertiserCost", "SalesPc30d"]
# Criteo's cap, and one above any response.
ROW_CAP, NO_CAP = 100_000, 1_000_000
MIB = 1024 * 1024
# Start of a record in all measured programs.
RECORD = b'{"type":"RECORD"'


@dataclass
class Usage:
    """Resource use of a program's run, and bytes written."""

    wall: float
    cpu: float
    peak_kib: int
    written: int


def run(command, read=None):
    """Runs a program, and takes its output from a pipe as platforms do, by `read` or the quickest way there is.

    The CPU time is that of `wait4`, which counts children. The peak is not: a child begins as a copy of its parent, whose size
    counts as the child's own peak, so a program smaller than this one would seem as large. GNU time is small, and reports the
    peak of a child that it has started itself. Its own CPU time, about a millisecond, is included.
    """
    with tempfile.NamedTemporaryFile("r") as peak, tempfile.TemporaryFile("w+") as log:
        started = time.monotonic()
        process = subprocess.Popen(
            ["/usr/bin/time", "--quiet", "--format=%M", f"--output={peak.name}", *map(str, command)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
        )
        written = (read or throw_away)(process.stdout) or 0
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        if process.returncode:
            log.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{log.read()[-3000:]}")
        return Usage(wall, usage.ru_utime + usage.ru_stime, int(peak.read()), written)


def throw_away(pipe):
    """Reads a pipe without copying; returns the number of bytes."""
    size = 0
    with open(os.devnull, "wb") as nowhere:
        while moved := os.splice(pipe.fileno(), nowhere.fileno(), MIB):
            size += moved
    return size


def verify(command, rows):
    """Runs a program once and expects this many records."""
    records, others = 0, []

    def read(pipe):
        nonlocal records
        for line in pipe:
            if line.startswith(RECORD):
                records += 1
            else:
                others.append(line.decode())

    try:
        run(command, read)
        assert records == rows, f"{records} records of {rows} rows"
    except BaseException:
        print("".join(others[-20:]), file=sys.stderr)
        raise


def median(usages):
    """The median of each measurement."""
    return Usage(*map(statistics.median, zip(*map(astuple, usages))))


@contextmanager
def fast_sandbox(rows, *arguments, advertisers=1, gzip=False):
    """A sandbox with prepared rows: this many per advertiser and day."""
    options = ["--prepared-rows", rows, "--advertisers", advertisers, "--today", TODAY, "--row-cap", row_cap(rows)]
    with sandbox(*map(str, [*options, *([] if gzip else ["--no-gzip"]), *arguments])) as box:
        yield box


def row_cap(rows_a_day):
    """Criteo's cap, unless a single day has more rows."""
    return ROW_CAP if rows_a_day < ROW_CAP else NO_CAP


def days_before(days):
    """The first of this many days."""
    return LAST_DAY - timedelta(days - 1)


def configuration(box, rows_a_day, days, **more):
    """The connector's configuration for this many days."""
    return {
        "client_id": box.client_id, "client_secret": box.client_secret, "currency": CURRENCY, "api_base_url": box.url,
        "now": f"{TODAY}T12:00:00Z", "start_date": str(days_before(days)), "end_date": str(LAST_DAY),
        "report_row_cap": row_cap(rows_a_day),
        "custom_reports": [{"name": STREAM.removeprefix("custom_"), "dimensions": DIMENSIONS, "metrics": METRICS}], **more,
    }


def write(folder, name, document):
    """Writes a JSON file; returns its path."""
    path = Path(folder, name)
    path.write_text(json.dumps(document))
    return path


def read_command(folder, config, *arguments):
    """The command that reads the report with this configuration."""
    return [SOURCE, "read", "--config", write(folder, "config.json", config), "--streams", STREAM, *arguments]


def state_of_density(folder, rows_a_day):
    """A state that only knows the number of rows per day, so that windows have their final length from the start."""
    with fast_sandbox(1) as box:
        command = read_command(folder, configuration(box, 1, 1))
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().split("\n")
    state = [message["state"] for message in map(json.loads, lines) if message["type"] == "STATE"][-1]
    state["stream"]["stream_state"] |= {"groups": [], "rows_per_day": rows_a_day}
    return write(folder, "state.json", [state])


def one_day_windows(rows_a_day):
    """A state that makes the connector request each day separately, since windows stay well below the cap."""
    return {"report_row_cap": rows_a_day + rows_a_day // 2 + 1}


class Reader:
    """Requests reports from the sandbox and discards them, to measure its maximum rate."""

    def __init__(self, box):
        self.buffer = memoryview(bytearray(MIB))
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(box.url).netloc)
        form = {"grant_type": "client_credentials", "client_id": box.client_id, "client_secret": box.client_secret}
        self.connection.request("POST", "/oauth2/token", urllib.parse.urlencode(form),
                                {"Content-Type": "application/x-www-form-urlencoded"})
        token = json.load(self.connection.getresponse())["access_token"]
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.advertisers = ",".join(advertiser["id"] for advertiser in box.ask("/truth?stream=advertisers"))

    def read(self, first, last, file=None):
        """Reads the report of these days, optionally into a file; returns bytes and seconds."""
        body = {"advertiserIds": self.advertisers, "startDate": str(first), "endDate": str(last), "dimensions": DIMENSIONS,
                "metrics": METRICS, "currency": CURRENCY, "timezone": "UTC", "format": "json"}
        started = time.monotonic()
        self.connection.request("POST", "/2026-07/statistics/report", json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        assert answer.status == 200, answer.read()
        size = 0
        # Directly from the socket, since the buffer is larger than the response's own.
        while length := answer.readinto(self.buffer):
            size += length
            if file:
                file.write(self.buffer[:length])
        return size, time.monotonic() - started


def calls(box):
    """Numbers of reports and other requests that the sandbox has served."""
    log = box.ask("/log")
    reports = sum("statistics/report" in entry["line"] for entry in log)
    return reports, len(log) - reports


def machine():
    """The machine of the measurements."""
    processor = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    memory = int(next(line.split()[1] for line in open("/proc/meminfo") if line.startswith("MemTotal")))
    return {"processor": processor, "cores": len(os.sched_getaffinity(0)), "memory_gib": round(memory / MIB),
            "kernel": f"{os.uname().sysname} {os.uname().release}", "python": sys.version.split()[0]}


def keep(name, results):
    """Writes results for `plots.py`."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    write(RESULTS, name, results).write_text(json.dumps({"machine": machine(), **results}, indent=1) + "\n")


def table(title, heads, rows):
    """Prints a Markdown table."""
    rows = [[cell if isinstance(cell, str) else number(cell) for cell in row] for row in rows]
    print(f"\n### {title}\n\n| {' | '.join(heads)} |\n|{'|'.join([' --- '] + [' ---: '] * (len(heads) - 1))}|")
    print("\n".join(f"| {' | '.join(row)} |" for row in rows), flush=True)


def number(value):
    """A number with three digits, or all digits of an integer."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if isinstance(value, int) or value >= 999.5 else f"{value:.3g}"
