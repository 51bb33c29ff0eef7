"""Runs the commands of docs/export.md as an analyst would, in an empty folder: each must succeed and print what the page shows. Spend
in DuckDB, and in the workbook, must equal the sums of the CSV files of the same demo.

    SANDBOX=target/debug/criteo-sandbox SOURCE=target/debug/source-criteo python integration_tests/judges/analyst_page.py
"""

import csv
import json
import math
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import openpyxl
from sandbox import sandbox

PAGE = (Path(__file__).resolve().parents[2] / "docs/export.md").read_text()
TODAY, FIRST_DAY = "2026-11-01", "2026-10-20"
REPORT = "campaign_statistics_daily"
# Words of the two queries that are compared.
BY_DAY, BY_CAMPAIGN = "bar(", "LEFT JOIN campaigns"
# What the page must show, in these words.
REQUIRED = [BY_DAY, BY_CAMPAIGN, "source-criteo demo export criteo-demo", "polars.read_parquet", "pandas.read_parquet",
            "--format xlsx", "--format csv", "source-criteo export", "--format arrow", "duckdb -c"]


def commands():
    """The commands of the page's console blocks, each with the output that the page shows."""
    found = []
    for block in re.findall(r"^ *```console\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE):
        is_open = False
        for line in block.splitlines():
            if is_open:
                found[-1][0] += "\n" + line
            elif line.startswith("$ "):
                found.append([line[2:], ""])
            else:
                found[-1][1] += line + "\n"
                continue
            is_open = continues(found[-1][0])
    return found


def continues(command):
    """Whether the next line belongs to the command."""
    try:
        shlex.split(command)
    except ValueError:
        return True
    return command.endswith(("|", "\\"))


class Analyst:
    """A shell in an empty folder, with this build and the programs of this environment."""

    def __init__(self, folder):
        self.folder = Path(folder)
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "source-criteo").symlink_to(Path(os.environ["SOURCE"]).resolve())
        path = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
        self.environment = {**os.environ, "PATH": ":".join(path), "HOME": folder, "PYTHONUTF8": "1", "LANG": "C.UTF-8"}
        self.home = self.folder / "reports"
        self.home.mkdir()

    def run(self, command):
        """Runs a command in a shell; returns what it prints."""
        result = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=self.home, env=self.environment,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        print(f"$ {command}\n{result.stdout[-3000:]}{result.stderr[-1500:]}", flush=True)
        assert result.returncode == 0, f"exit {result.returncode}: {command}"
        return result.stdout


def cells(printed):
    """The rows of a table that DuckDB prints, by name of column."""
    lines = [[cell.strip() for cell in line.strip("│").split("│")] for line in printed.splitlines() if line.startswith("│")]
    names, _types, *rows = lines
    return [dict(zip(names, row, strict=True)) for row in rows]


def spend(home, column, **only):
    """The sums of the CSV files, by a column."""
    sums = defaultdict(Decimal)
    for path in sorted((home / "criteo-csv" / REPORT).glob("*.csv")):
        with open(path, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if all(row[name] == value for name, value in only.items()):
                    sums[row[column]] += Decimal(row["advertiser_cost"])
    return sums


def compare(home, by_day, by_campaign):
    """Spend by day and by campaign as DuckDB prints it, against the CSV files; returns the number of figures."""
    by_day, by_campaign = cells(by_day), cells(by_campaign)
    expected = spend(home, "day", advertiser_id="1002")
    assert len(by_day) == 7 and all(day["chart"] for day in by_day), by_day
    for day in by_day:
        cents = expected[day["day"]].quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert Decimal(day["spend"]) == cents, f"{day}: the CSV files have {cents}"
    expected = spend(home, "campaign_id")
    found = {campaign["campaign_id"]: Decimal(campaign["spend"]) for campaign in by_campaign}
    assert found == expected and len(found) > 1, f"DuckDB has {found}, the CSV files have {expected}"
    assert all(campaign["name"] != "NULL" and float(campaign["roas"]) > 0 for campaign in by_campaign), by_campaign
    return len(by_day) + len(by_campaign)


def workbook(home):
    """One sheet per stream, and the same spend in 15 digits."""
    book = openpyxl.load_workbook(home / "criteo-excel/criteo.xlsx", read_only=True)
    tables = {path.stem for path in (home / "criteo-demo").iterdir() if path.is_dir() or path.suffix == ".parquet"} - {".source-criteo"}
    assert set(book.sheetnames) == tables, set(book.sheetnames) ^ tables
    sheet = book[REPORT]
    header, *rows = sheet.iter_rows()
    names = [cell.value for cell in header]
    assert all(cell.font.bold for cell in header)
    sums = defaultdict(float)
    for row in rows:
        values = dict(zip(names, row))
        assert isinstance(values["campaign_id"].value, str) and values["day"].is_date
        sums[values["campaign_id"].value] += float(values["advertiser_cost"].value)
    for campaign, expected in spend(home, "campaign_id").items():
        assert math.isclose(sums[campaign], expected, rel_tol=1e-13), f"{campaign}: {sums[campaign]}, expected {expected}"


def main():
    found = commands()
    for words in REQUIRED:
        assert any(words in command for command, _ in found), f"docs/export.md has no command with {words}"
    with tempfile.TemporaryDirectory() as folder, sandbox("--today", TODAY) as box:
        analyst = Analyst(folder)
        # What `setup` writes.
        config = {"client_id": box.client_id, "client_secret": box.client_secret, "currency": "EUR", "start_date": FIRST_DAY,
                  "api_base_url": box.url, "now": f"{TODAY}T12:00:00Z"}
        (analyst.home / "criteo.json").write_text(json.dumps(config))
        outputs = {}
        for command, shown in found:
            outputs[command] = analyst.run(command)
            is_shown = not shown or outputs[command].rstrip() == shown.rstrip()
            assert is_shown, f"{command} prints\n{outputs[command]}\nThe page shows\n{shown}"
        queries = [next(command for command in outputs if word in command) for word in (BY_DAY, BY_CAMPAIGN)]
        figures = compare(analyst.home, *(outputs[query] for query in queries))
        workbook(analyst.home)
        # A later run replaces what it reads again.
        analyst.run(found[0][0])
        for query in queries:
            assert analyst.run(query) == outputs[query], f"a second run changes the result of {query}"
    print(f"docs/export.md: {len(found)} commands; {figures} sums of spend in DuckDB equal those of the CSV files")


if __name__ == "__main__":
    main()
