"""The rule, apart from the contract, so that unittest can call it."""

from settings import Settings


def team(settings: Settings, labels: dict[str, str]) -> str | None:
    """The team that a container's labels name."""
    return labels.get(settings.label, "").strip() or None


def name(settings: Settings, team: str, app: str) -> str:
    """`<team>-<app>`; a name that already is of that form stays."""
    prefix = team + settings.separator
    return app if app.startswith(prefix) else prefix + app
