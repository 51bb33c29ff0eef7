"""The Airbyte fixtures in `integration_tests/` match the program's output against the sandbox. A sync resumes from the sample
state and resets the abnormal one, and the invalid configuration is rejected.

    SANDBOX=target/debug/criteo-sandbox SOURCE=target/debug/source-criteo python integration_tests/judges/fixtures.py [--update]

All depend on `sample_config.json`; `--update` rewrites them.
"""

import json
import os
import re
import subprocess
import sys

from connector_folder import FIXTURES, TODAY
from sandbox import sandbox

# The day of the sync that wrote the sample state, and the first day read from it with three days of lookback.
EARLIER, RESUMED = "2026-10-28", "2026-10-25"
FAR_FUTURE = "2099-12-31"


def fixture(name):
    return json.loads((FIXTURES / name).read_text())


def run(box, command, *arguments, config="sample_config.json", **settings):
    """The program's output; `settings` change the configuration."""
    config = {**fixture(config), "api_base_url": box.url, **settings}
    answer = subprocess.run(
        [os.environ["SOURCE"], command, *arguments], input=json.dumps(config).encode(), capture_output=True, cwd=FIXTURES
    )
    assert answer.returncode == 0, answer.stdout[-2000:]
    return [json.loads(line) for line in answer.stdout.split(b"\n") if line]


def read(box, *arguments, **settings):
    """Records and last state of every stream."""
    records, states = {}, {}
    for message in run(box, "read", "--config=-", "--catalog=configured_catalog.json", *arguments, **settings):
        if message["type"] == "RECORD":
            records.setdefault(message["record"]["stream"], []).append(message["record"]["data"])
        elif message["type"] == "STATE":
            stream = message["state"]["stream"]
            states[stream["stream_descriptor"]["name"]] = stream["stream_state"]
    return records, states


def configured(stream):
    """A selected stream: with all fields, incremental if supported."""
    is_incremental = "incremental" in stream["supported_sync_modes"]
    return {
        "stream": {"name": stream["name"], "json_schema": {}, "supported_sync_modes": stream["supported_sync_modes"]},
        "sync_mode": "incremental" if is_incremental else "full_refresh",
        "cursor_field": stream.get("default_cursor_field", []),
        "destination_sync_mode": "append_dedup" if is_incremental else "overwrite",
        "primary_key": stream["source_defined_primary_key"],
    }


def position(state):
    """A stream's progress; the rest of a state is estimates."""
    return {key: value for key, value in state.items() if key not in ("rows_per_day", "density")}


def text_of(value):
    return json.dumps(value, ensure_ascii=False)


def list_of(values):
    """A list with one value per line."""
    return "[\n" + ",\n".join(map(text_of, values)) + "\n]"


def keep(name, text):
    """Writes or compares a fixture."""
    if "--update" in sys.argv:
        (FIXTURES / name).write_text(text)
    assert (FIXTURES / name).read_text() == text, f"integration_tests/{name} is stale; `scripts/harness --update` writes it"


def main():
    with sandbox("--today", TODAY) as box:
        sample = fixture("sample_config.json")
        # In a format that the standard tests recognize as a secret and search for in all output.
        keep("invalid_config.json", json.dumps({**sample, "client_secret": "wrong-secret-0123456789"}, indent=2) + "\n")
        [specification] = run(box, "spec")
        keep("spec.json", json.dumps(specification["spec"], indent=2, ensure_ascii=False) + "\n")
        discovered = run(box, "discover", "--config=-")
        [streams] = [message["catalog"]["streams"] for message in discovered if message["type"] == "CATALOG"]
        keep("configured_catalog.json", '{"streams": ' + list_of(map(configured, streams)) + "}\n")

        records, ends = read(box)
        assert records.keys() == {stream["name"] for stream in streams}, "a stream has no records"
        # One per stream: the smallest text, independent of the response order. Times are not compared.
        expected = [{"stream": name, "data": min(rows, key=text_of), "emitted_at": 0} for name, rows in sorted(records.items())]
        keep("expected_records.jsonl", "".join(text_of(record) + "\n" for record in expected))

        cursors = {stream["name"]: stream["default_cursor_field"][0] for stream in streams if stream.get("default_cursor_field")}
        box.ask("/options", {"today": EARLIER})
        _, earlier = read(box, now=f"{EARLIER}T12:00:00Z")
        box.ask("/options", {"today": TODAY})
        state = list_of(
            {"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": earlier[name]}} for name in cursors
        )
        keep("sample_state.json", state + "\n")
        keep("abnormal_state.json", re.sub(r'("(?:cursor|updated_at)": ")\d{4}-\d\d-\d\d', rf"\g<1>{FAR_FUTURE}", state) + "\n")

        resumed, resumed_ends = read(box, "--state=sample_state.json")
        assert min(row["day"] for row in resumed["campaign_statistics_daily"]) == RESUMED
        for name, cursor in cursors.items():
            # All objects of the sandbox were changed at the time in the state.
            is_shorter = len(resumed[name]) < len(records[name])
            assert is_shorter or cursor == "updated_at", f"{name} does not resume from the sample state"
            assert position(resumed_ends[name]) == position(ends[name]), name

        abnormal = {entry["stream"]["stream_descriptor"]["name"]: entry["stream"]["stream_state"]
                    for entry in fixture("abnormal_state.json")}
        assert abnormal.keys() == cursors.keys() and all(FAR_FUTURE in text_of(state) for state in abnormal.values())
        beyond, beyond_ends = read(box, "--state=abnormal_state.json")
        for name, cursor in cursors.items():
            # Such a state comes from a wrong clock: it is read again from the latest possible day.
            assert beyond.get(name), f"{name} has no records after {FAR_FUTURE}"
            assert FAR_FUTURE not in text_of(beyond_ends[name]), f"{name} is still at {FAR_FUTURE}"
            assert position(beyond_ends[name]) == position(ends[name]), name

        status = run(box, "check", "--config=-", config="invalid_config.json")[-1]["connectionStatus"]
        assert status["status"] == "FAILED" and "client_secret" in status["message"], status
    print(f"fixtures: match the program's output; {len(streams)} streams, {len(cursors)} of them resume from the sample state "
          f"and reset the abnormal one")


if __name__ == "__main__":
    main()
