"""What a stage says of one proposed service, in the contract's form."""

from wit_world.imports.types import Decision_Keep, Decision_Replace, Decision_Veto, Service, Verdict, Veto


def keep(*notes: str) -> Verdict:
    """It stays as it is. Notes are for people who ask why."""
    return Verdict(decision=Decision_Keep(), notes=list(notes))


def replace(service: Service, *notes: str) -> Verdict:
    """This service takes its place."""
    return Verdict(decision=Decision_Replace(service), notes=list(notes))


def veto(reason: str, *notes: str, code: str | None = None) -> Verdict:
    """It must not be registered. The code is a short word for figures, such as `privileged`, one of few."""
    return Verdict(decision=Decision_Veto(Veto(reason=reason, code=code)), notes=list(notes))
