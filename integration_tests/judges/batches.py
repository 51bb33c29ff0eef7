"""Loads a report into PostgreSQL as records and as BATCH files: the tables must be equal; also compares the durations.

    SANDBOX=target/release/criteo-sandbox SOURCE=target/release/source-criteo TARGET=target-postgres \\
        python integration_tests/judges/batches.py [DAYS]
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from postgres import postgres
from sandbox import sandbox

STREAM = "ad_statistics_daily"


def load(folder, schema, config, server):
    """Runs tap and target with one stream; returns seconds, and CPU seconds of both."""
    source = json.loads(Path(folder, "config.json").read_text())
    Path(folder, "tap.json").write_text(json.dumps({**source, **config}))
    Path(folder, "target.json").write_text(json.dumps({
        "host": "127.0.0.1", "port": server.port, "user": "criteo", "password": "unused", "database": "criteo",
        "default_target_schema": schema, "use_copy": True,
    }))
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with open(f"{folder}/tap.log", "w") as tap_log, open(f"{folder}/target.log", "w") as target_log:
        tap = subprocess.Popen([os.environ["SOURCE"], "--config", f"{folder}/tap.json", "--catalog", f"{folder}/catalog.json"],
                               stdout=subprocess.PIPE, stderr=tap_log)
        target = subprocess.Popen([os.environ["TARGET"], "--config", f"{folder}/target.json"], stdin=tap.stdout,
                                  stdout=subprocess.DEVNULL, stderr=target_log)
        tap.stdout.close()
        codes = target.wait(), tap.wait()
    assert codes == (0, 0), Path(folder, "target.log").read_text()[-2000:] + Path(folder, "tap.log").read_text()[-2000:]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, cpu


def main(days):
    with tempfile.TemporaryDirectory() as folder, sandbox("--campaigns", "10", "--ad-sets", "10") as box, postgres() as server:
        config = {"client_id": box.client_id, "client_secret": box.client_secret, "currency": "EUR",
                  "api_base_url": box.url, "now": "2026-11-01T12:00:00Z"}
        day = subprocess.run(["date", "-d", f"2026-11-01 -{days} days", "+%F"], capture_output=True, text=True, check=True)
        config["start_date"] = day.stdout.strip()
        Path(folder, "config.json").write_text(json.dumps(config))
        discovered = subprocess.run([os.environ["SOURCE"], "--config", f"{folder}/config.json", "--discover"],
                                    capture_output=True, text=True, check=True)
        streams = [stream for stream in json.loads(discovered.stdout)["streams"] if stream["stream"] == STREAM]
        Path(folder, "catalog.json").write_text(json.dumps({"streams": streams}))
        plain = load(folder, "plain", {}, server)
        files = {"batch_config": {"encoding": {"format": "jsonl", "compression": "gzip"},
                                  "storage": {"root": f"file://{folder}/batches"}, "batch_size": 20000}}
        batched = load(folder, "batched", files, server)
        query = f"select count(*), sum(clicks), sum(advertiser_cost), count(distinct (ad_id, day)) from {{}}.{STREAM}"
        tables = [server.ask(query.format(schema)) for schema in ("plain", "batched")]
        assert tables[0] == tables[1] and int(tables[0][0][0]) > 1000, tables
    print(f"BATCH: {tables[0][0][0]} rows into PostgreSQL as records {plain[0]:.1f} s ({plain[1]:.1f} s of CPU), "
          f"as files {batched[0]:.1f} s ({batched[1]:.1f} s of CPU), equal tables")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
