"""Letting a case happen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.core.errors import InputError
from firedrill.suites.living.case import BASELINE_MS, HEALTHY_MS, LATEST_MS, Case, CaseFault
from firedrill.suites.living.incident import Incident, Times, tells
from firedrill.suites.living.observing import LOOK_MS, alerts_now
from firedrill.suites.living.waiters import wait
from firedrill.suites.living.worlds import Twin, Worlds, package_of

if TYPE_CHECKING:
    from firedrill.faults import Injection
    from firedrill.world.world import World


def simulate(case: Case, worlds: Worlds | None = None) -> Incident:
    """Let the world of a case run in health, break what it says, and go on until the incident is over.

    The incident ends `case.incident_ms` after its first alert; where no alert fires within `case.limit_ms`
    after the first fault, then.

    Args:
        case: what to simulate.
        worlds: where healthy worlds are kept for further cases.

    Raises:
        InputError: the case names something that is not there, or breaks something too early.
    """
    if not case.faults:
        raise InputError("there is nothing to simulate", field="faults", mend="name a fault")
    if case.breaks_ms < HEALTHY_MS:
        raise InputError(
            f"a fault comes {case.breaks_ms / 1000:g} s after the start, before there is a baseline",
            field="faults.at",
            mend=f"give at least {HEALTHY_MS // 1000}",
        )
    last = max(item.at_ms for item in case.faults)
    if case.breaks_ms > LATEST_MS or last > case.breaks_ms + case.limit_ms:
        raise InputError(
            f"a fault comes {last / 1000:g} s after the start, too late",
            field="faults.at",
            mend=f"let the first come within {LATEST_MS // 3_600_000} hours, and the others within "
            f"{case.limit_ms // 60_000} minutes after it",
        )
    twin = (worlds or Worlds(1)).healthy(case)
    return _Episode(case, twin).run()


class _Episode:
    """One simulation under way."""

    def __init__(self, case: Case, twin: Twin) -> None:
        self._case = case
        self._twin = twin
        self._start = case.start
        self._fault = self._start + case.breaks_ms
        self._before = twin.at(self._fault)
        self._world = self._before.fork()
        self._seen = twin.seen_until(self._fault).until(self._fault)
        self._injections: list[Injection] = []
        self._alert: int | None = None
        self._noticed: World | None = None
        self._limit = self._fault + case.limit_ms

    def run(self) -> Incident:
        for fault in sorted(self._case.faults, key=lambda item: item.at_ms):
            self._until(self._start + fault.at_ms)
            self._break(fault)
        self._until(self._limit)
        if self._alert is not None:
            self._until(self._alert + self._case.incident_ms)
        noticed = self._noticed or self._world.fork()
        times = Times(
            start=self._start,
            baseline=self._fault - BASELINE_MS,
            fault=self._fault,
            alert=self._alert,
            noticed=noticed.now,
            end=self._world.now,
        )
        return Incident(
            self._case,
            package_of(self._case),
            self._world,
            self._before,
            noticed,
            self._injections,
            times,
            self._seen,
            self._twin,
        )

    def _break(self, fault: CaseFault) -> None:
        from firedrill import faults

        self._injections.append(faults.inject(self._world, faults.find(fault.id), dict(fault.args)))
        wait(self._world, fault.after, self._until)

    def _until(self, moment: int) -> None:
        """Run on, looking at alerts, to that moment; once an alert has fired, no further than its end."""
        while self._world.now < moment:
            if self._alert is not None and self._world.now >= self._alert + self._case.incident_ms:
                return
            step = min(moment, (self._world.now // LOOK_MS + 1) * LOOK_MS)
            self._seen.run(self._world, step)
            if self._alert is None and self._injections:
                self._look()

    def _look(self) -> None:
        new = [
            alert.fired_ms
            for alert in alerts_now(self._world)
            if tells(alert) and not self._twin.fires(alert, self._world.now, self._fault)
        ]
        if new:
            self._alert = max(min(new), self._fault)
            self._noticed = self._world.fork()
