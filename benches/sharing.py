"""Measures two concurrent syncs: with one app, whose rate limit they share, and with an app each.

    cargo build --release --workspace && python3 benches/sharing.py

Twelve advertisers, Criteo's documented limits in real time, and a cap of 1,500 rows to cause many requests; takes eight minutes.
Each sync reads half of the advertisers.
"""

import json
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import measure
from measure import TODAY, sandbox, write

ROW_CAP = 1_500
SANDBOX = ["--today", TODAY, "--advertisers", "12", "--campaigns", "3", "--ad-sets", "3", "--row-cap", str(ROW_CAP), "--documented-limits"]
ADVERTISERS = [str(1001 + number) for number in range(12)]
HALVES = [ADVERTISERS[:6], ADVERTISERS[6:]]
JOBS = {"ad_statistics_daily": "2026-05-05", "placements_daily,placement_categories_daily": "2026-10-02"}


def syncs(folder, streams, start_date, shares):
    """Runs a sync for each pair of sandbox and advertisers at the same time; returns records, seconds, and requests by Criteo's
    response."""
    started, processes = time.monotonic(), []
    for number, (box, advertisers) in enumerate(shares):
        config = write(folder, f"{number}.json", {
            "client_id": box.client_id, "client_secret": box.client_secret, "currency": "EUR", "api_base_url": box.url,
            "now": f"{TODAY}T12:00:00Z", "start_date": start_date, "report_row_cap": ROW_CAP, "advertiser_ids": advertisers,
        })
        command = [measure.SOURCE, "read", "--config", config, "--streams", streams]
        with open(Path(folder, f"{number}.jsonl"), "w") as output:
            processes.append(subprocess.Popen(command, stdout=output))
    assert [process.wait() for process in processes] == [0] * len(shares)
    seconds = time.monotonic() - started
    records = sum(path.read_text().count('"type":"RECORD"') for path in Path(folder).glob("*.jsonl"))
    answers = [entry["status"] for box in {id(box): box for box, _ in shares}.values() for entry in box.ask("/log")
               if entry["line"].endswith("/report")]
    return records, seconds, len(answers), answers.count(429)


def main():
    print(json.dumps(measure.machine()))
    for streams, start_date in JOBS.items():
        rows = []
        for name, apps, shares in (("one sync", 1, [ADVERTISERS]), ("two, one app", 1, HALVES), ("two, an app each", 2, HALVES)):
            with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
                boxes = [stack.enter_context(sandbox(*SANDBOX)) for _ in range(apps)]
                pairs = [(boxes[number % apps], share) for number, share in enumerate(shares)]
                rows.append([name, *syncs(folder, streams, start_date, pairs)])
        assert len({records for _, records, *_ in rows}) == 1, rows
        measure.table(f"{streams} from {start_date}", ["", "records", "wall s", "requests", "refused"], rows)


if __name__ == "__main__":
    main()
