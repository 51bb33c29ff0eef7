"""Airbyte's standard tests for sources, from `airbyte-cdk[dev]`, with the program's output.

    SANDBOX=target/debug/criteo-sandbox SOURCE=target/debug/source-criteo python -m pytest -rs \
        -p airbyte_cdk.test.standard_tests.pytest_hooks -m "not image_tests" \
        -W error::airbyte_cdk.test.standard_tests.DiscoveredCatalogWarning integration_tests/judges/standard_tests.py

They run Python connectors within their process; here the function that does so runs the program instead.
"""

import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from airbyte_cdk.test import entrypoint_wrapper
from airbyte_cdk.test.entrypoint_wrapper import EntrypointOutput
from airbyte_cdk.test.standard_tests import SourceTestSuiteBase
from connector_folder import FOLDER, connector_folder

PROCESSES = ExitStack()
PROCESSES.enter_context(connector_folder())
# Temporary configurations and messages are removed afterwards.
tempfile.tempdir = PROCESSES.enter_context(tempfile.TemporaryDirectory())


def run_command(source, args, expecting_exception=None, *, expected_outcome=None):
    """Runs the program with these arguments."""
    with tempfile.NamedTemporaryFile(delete=False) as messages:
        answer = subprocess.run([os.environ["SOURCE"], *args], stdout=messages, stderr=subprocess.PIPE, text=True)
    output = EntrypointOutput(command=args, message_file=Path(messages.name), stderr=answer.stderr)
    # Platforms rely on the exit code; PyAirbyte uses nothing else.
    assert (answer.returncode != 0) == bool(output.errors), f"exit code {answer.returncode}, errors {output.errors}"
    return output


entrypoint_wrapper._run_command = run_command


class Program:
    """The class that the standard tests pass to `run_command`."""

    def spec(self, logger):
        raise NotImplementedError("the program is run, not this class")


class TestSourceCriteo(SourceTestSuiteBase):
    connector = Program

    @classmethod
    def get_connector_root_dir(cls):
        return FOLDER


def teardown_module():
    PROCESSES.close()
