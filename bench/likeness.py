"""How like a world is to a real cluster: the same faults, the same commands, what was printed compared.

For every fault recorded on the real one the same situation is built in a world and the same `kubectl`
commands are run; names, times, addresses and numbers are taken out before the comparison.

    python bench/likeness.py [FOLDER] [--fault NAME]… [--differences] [--without-history] [--kubectl PATH]

FOLDER holds the recordings (`<fault>/<n>/<command>.txt`); by default those of FIREDRILL_SHARED. Differences
are explained by `likeness_notes.yaml`; it ends with 1 where fewer than 95 % of the reasons or 90 % of the
messages agree, found or right. With --without-history nothing of earlier experiments is done before, and
events that are older than the experiment are left out of the comparison.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tarfile
import tempfile
from pathlib import Path

from firedrill.gateway.kubernetes.host import Pace
from firedrill.gateway.kubernetes.kubectl import find_kubectl
from firedrill.gateway.serving import identity, served
from likeness_report import Comparison, report
from likeness_situations import NAMESPACE, Case, age_of_application, build, cases
from likeness_text import Seen, described_events, listed_events, owner, rows, states

_LISTED = ("pods-wide", "deployments", "replicasets", "services", "endpoints", "nodes")
_ALSO = ("persistentvolumeclaims", "persistentvolumes", "resourcequota")
_BEFORE = 16  # seconds that volumes and claims are made before the application


class Kubectl:
    """The real program, asking a world."""

    def __init__(self, path: Path, config: Path, home: Path) -> None:
        self._path, self._config, self._home = path, config, home

    async def __call__(self, *args: str) -> str:
        process = await asyncio.create_subprocess_exec(
            str(self._path),
            *args,
            env={"HOME": str(self._home), "KUBECONFIG": str(self._config), "PATH": os.environ["PATH"]},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        return out.decode("utf-8", "replace")


async def compare(case: Case, program: Path, *, history: bool = True) -> Comparison:
    """Build the situation of a recording and compare what kubectl prints.

    Args:
        case: the recording.
        program: a kubectl.
        history: whether earlier experiments are relived; without, events older than this one do not count.
    """
    world = build(case, history=history)
    oldest = 1 << 40 if history else age_of_application(case) + _BEFORE
    out = Comparison()
    admin = identity("kubernetes-admin")
    with tempfile.TemporaryDirectory() as folder:
        async with served(world, [admin], Pace(speed=0)) as here:
            config = Path(folder, "config")
            config.write_text(json.dumps(here.kubeconfig(namespace=NAMESPACE)))
            kubectl = Kubectl(program, config, Path(folder))
            await _compare_lists(case, kubectl, out)
            await _compare_described(case, kubectl, out, oldest)
            await _compare_events(case, kubectl, out, oldest)
    return out


async def _compare_lists(case: Case, kubectl: Kubectl, out: Comparison) -> None:
    names = [name for name in (*_LISTED, *_ALSO) if f"get-{name}" in case.texts]
    texts = await asyncio.gather(*(kubectl("get", *_asked(name)) for name in names))
    for name, text in zip(names, texts, strict=True):
        resource = name.removesuffix("-wide")
        theirs, ours = rows(resource, case.texts[f"get-{name}"]), rows(resource, text)
        if resource == "nodes":
            theirs, ours = ({"": " / ".join(sorted(found.values()))} for found in (theirs, ours))
        real_lines = [f"{resource} {key}: {value}" for key, value in theirs.items()]
        out.rows.add(real_lines, [f"{resource} {key}: {value}" for key, value in ours.items()])


def _asked(name: str) -> list[str]:
    """`pods-wide` as arguments: `pods -o wide`."""
    return [name.removesuffix("-wide"), "-o", "wide"] if name.endswith("-wide") else [name]


async def _compare_described(case: Case, kubectl: Kubectl, out: Comparison, oldest: int) -> None:
    """Objects that the recording describes, each kind and owner together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for file, text in case.texts.items():
        if file.startswith("describe-"):
            _, kind, name = file.split("-", 2)
            key = (kind, name if kind in {"nodes"} else owner(kind, name))
            groups.setdefault(key, []).append(text)
    told = await asyncio.gather(*(_described(kubectl, kind, name) for kind, name in groups))
    for ((kind, name), real), ours in zip(groups.items(), told, strict=True):
        theirs_seen = [item for text in real for item in described_events(kind, name, text, oldest)]
        ours_seen = [item for text in ours for item in described_events(kind, name, text)]
        _add(out, theirs_seen, ours_seen, precise=True)
        label = f"{kind.removesuffix('s')} {name}: "
        out.states.add(
            [label + item for text in real for item in states(text)],
            [label + item for text in ours for item in states(text)],
        )


async def _described(kubectl: Kubectl, kind: str, name: str) -> list[str]:
    found = await _names(kubectl, kind, name)
    return list(await asyncio.gather(*(kubectl("describe", kind, item) for item in found)))


async def _names(kubectl: Kubectl, kind: str, name: str) -> list[str]:
    listed = await kubectl("get", kind, "-o", "name")
    names = [line.partition("/")[2] for line in listed.splitlines()]
    return [item for item in names if item == name or owner(kind, item) == name]


async def _compare_events(case: Case, kubectl: Kubectl, out: Comparison, oldest: int) -> None:
    """Listed events may have been cut: what only the world has does not count."""
    for file, text in case.texts.items():
        if file.startswith("get-events"):
            namespace = _namespace_of_events(text)
            ours = await kubectl("get", "events", "-n", namespace)
            _add(out, list(listed_events(text, oldest)), list(listed_events(ours)), precise=False)


def _namespace_of_events(text: str) -> str:
    if "lease/" in text or "pod/kube-" in text or "pod/coredns" in text:
        return "kube-system"
    return "default" if " node/" in text else NAMESPACE


def _add(out: Comparison, real: list[Seen], world: list[Seen], *, precise: bool) -> None:
    out.reasons.add(
        [f"{item.kind} {item.about} {item.type} {item.reason}" for item in real],
        [f"{item.kind} {item.about} {item.type} {item.reason}" for item in world],
        precise=precise,
    )
    out.shapes.add(
        [f"{item.kind} {item.about} {item.reason}: {item.shape}" for item in real],
        [f"{item.kind} {item.about} {item.reason}: {item.shape}" for item in world],
        precise=precise,
    )


def _recordings(given: str | None) -> Path:
    if given:
        return Path(given)
    shared = Path(os.environ.get("FIREDRILL_SHARED", "../shared"))
    archive = shared / "data" / "kubectl-recordings.tar.xz"
    if not archive.exists():
        sys.exit(f"{archive} is not there: name the folder of the recordings, or set FIREDRILL_SHARED")
    target = Path(tempfile.gettempdir(), "firedrill-recordings")
    if not (target / "kubectl-recordings").exists():
        with tarfile.open(archive) as packed:
            packed.extractall(target, filter="data")
    return target / "kubectl-recordings"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--case", default="")
    parser.add_argument("--differences", action="store_true")
    parser.add_argument("--without-history", action="store_true")
    parser.add_argument("--kubectl", default="")
    args = parser.parse_args()
    found = find_kubectl()
    if not found and not args.kubectl:
        sys.exit("no kubectl of 1.30 or newer was found: run make tools")
    program = Path(args.kubectl) if args.kubectl else found[0].path
    by_fault: dict[str, Comparison] = {}
    for case in cases(_recordings(args.folder)):
        if (args.fault and case.fault not in args.fault) or (args.case and case.number != args.case):
            continue
        print(f"\r{case.fault}/{case.number}".ljust(60), end="", file=sys.stderr, flush=True)
        result = asyncio.run(compare(case, program, history=not args.without_history))
        by_fault.setdefault(case.fault, Comparison()).merge(result)
    print(file=sys.stderr)
    return 0 if report(by_fault, differences=args.differences) else 1


if __name__ == "__main__":
    raise SystemExit(main())
