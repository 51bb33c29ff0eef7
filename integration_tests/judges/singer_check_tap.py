"""Checks the tap's output with `singer-check-tap` of the PyPI package `singer-tools`.

    SANDBOX=target/debug/criteo-sandbox SOURCE=target/debug/source-criteo python integration_tests/judges/singer_check_tap.py

Uses a pipe: with `--tap`, singer-tools 0.4.1 does not wait for its reader thread, and fails.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sandbox import sandbox

CHECK = Path(sys.executable).with_name("singer-check-tap")


def tap(folder, *arguments):
    """The program's output."""
    command = [os.environ["SOURCE"], "--config", "config.json", *arguments]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def check(folder, output):
    """Records per stream, as counted by singer-check-tap."""
    answer = subprocess.run([CHECK], cwd=folder, input=output, capture_output=True, text=True)
    assert answer.returncode == 0 and "The output is valid." in answer.stdout, answer.stdout + answer.stderr[-2000:]
    rows = re.findall(r"^\| (\w+) +\| (\d+) +\| (\d+) +\|$", answer.stdout, re.MULTILINE)
    assert all(schemas == "1" for _, _, schemas in rows), answer.stdout
    return {stream: int(records) for stream, records, _ in rows}


def main():
    with sandbox("--today", "2026-11-01") as box, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = {
            "client_id": box.client_id, "client_secret": box.client_secret, "currency": "EUR",
            "start_date": "2026-10-25", "api_base_url": box.url, "now": "2026-11-01T12:00:00Z",
            "custom_reports": [
                {"name": "hours", "dimensions": ["Hour", "Campaign"], "metrics": ["Clicks"]},
                {"name": "months", "dimensions": ["Month"], "metrics": ["Clicks", "AdvertiserCost"]},
            ],
        }
        Path(folder, "config.json").write_text(json.dumps(config))
        catalog = json.loads(tap(folder, "--discover"))
        for stream in catalog["streams"]:
            stream["metadata"][0]["metadata"]["selected"] = True
        Path(folder, "catalog.json").write_text(json.dumps(catalog))
        first = tap(folder, "--catalog", "catalog.json")
        records = check(folder, first)
        streams = {stream["tap_stream_id"] for stream in catalog["streams"]}
        assert set(records) == streams, streams ^ set(records)
        empty = [stream for stream, count in records.items() if count == 0]
        assert not empty, f"nothing was checked for {empty}"
        # The last message is the state that the next run resumes from.
        state = json.loads(first.splitlines()[-1])
        Path(folder, "state.json").write_text(json.dumps(state["value"]))
        again = check(folder, tap(folder, "--catalog", "catalog.json", "--state", "state.json"))
        assert set(again) == streams, streams ^ set(again)
        print(f"{len(records)} streams, {sum(records.values())} records, {sum(again.values())} in a second run: valid")


main()
