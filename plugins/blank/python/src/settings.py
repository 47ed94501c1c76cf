"""What the operator can set: nothing yet."""

import json


def faults(text: str) -> list[str]:
    """All that is wrong with the settings, given in JSON."""
    given = json.loads(text)
    if not isinstance(given, dict):
        return ["the settings must be a table"]
    return [f"{key}: there is no such setting" for key in given]
