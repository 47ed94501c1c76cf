"""The stage as the contract in wit/ wants it.

componentize-py makes the modules `wit_world` and `componentize_py_types` from
the contract. A WIT `result` is returned if it is right; its error is raised
as `Err`. All modules are loaded once, when the component is built.
"""

import json
from dataclasses import replace as changed

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import logging
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
import naming
import settings as configured
from verdict import keep, replace, veto


@guard.stage
class Stage(exports.Stage):
    """What the daemon calls."""

    def describe(self) -> Description:
        return Description(
            name="team-naming",
            version="0.1.0",
            summary="Names services <team>-<app>.",
            settings_schema=json.dumps(configured.SCHEMA),
            # With Facts.SETUP and the like it is shown more than the container and its services.
            wants=Facts(0),
            attributes=[],
        )

    def validate_settings(self, settings: str) -> None:
        try:
            configured.read(settings)
        except configured.Faults as error:
            raise Err(error.faults) from None

    def process(
        self, settings: str, container: Container, host: HostFacts, services: list[Service]
    ) -> Outcome:
        wanted = configured.read(settings)
        labels = {label.key: label.value for label in container.labels}
        team = naming.team(wanted, labels)
        if team is None and wanted.label in labels:
            logging.log(logging.Level.WARN, f"the label {wanted.label} is empty")
        return Outcome(verdicts=[verdict(wanted, team, service) for service in services], added=[])


def verdict(settings: configured.Settings, team: str | None, service: Service) -> Verdict:
    """What becomes of one service."""
    if team is None:
        if settings.required:
            return veto(f"the container has no label {settings.label}")
        return keep()
    name = naming.name(settings, team, service.name)
    return keep() if name == service.name else replace(changed(service, name=name))
