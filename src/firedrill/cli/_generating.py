"""What ``firedrill suite generate`` does: suites of living worlds."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firedrill.suites import Suite
    from firedrill.suites.living.generating import Generated, Wanted

_SHOWN = 5


def worlds(wanted: Wanted, out: Path, *, processes: int, quiet: bool) -> Suite:
    """Write scenarios of living worlds, and say which cases were kept and why the others were not."""
    from firedrill.cli.suite import _bar, _plain
    from firedrill.suites import open_suite
    from firedrill.suites.living.generating import generate

    with _bar("simulating", "scenarios") as tick:
        report = generate(
            wanted,
            out,
            processes=processes,
            progress=lambda done, total, what: tick(done, total, _plain(what)),
        )
    if not quiet:
        _tell(report)
    return open_suite(str(out.resolve()))


def _tell(report: Generated) -> None:
    from firedrill.cli.suite import _print_table, _table

    table = _table("mechanism", "tried", "kept", "refused because")
    for name, count in report.tried.items():
        reasons = report.reasons.get(name, {})
        often = sorted(reasons, key=lambda reason: (-reasons[reason], reason))[:_SHOWN]
        why = "; ".join(f"{reason} ({reasons[reason]})" for reason in often)
        table.add_row(name, str(count), str(report.kept.get(name, 0)), why)
    _print_table(table)
    tried, kept = sum(report.tried.values()), sum(report.kept.values())
    sys.stdout.write(f"{kept} of {tried} cases kept ({kept / max(tried, 1):.0%})\n")
