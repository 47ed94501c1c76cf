"""What the operator can set, and how it is read from the configuration."""

import json
from dataclasses import dataclass

# The JSON schema of the settings, which `wharfinger plugin inspect` shows.
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "team-naming",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "label": {
            "type": "string",
            "minLength": 1,
            "default": "team",
            "description": "The label that names the team.",
        },
        "separator": {
            "type": "string",
            "minLength": 1,
            "default": "-",
            "description": "What stands between the team and the application.",
        },
        "required": {
            "type": "boolean",
            "default": False,
            "description": "Whether a container without the label is vetoed.",
        },
    },
}

TYPES = {"string": str, "boolean": bool}


@dataclass(frozen=True)
class Settings:
    """The settings with their defaults."""

    label: str = "team"
    separator: str = "-"
    required: bool = False


class Faults(Exception):
    """All that is wrong with the settings, one line of text each."""

    def __init__(self, faults: list[str]):
        super().__init__("; ".join(faults))
        self.faults = faults


def read(text: str) -> Settings:
    """Read the settings from JSON; raises Faults."""
    given = json.loads(text)
    if not isinstance(given, dict):
        raise Faults(["the settings must be a table"])
    faults = [fault for key, value in given.items() if (fault := _fault(key, value))]
    if faults:
        raise Faults(faults)
    return Settings(**given)


def _fault(key: str, value: object) -> str | None:
    """What is wrong with one setting."""
    known = SCHEMA["properties"]
    if key not in known:
        return f"{key}: there is no such setting; known are {', '.join(known)}"
    expected = known[key]["type"]
    if not isinstance(value, TYPES[expected]):
        return f"{key}: must be a {expected}"
    if expected == "string" and not value.strip():
        return f"{key}: must not be empty"
    return None
