"""Tests the image: its labels, every command against the sandbox, and Airbyte's way to start it: by `sh -c` as an unprivileged
user, with files in the working directory and output in named pipes.

    SANDBOX=target/debug/criteo-sandbox IMAGE=source-criteo BASE=debian:trixie-slim python integration_tests/judges/image.py podman
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from sandbox import STATISTICS, sandbox

PODMAN, IMAGE, BASE = sys.argv[1:], os.environ["IMAGE"], os.environ["BASE"]
FIRST_DAY, FIRST_SYNC, SECOND_SYNC = "2026-08-01", "2026-10-20", "2026-11-01"
# The second sync resumes on the day before the first one, less the 30 days in which Criteo may restate numbers.
SECOND_START = "2026-09-20"
OBJECTS = ["advertisers", "campaigns", "ad_sets", "audiences"]
USER = 1000
MAX_MEGABYTES = 30
# Fewer rights than on the platform. Limits are explicit, since podman's defaults may exceed the machine's.
RUN = [*PODMAN, "run", "--rm", "--timeout", "300", "--network", "host", "--ulimit", "nofile=1024:1024",
       "--ulimit", "nproc=1024:1024", "--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges"]
# The platform's wrapper: a file ends the command, and another one gets its exit code.
WRAPPER = """
(eval "$AIRBYTE_ENTRYPOINT {command}" {redirections}) &
connector=$!
(while sleep 0.5; do if [ -f TERMINATED ]; then kill $connector; fi; done) &
wait $connector
echo $? >exit_code && mv exit_code exitCode.txt
exit "$(cat exitCode.txt)"
"""


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def run(*arguments, options=()):
    """The output of the image's entrypoint."""
    return output(*RUN, *options, IMAGE, *arguments)


def shell(script, *options):
    """The command that runs a script instead of the entrypoint."""
    return [*RUN, *options, "--entrypoint", "sh", IMAGE, "-c", script]


def messages(text):
    """The messages in a text with one per line."""
    *lines, end = text.split("\n")
    found = [json.loads(line, parse_float=Decimal) for line in lines]
    assert found and end == "" and all(isinstance(message["type"], str) for message in found), text[:1000]
    return found


def only(kind, text):
    """The only message of this type."""
    found = [message[kind] for message in messages(text) if kind in message]
    assert len(found) == 1, text[:1000]
    return found[0]


def inspect(name):
    return json.loads(output(*PODMAN, "image", "inspect", name))[0]


def what_it_says_of_itself():
    """Checks labels, entrypoint, user and contents; returns megabytes above the base image."""
    image = inspect(IMAGE)
    config = image["Config"]
    environment = dict(entry.split("=", 1) for entry in config["Env"])
    assert config["Entrypoint"] == [environment["AIRBYTE_ENTRYPOINT"]] and config["Entrypoint"][0].startswith("/"), config
    assert config["Labels"]["io.airbyte.name"] == "source-criteo", config
    assert run("--version").strip() == f"source-criteo {config['Labels']['io.airbyte.version']}", config
    script = """
        set -e
        id -un && id -u && id -g
        for program in sh sleep mv kill; do command -v $program >/dev/null; done
        for folder in . /airbyte /config /secrets /source; do [ "$(stat -c %u $folder)" = 1000 ]; done
        grep -q 'BEGIN CERTIFICATE' /etc/ssl/certs/ca-certificates.crt
    """
    assert output(*shell(script)).split() == ["airbyte", str(USER), str(USER)]
    megabytes = (image["Size"] - inspect(BASE)["Size"]) / 1e6
    assert 0 < megabytes < MAX_MEGABYTES, megabytes
    return megabytes


def first_byte():
    """Milliseconds to the first byte of `spec`, inside the container and including its start."""
    script = 'start=$(date +%s%N); $AIRBYTE_ENTRYPOINT spec | head -c 1 >/dev/null; echo $(($(date +%s%N) - start))'
    inside = [int(output(*shell(script))) / 1e6 for _ in range(5)]
    outside = []
    for _ in range(5):
        start = time.monotonic()
        with subprocess.Popen([*RUN, IMAGE, "spec"], stdout=subprocess.PIPE) as process:
            assert process.stdout.read(1) == b"{"
            outside.append((time.monotonic() - start) * 1000)
            process.stdout.read()
        assert process.returncode == 0
    return statistics.median(inside), statistics.median(outside)


class Folder:
    """A sync's files in /source."""

    def __init__(self, path, box):
        self.path, self.box = Path(path), box
        os.chown(path, USER, USER)
        for name in ("stdout", "stderr"):
            os.mkfifo(self.path / name)
            os.chown(self.path / name, USER, USER)

    def write(self, name, value):
        (self.path / name).write_text(json.dumps(value, default=float))

    def configure(self, today):
        self.write("connectorConfig.json", {
            "client_id": self.box.client_id, "client_secret": self.box.client_secret, "currency": "USD",
            "start_date": FIRST_DAY, "api_base_url": self.box.url, "now": f"{today}T12:00:00Z",
        })

    def select(self, catalog):
        """Writes the configured catalog."""
        streams = {stream["name"]: stream for stream in catalog["streams"]}
        self.write("catalog.json", {"streams": [
            {"stream": streams[name], "sync_mode": "incremental" if name in STATISTICS else "full_refresh",
             "destination_sync_mode": "append"}
            for name in [*OBJECTS, *STATISTICS]
        ]})

    def volume(self, at="/source"):
        return ["--volume", f"{self.path}:{at}", "--workdir", at]

    def operate(self, command):
        """Runs a single-response command like the platform."""
        script = WRAPPER.format(command=command, redirections=">jobOutput.json")
        output(*shell(script, *self.volume("/config")))
        return (self.path / "jobOutput.json").read_text()

    @contextmanager
    def reading(self, *options):
        """A read like the platform's; its pipes end in the files `output` and `errors`."""
        (self.path / "exitCode.txt").unlink(missing_ok=True)
        command = "read --config /source/connectorConfig.json --catalog /source/catalog.json"
        if (self.path / "inputState.json").exists():
            command += " --state /source/inputState.json"
        script = WRAPPER.format(command=command, redirections="2>stderr >stdout")
        readers = [subprocess.Popen(["cat", self.path / pipe], stdout=open(self.path / file, "wb"))
                   for pipe, file in (("stderr", "errors"), ("stdout", "output"))]
        try:
            with subprocess.Popen(shell(script, *self.volume(), *options)) as process:
                yield process
            for reader in readers:
                reader.wait(10)
        finally:
            for reader in readers:
                reader.kill()

    def read(self):
        """The messages of a complete read."""
        with self.reading() as process:
            code = process.wait()
        assert (code, (self.path / "exitCode.txt").read_text()) == (0, "0\n"), code
        assert (self.path / "errors").read_text() == ""
        return messages((self.path / "output").read_text())


def compare(found, box, first_day, last_day):
    """Compares a read's records with the sandbox's truth; returns their number."""
    records = {name: [] for name in [*OBJECTS, *STATISTICS]}
    for message in found:
        if message["type"] == "RECORD":
            records[message["record"]["stream"]].append(message["record"]["data"])
    for name in OBJECTS:
        assert {row["id"] for row in records[name]} == {row["id"] for row in box.ask(f"/truth?stream={name}")}, name
    for name in STATISTICS:
        truth = box.statistics(name, first_day, last_day, "USD")
        cost = sum(Decimal(row["AdvertiserCost"]) for row in truth)
        found = len(records[name]), sum(row["advertiser_cost"] for row in records[name])
        assert found == (len(truth), cost), f"{name}: {found}, expected {len(truth), cost}"
    return sum(map(len, records.values()))


def ends(folder, box):
    """Stops a running read with SIGTERM to the first process, and with the platform's file; returns the seconds it took."""
    box.ask("/options", {"latency_ms": 1000})
    command = [*RUN, "--name", "source-criteo-stop", *folder.volume(), IMAGE, "read", "--config", "connectorConfig.json",
               "--catalog", "catalog.json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert any('"STARTED"' in line for line in process.stdout)
        start = time.monotonic()
        output(*PODMAN, "stop", "--time", "10", "source-criteo-stop")
        seconds = time.monotonic() - start
        process.stdout.read()
    assert process.returncode == 143 and seconds < 2, (process.returncode, seconds)
    with folder.reading() as process:
        while '"STARTED"' not in (folder.path / "output").read_text():
            assert process.poll() is None, "the read finished before it was stopped"
            time.sleep(0.05)
        (folder.path / "TERMINATED").touch()
        code = process.wait()
    assert (code, (folder.path / "exitCode.txt").read_text()) == (143, "143\n"), code
    return seconds


def main():
    megabytes = what_it_says_of_itself()
    inside, outside = first_byte()
    with tempfile.TemporaryDirectory() as path, sandbox("--today", FIRST_SYNC) as box:
        folder = Folder(path, box)
        folder.configure(FIRST_SYNC)
        options = folder.volume()
        spec = only("spec", run("spec"))
        status = only("connectionStatus", run("check", "--config", "connectorConfig.json", options=options))
        assert status["status"] == "SUCCEEDED", status
        catalog = only("catalog", run("discover", "--config", "connectorConfig.json", options=options))
        folder.select(catalog)
        command = ["read", "--config", "connectorConfig.json", "--catalog", "catalog.json"]
        plain = compare(messages(run(*command, options=options)), box, FIRST_DAY, FIRST_SYNC)
        assert only("connectionStatus", run("demo", "check"))["status"] == "SUCCEEDED"
        # The same in the platform's way.
        configuration = "--config /config/connectorConfig.json"
        assert only("spec", folder.operate("spec")) == spec
        assert only("connectionStatus", folder.operate(f"check {configuration}")) == status
        assert only("catalog", folder.operate(f"discover {configuration}")) == catalog
        found = folder.read()
        first = compare(found, box, FIRST_DAY, FIRST_SYNC)
        folder.write("inputState.json", [message["state"] for message in found if message["type"] == "STATE"])
        box.ask("/options", {"today": SECOND_SYNC})
        folder.configure(SECOND_SYNC)
        second = compare(folder.read(), box, SECOND_START, SECOND_SYNC)
        assert plain == first > second
        seconds = ends(folder, box)
    print(f"image: {megabytes:.1f} MB above {BASE}; the first byte of spec after {inside:.0f} ms in the container, "
          f"{outside:.0f} ms with its start; spec, check, discover ({len(catalog['streams'])} streams) and read ({plain} records) "
          f"as user {USER}, and as the platform does: {first} records, {second} with the state of those, twelve days later, "
          f"all equal to the truth; SIGTERM ends it with 143 in {seconds:.1f} s")


if __name__ == "__main__":
    main()
