"""The rule, apart from the contract, so that it can be tested without it."""


def name(labels: dict[str, str], given: str) -> str:
    """The name that a service of this name gets, in a container with these labels."""
    return given
