"""Validates `metadata.yaml` with Airbyte's models, and compares it and docs/airbyte.md with the program.

    SOURCE=target/debug/source-criteo python integration_tests/judges/metadata.py
"""

import json
import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from urllib.parse import urlparse

import yaml
from airbyte_connector_models.metadata.v0.connector_metadata_definition_v0 import ConnectorMetadataDefinitionV0

from connector_folder import FIXTURES, REPOSITORY

# The headings that Airbyte's documentation checks require, in order. (The checks, connectors-qa in Airbyte's repository, are not
# published as a package.)
HEADINGS = """\
# Criteo
## Prerequisites
## Setup guide
## Set up Criteo
## Set up the Criteo connector in Airbyte
### For Airbyte Cloud:
### For Airbyte Open Source:
## Supported sync modes
## Supported Streams
### Performance considerations
## Data type map
## Limitations & Troubleshooting
## Changelog"""


def ask(*arguments):
    """The program's output, without a network."""
    answer = subprocess.run([os.environ["SOURCE"], *arguments], capture_output=True, text=True, check=True, cwd=FIXTURES)
    return answer.stdout


def message(kind, *arguments):
    """The program's message of this type."""
    [found] = [entry for entry in map(json.loads, ask(*arguments).strip().split("\n")) if entry["type"] == kind]
    return found


def sections(document):
    """The text under each heading."""
    return dict(re.findall(r"^(#+ .*)\n((?:(?!#+ ).*\n)*)", document, re.MULTILINE))


def main():
    metadata = yaml.safe_load((REPOSITORY / "metadata.yaml").read_text())
    ConnectorMetadataDefinitionV0.model_validate(metadata)
    metadata = metadata["data"]
    version = ask("--version").split()[1]
    specification = message("SPEC", "spec")["spec"]
    properties = specification["connectionSpecification"]["properties"]
    catalog = message("CATALOG", "discover", "--config=sample_config.json")["catalog"]
    streams = {stream["name"] for stream in catalog["streams"] if not stream["name"].startswith("custom_")}

    assert metadata["dockerImageTag"] == version
    assert metadata["documentationUrl"] == specification["documentationUrl"]
    assert urlparse(properties["api_base_url"]["default"]).hostname in metadata["allowedHosts"]["hosts"]
    assert streams >= set(metadata["suggestedStreams"]["streams"])
    icon = ElementTree.parse(REPOSITORY / metadata["icon"]).getroot()
    assert icon.tag == "{http://www.w3.org/2000/svg}svg" and icon.get("width") == icon.get("height"), "icons are square"

    page = sections((REPOSITORY / "docs" / "airbyte.md").read_text())
    assert list(page) == HEADINGS.splitlines(), list(page)
    for name in specification["connectionSpecification"]["required"]:
        assert properties[name]["title"] in page["## Prerequisites"], name
    modes = "\nThe Criteo source connector supports the following [sync modes]"
    assert page["## Supported sync modes"].startswith(modes)
    assert page["## Changelog"].startswith("\n<details>\n  <summary>Expand to review</summary>\n")
    assert f"| {version} |" in page["## Changelog"]
    table = {}
    for names, supported in re.findall(r"^\| (`.*) \| (.*) \|$", page["## Supported Streams"], re.MULTILINE):
        table |= dict.fromkeys(re.findall("`(.*?)`", names), supported)
    modes = {stream["name"]: ", ".join(stream["supported_sync_modes"]).replace("_", " ") for stream in catalog["streams"]}
    assert table == {name: modes[name] for name in streams}, table.items() ^ {(name, modes[name]) for name in streams}
    print(f"metadata: valid; docs/airbyte.md: {len(page)} headings in Airbyte's order, {len(table)} streams")


if __name__ == "__main__":
    main()
