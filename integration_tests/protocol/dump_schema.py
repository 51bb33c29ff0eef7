"""Writes the JSON Schema of Airbyte's protocol models to standard output, without descriptions.

    pip install airbyte-protocol-models-pdv2==0.18.0
    python integration_tests/protocol/dump_schema.py > integration_tests/protocol/airbyte_message.schema.json
"""

import json

from airbyte_protocol.models import AirbyteMessage


def without_prose(node, in_properties=False):
    """Drops titles and descriptions, but keeps properties with such names."""
    if isinstance(node, dict):
        return {
            key: without_prose(value, key in ("properties", "$defs"))
            for key, value in node.items()
            if in_properties or key not in ("title", "description")
        }
    if isinstance(node, list):
        return [without_prose(value) for value in node]
    return node


print(json.dumps(without_prose(AirbyteMessage.model_json_schema()), indent=1, sort_keys=True))
