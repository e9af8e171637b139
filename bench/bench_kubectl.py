"""Every kubectl that is found against a served world: how many commands did what a real cluster's would.

    python bench/bench_kubectl.py [--only SCRIPT] [--version 1.31] [--quiet]

Exits with 1 where a command went wrong, and with 3 where no kubectl of 1.30 or newer is at hand.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import kubectl_script
from firedrill.gateway.kubernetes.kubectl import KubectlBinary, find_kubectl


def main() -> int:
    """Print one row for each version and script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", metavar="SCRIPT", help="run the scripts whose names hold this")
    parser.add_argument("--version", metavar="1.31", help="run this version of kubectl only")
    parser.add_argument("--quiet", action="store_true", help="do not say what went wrong")
    asked = parser.parse_args()
    wanted = f"{asked.version or '1'}."
    binaries = [found for found in reversed(find_kubectl()) if f"{_name(found)}.".startswith(wanted)]
    if not binaries:
        print("no such kubectl of 1.30 or newer is at hand: run `make tools`", file=sys.stderr)
        return 3
    scripts = [path for path in kubectl_script.scripts() if (asked.only or "") in path.stem]
    print(f"{'kubectl':<10}{'script':<14}{'commands':>9}{'passed':>8}{'seconds':>9}")
    failed = 0
    for binary in binaries:
        outcomes = _run(binary, scripts)
        for outcome in outcomes:
            _row(_name(binary), outcome.name, outcome.commands, len(outcome.failures), outcome.seconds)
        commands = sum(outcome.commands for outcome in outcomes)
        wrong = sum(len(outcome.failures) for outcome in outcomes)
        _row(_name(binary), "all", commands, wrong, sum(outcome.seconds for outcome in outcomes))
        failed += wrong
        if not asked.quiet:
            print("".join(text for outcome in outcomes for text in outcome.failures), end="", file=sys.stderr)
    return 1 if failed else 0


def _run(binary: KubectlBinary, scripts: list[Path]) -> list[kubectl_script.Outcome]:
    """Run the scripts one after the other on a new world; a defect of the gateway counts as a failure."""
    outcomes = []
    with kubectl_script.make_served() as served, tempfile.TemporaryDirectory() as folder:
        for script in scripts:
            shell = kubectl_script.Shell(binary, served, Path(folder) / script.stem)
            outcomes.append(shell.run_script(script))
            time.sleep(0.1)
            outcomes[-1].failures += [f"defect: {text}\n" for text in served.host.defects]
            served.host.defects.clear()
    return outcomes


def _row(version: str, script: str, commands: int, failed: int, seconds: float) -> None:
    print(f"{version:<10}{script:<14}{commands:>9}{commands - failed:>8}{seconds:>9.1f}", flush=True)


def _name(binary: KubectlBinary) -> str:
    return "{}.{}.{}".format(*binary.version)


if __name__ == "__main__":
    sys.exit(main())
