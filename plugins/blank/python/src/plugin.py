"""The stage as the contract in wit/ wants it.

componentize-py makes the modules `wit_world` and `componentize_py_types` from
the contract. A WIT `result` is returned if it is right; its error is raised
as `Err`. All modules are loaded once, when the component is built.
"""

from dataclasses import replace as changed

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import (
    Container,
    Description,
    Facts,
    HostFacts,
    Outcome,
    Service,
    Verdict,
)

import guard
import rule
import settings as configured
from verdict import keep, replace


@guard.stage
class Stage(exports.Stage):
    """What the daemon calls."""

    def describe(self) -> Description:
        return Description(
            name="team-naming",
            version="0.1.0",
            summary="Keeps every service as it is.",
            settings_schema=None,
            # With Facts.SETUP and the like it is shown more than the container and its services.
            wants=Facts(0),
            attributes=[],
        )

    def validate_settings(self, settings: str) -> None:
        faults = configured.faults(settings)
        if faults:
            raise Err(faults)

    def process(
        self, settings: str, container: Container, host: HostFacts, services: list[Service]
    ) -> Outcome:
        labels = {label.key: label.value for label in container.labels}
        return Outcome(verdicts=[verdict(labels, service) for service in services], added=[])


def verdict(labels: dict[str, str], service: Service) -> Verdict:
    """What becomes of one service."""
    name = rule.name(labels, service.name)
    return keep() if name == service.name else replace(changed(service, name=name))
