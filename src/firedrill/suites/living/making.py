"""Making one scenario of a draw: settled, simulated, told, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from firedrill.core.errors import FiredrillError, InputError
from firedrill.suites.living.checking import check
from firedrill.suites.living.drafting import Choice, Slot, settle
from firedrill.suites.living.roots import settle_roots
from firedrill.suites.living.simulating import simulate
from firedrill.suites.living.truth import tell
from firedrill.suites.living.worlds import Worlds
from firedrill.suites.living.writing import dump, scenario_of

if TYPE_CHECKING:
    from firedrill.faults.healing.certificate import Certificate
    from firedrill.suites.living.case import Case

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a slot.

    Attributes:
        number, mechanism, application: of the slot.
        scenario: as plain data; None where nothing was kept.
        refused: why, for each attempt that was not kept.
    """

    number: int
    mechanism: str
    application: str
    scenario: dict[str, Any] | None
    refused: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Made:
        """The inverse of `to_json`."""
        return cls(**{**data, "refused": tuple(data["refused"])})


def make(choice: Choice, slot: Slot, name: str, worlds: Worlds, *, full: bool = False) -> Made:
    """Try a slot a few times, each time aimed at something else, until a scenario may be kept.

    Args:
        choice: what the draw is made from.
        slot: of the draw.
        name: of the scenario.
        worlds: where healthy worlds are kept.
        full: whether causes are put to the test by healing too, which takes a few times as long.
    """
    refused: list[str] = []
    for number in range(ATTEMPTS):
        try:
            case = settle(choice, slot, number, worlds)
            if case is None:
                refused.append("it does not fit this world")
                break
            found, why = attempt(case, name, worlds, difficulty=slot.difficulty, full=full)
        except InputError as error:
            found, why = None, f"cannot be injected: {error.problem}"
        except FiredrillError:
            raise
        except Exception as error:  # noqa: BLE001 - one broken simulation must not end a run of hundreds
            found, why = None, f"the simulation failed: {type(error).__name__}: {error}"
        if found is not None:
            return Made(slot.number, slot.mechanism, slot.application, found, tuple(refused))
        refused.append(why)
    return Made(slot.number, slot.mechanism, slot.application, None, tuple(refused))


def attempt(
    case: Case,
    name: str,
    worlds: Worlds,
    *,
    difficulty: str = "",
    full: bool = False,
    tags: Sequence[str] = (),
) -> tuple[dict[str, Any] | None, str]:
    """Simulate a case and make a scenario of it.

    Returns:
        The scenario as plain data, or None and why it is not kept.

    Raises:
        InputError: something in the case is not there.
    """
    incident = simulate(case, worlds)
    told = tell(incident, name)
    checked = check(incident, told, difficulty)
    if checked.refused:
        return None, checked.refused
    kept = dict(checked.found)
    cures: tuple[tuple[str, ...], ...] = ()
    if full:
        from firedrill.faults.healing.certificate import certificate

        proof = certificate(incident, modalities=case.modalities)
        if not proof.granted:
            return None, proof.refused
        cures = proof.causes
        kept |= proof_of(proof)
        firsts = [item.causes[0] for item in incident.injections]
        told = replace(told, v1=settle_roots(told.v1, cures, firsts))
    scenario = scenario_of(incident, told, name, tags=tags, cures=cures, certificate=kept)
    return dump(scenario), ""


def proof_of(proof: Certificate) -> dict[str, Any]:
    """What a scenario's file says of its certificate: what was tried, and how it came out."""
    return {
        "granted": proof.granted,
        "lasting": list(proof.lasting),
        "tried": [
            {"entities": list(item.entities), "cured": item.cured, "reason": item.reason}
            for item in proof.tried
        ],
        "others": len(proof.others),
        "seen": [asdict(item) for item in proof.seen],
        "limits": dict(proof.limits),
    }


__all__ = ["ATTEMPTS", "Made", "attempt", "make"]
