"""Certificates: what one costs, fork by fork, and what the parts of it are.

Run alone: `python bench/bench_certificate.py` (about a minute; `--quick` for the astronomy shop alone).
"""

from __future__ import annotations

import sys
from time import process_time

from firedrill import faults
from firedrill.faults.healing import certificate, heal, trials_of
from firedrill.suites.living import Case, CaseFault, Incident, Worlds, simulate
from firedrill.suites.living.case import HEALTHY_MS
from firedrill.world.app import application_names
from table import Row, show

MECHANISMS = ("incorrect-image-reference", "network-policy-blocks")


def incident(application: str, mechanism: str, worlds: Worlds) -> Incident:
    """One incident: the mechanism aimed at a workload in the middle of the list."""
    bare = Case(application, (CaseFault(mechanism, {}),), seed=1)
    healthy = worlds.healthy(bare).at(bare.start + HEALTHY_MS)
    found = faults.targets(faults.find(mechanism), healthy)
    target = found[len(found) // 2]
    return simulate(Case(application, (CaseFault(mechanism, dict(target.args)),), seed=1), worlds)


def measure(application: str, mechanism: str, worlds: Worlds) -> list[Row]:
    """What its certificate and the parts of it cost, in seconds of processor time."""
    it = incident(application, mechanism, worlds)
    assert it.twin.now == it.world.now
    about = f"{application}, {mechanism}"
    begin = process_time()
    made = certificate(it)
    whole = process_time() - begin
    minutes = sum(item.minutes for item in made.tried)
    said = "granted" if made.granted else made.refused
    rows = [
        (f"certificate: {about} ({said})", "< 40 s", f"{whole:.2f} s"),
        (
            f"  {len(made.tried)} trials, {minutes:.0f} virtual minutes",
            "",
            f"{whole / minutes * 10:.2f} s per 10 min",
        ),
    ]
    causes = list(it.injections[0].causes)
    begin = process_time()
    trials_of(it).cures(causes)
    rows.append(("  the trial of the cause", "", f"{process_time() - begin:.2f} s"))
    begin = process_time()
    trials_of(it).cures([])
    rows.append(("  the trial of nothing", "", f"{process_time() - begin:.2f} s"))
    fork = it.noticed.fork()
    begin = process_time()
    heal(fork, causes, before=it.before, injections=it.injections)
    rows.append(("  healing itself", "", f"{(process_time() - begin) * 1000:.1f} ms"))
    return rows


def main() -> None:
    """Print the table."""
    names = ["astronomy-shop"] if "--quick" in sys.argv else application_names()
    worlds = Worlds(1)
    rows = [row for name in names for mechanism in MECHANISMS for row in measure(name, mechanism, worlds)]
    show("Certificates", rows)


if __name__ == "__main__":
    main()
