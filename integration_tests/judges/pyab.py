"""`pyab validate`, PyAirbyte's connector check, accepts the sample configuration and reports the problem of the invalid one.

    SANDBOX=target/debug/criteo-sandbox SOURCE=target/debug/source-criteo python integration_tests/judges/pyab.py
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from connector_folder import FOLDER, connector_folder

PYAB = Path(sys.executable).with_name("pyab")


def validate(config):
    """The exit code and all output."""
    command = [PYAB, "validate", f"--connector={FOLDER}/source-criteo", f"--config={FOLDER}/{config}"]
    environment = {**os.environ, "DO_NOT_TRACK": "1", "AIRBYTE_OFFLINE_MODE": "1"}
    answer = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(answer.stdout)
    return answer.returncode, answer.stdout


def main():
    with connector_folder():
        code, text = validate("secrets/config.json")
        assert code == 0, code
        [success] = re.findall("Connection check succeeded.*", text)
        code, text = validate("integration_tests/invalid_config.json")
        assert code == 1, code
        [reason] = re.findall("Failure Reason: '(.*)'", text)
        assert "client_secret are probably not from the same key" in reason
    print(f"pyab validate: {success} With a wrong secret: {reason}")


if __name__ == "__main__":
    main()
