"""What decides on causes: entities are healed on forks of a world, and the world tells whether that was it.

`heal` brings entities back to what they were; `Trials` asks whether that ends an incident, gives a diagnosis
its score by intervention, and finds all smallest sets of causes; `certificate` says whether an incident is
fit to be a problem.
"""

from firedrill.faults.healing.acts import Healed, heal
from firedrill.faults.healing.certificate import Certificate, certificate, trials_of
from firedrill.faults.healing.scoring import Score, interventional, minimal_causes
from firedrill.faults.healing.seeing import Seen, Sides, visible
from firedrill.faults.healing.trials import Fired, Limits, Trials, Verdict, cures

__all__ = [
    "Certificate",
    "Fired",
    "Healed",
    "Limits",
    "Score",
    "Seen",
    "Sides",
    "Trials",
    "Verdict",
    "certificate",
    "cures",
    "heal",
    "interventional",
    "minimal_causes",
    "trials_of",
    "visible",
]
