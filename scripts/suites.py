"""Builds the packaged suites; see scripts/suites."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from firedrill.core.scenario import Scenario
from firedrill.suites.living import packaging
from firedrill.suites.living.drafting import Choice, fitting
from firedrill.suites.living.generating import VERSION, Wanted, generate
from firedrill.suites.living.opening import open_folder, pack
from firedrill.suites.living.packaged import SUFFIX, packaged_folder

WORK = Path(os.environ.get("SUITES_WORK", "build/suites"))
PROCESSES = int(os.environ.get("SUITES_PROCESSES", "2"))
PROVE = os.environ.get("PROVE", "") == "1"
SEED = 2026
TITLES = {
    "lite": "21 incidents on living worlds, balanced",
    "sre": "incidents on living worlds: every mechanism in every application that it fits",
    "sre-paper": "the 21 patterns of the ITBench paper, with and without traces",
    "itbench-sre": "ITBench's own scenario specifications, run in our worlds",
}


def say(text: str) -> None:
    """On standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def keep(name: str, scenarios: list[Scenario], about: dict[str, object]) -> None:
    """Write a packaged suite."""
    data = pack(name, VERSION, TITLES[name], scenarios, about)
    (packaged_folder() / f"{name}{SUFFIX}").write_bytes(data)
    say(f"{name}: {len(scenarios)} scenarios, {len(data)} bytes")


def table(name: str) -> None:
    """A suite of the rows of a table."""
    scenarios, left_out = packaging.run_table(name, WORK / name, processes=PROCESSES, full=PROVE, tell=say)
    if name == "sre-paper":
        scenarios = packaging.with_and_without_traces(scenarios)
    keep(name, scenarios, {"left_out": left_out})


def drawn() -> list[Scenario]:
    """The scenarios of the large draw."""
    wanted = int(os.environ.get("SUITES_COUNT", "0")) or max(120, 3 * len(fitting()))
    folder = WORK / f"sre-{wanted}"
    if not (folder / "suite.yaml").is_file():
        generate(
            Wanted(Choice(SEED), wanted, "sre", PROVE),
            folder,
            processes=PROCESSES,
            progress=lambda done, total, what: say(f"{done}/{total} {what}"),
        )
    return [item.scenario for item in open_folder(folder).scenarios]


def main(names: list[str]) -> None:
    """Build those that are named, or all."""
    for name in names or ["sre-paper", "itbench-sre", "sre", "lite"]:
        if name in ("sre-paper", "itbench-sre"):
            table(name)
        elif name == "sre":
            keep("sre", drawn(), {"seed": SEED})
        else:
            chosen = packaging.choose_lite(drawn())
            keep("lite", packaging.renamed(chosen, "lite"), {"seed": SEED})


if __name__ == "__main__":
    main(sys.argv[1:])
