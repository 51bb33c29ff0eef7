"""The Singer SDK's test suite for taps, with the program's output.

    SANDBOX=target/debug/criteo-sandbox SOURCE=target/debug/source-criteo python -m pytest integration_tests/judges/singer_sdk_suite.py

The SDK tests Python classes; these forward every call to the program.
"""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sandbox import sandbox
from singer_sdk import Stream, Tap
from singer_sdk.testing import get_tap_test_class

PROCESSES = ExitStack()
BOX = PROCESSES.enter_context(sandbox("--today", "2026-11-01"))
CONFIG = {
    "client_id": BOX.client_id, "client_secret": BOX.client_secret, "currency": "EUR", "start_date": "2026-10-01",
    "api_base_url": BOX.url, "now": "2026-11-01T12:00:00Z",
}


def run(*arguments):
    """The program's output."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.json")
        config.write_text(json.dumps(CONFIG))
        answer = subprocess.run([os.environ["SOURCE"], "--config", config, *arguments], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


class Everything(Stream):
    """A stream of the catalog; its records come from the program."""

    def __init__(self, tap, entry):
        super().__init__(tap, schema=entry["schema"], name=entry["tap_stream_id"])
        self.primary_keys = entry["key_properties"]
        self.replication_key = entry.get("replication_key")

    def get_records(self, context):
        raise NotImplementedError("the program reads, not the SDK")


class TapCriteo(Tap):
    """The program as a tap of the SDK."""

    name = "tap-criteo"
    config_jsonschema = json.loads(run("--about", "--format=json"))["settings"]

    def discover_streams(self):
        return [Everything(self, entry) for entry in json.loads(run("--discover"))["streams"]]

    def run_sync_dry_run(self, **options):
        catalog = json.loads(run("--discover"))
        for stream in catalog["streams"]:
            stream["metadata"][0]["metadata"]["selected"] = True
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "catalog.json")
            path.write_text(json.dumps(catalog))
            sys.stdout.write(run("--catalog", str(path)))
        return True

    def run_connection_test(self):
        run("--test")
        return True

    def print_version(self, *arguments, **options):
        assert "0." in run("--version")

    def print_about(self, output_format=None):
        assert "currency" in run("--about", f"--format={output_format or 'text'}")


TestTapCriteo = get_tap_test_class(TapCriteo, config=CONFIG)


def teardown_module():
    PROCESSES.close()
