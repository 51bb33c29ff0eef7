"""Creates a connector folder for Airbyte's tools: a name that starts with `source-`, the program, its metadata, its fixtures, and
configurations in `secrets/` that point to a running sandbox instead of Criteo."""

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from sandbox import sandbox

REPOSITORY = Path(__file__).resolve().parents[2]
FIXTURES = REPOSITORY / "integration_tests"
FOLDER = REPOSITORY / "target" / "source-criteo"
TODAY = "2026-11-01"
# The fixtures use the sandbox's default port; here it takes a free one.
WRITTEN_URL = "http://127.0.0.1:8085"


@contextmanager
def connector_folder():
    with sandbox("--today", TODAY) as box:
        shutil.rmtree(FOLDER, ignore_errors=True)
        for folder in ("integration_tests", "secrets"):
            (FOLDER / folder).mkdir(parents=True)
        for name in ("metadata.yaml", "icon.svg", "acceptance-test-config.yml"):
            (FOLDER / name).symlink_to(REPOSITORY / name)
        (FOLDER / "source-criteo").symlink_to(os.environ["SOURCE"])
        for fixture in [*FIXTURES.glob("*.json"), *FIXTURES.glob("*.jsonl")]:
            text = fixture.read_text().replace(WRITTEN_URL, box.url)
            (FOLDER / "integration_tests" / fixture.name).write_text(text)
        config = json.loads((FOLDER / "integration_tests" / "sample_config.json").read_text())
        of_default_version = {key: value for key, value in config.items() if key != "api_version"}
        (FOLDER / "secrets" / "config.json").write_text(json.dumps(config))
        (FOLDER / "secrets" / "config_default_version.json").write_text(json.dumps(of_default_version))
        yield box
