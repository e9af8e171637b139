"""Opening a suite: by registered name, or from a folder in any of the known layouts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any

from firedrill.core.episode import slug
from firedrill.core.errors import Finding, InputError
from firedrill.suites import registry
from firedrill.suites._names import loose, natural, unique_ids
from firedrill.suites.assembling import make_suite, recorded_scenario
from firedrill.suites.manifest import Manifest, read_manifest
from firedrill.suites.model import Suite, SuiteScenario
from firedrill.suites.scenario_file import open_scenario_file
from firedrill.suites.truths import Sources, find_truth, read_sources


def open_suite(spec: str | Path) -> Suite:
    """The suite that ``spec`` names.

    ``spec`` is a registered name, the name of a suite that comes with Firedrill, ``name@version``, or a path
    to: a folder in the ITBench-AA or ITBench-Lite layout, a folder of incidents, one incident, a folder of
    scenario files, or a scenario file. A name goes before a folder of that name in the current directory;
    ``./name`` is always the folder. Scenarios that cannot be used are
    left out, with a finding each.

    Raises:
        InputError: when there is no such suite, or nothing in it can be used.
    """
    if isinstance(spec, str) and os.sep not in spec and spec not in (".", "..", "~"):
        entry = registry.find(spec)
        if entry is not None:
            return _open_entry(entry)
        packaged = _packaged(spec)
        if packaged is not None:
            return packaged
        if not Path(spec).exists():
            raise registry.unknown(spec)
    path = Path(spec).expanduser()
    if not path.exists():
        raise InputError(
            "no such file or folder", source=str(spec), mend="`firedrill suite list` shows suites"
        )
    return open_path(path)


def is_name(spec: str) -> bool:
    """Whether :func:`open_suite` takes ``spec`` for the name of a suite, not for a path."""
    from firedrill.suites.compliance.opening import suite_names
    from firedrill.suites.living.packaged import packaged_names

    if os.sep in spec or spec in (".", "..", "~"):
        return False
    name = spec.partition("@")[0]
    return registry.find(spec) is not None or name in (*packaged_names(), *suite_names())


def _packaged(spec: str) -> Suite | None:
    """The suite of that name, or `name@version`, that comes with Firedrill."""
    from firedrill.suites.compliance import opening as compliance
    from firedrill.suites.living.packaged import packaged_head, packaged_names

    name, _, version = spec.partition("@")
    if name not in (*packaged_names(), *compliance.suite_names()):
        return None
    of_compliance = name in compliance.suite_names()
    own = compliance.VERSION if of_compliance else str(packaged_head(name)["version"])
    if version and version != own:
        raise InputError(f"the suite {name} comes in version {own}, not {version}", mend=f"take {name}@{own}")
    if of_compliance:
        return compliance.open_compliance(name)
    from firedrill.suites.living.opening import open_packaged

    return open_packaged(name)


def register(
    path: str | Path, name: str | None = None, *, version: str | None = None, replace: bool = False
) -> registry.Entry:
    """Add the suite at ``path`` to the user's suites, under its own name and version or the given ones.

    Raises:
        InputError: when nothing there can be used, or name and version are taken by other content.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise InputError("no such file or folder", source=str(path))
    suite = open_path(place, name=name, version=version)
    title = str(suite.provenance.get("title") or "")
    return registry.add(suite, place, title=title, replace=replace)


def _open_entry(entry: registry.Entry) -> Suite:
    if not entry.present:
        raise InputError(
            f"the suite {entry.label} was registered at this place, where nothing is any more",
            source=entry.path,
            mend=f"register it again with `firedrill suite add PATH --name {entry.name} --version "
            f"{entry.version} --replace`, or forget it with `firedrill suite remove {entry.label}`",
        )
    suite = open_path(Path(entry.path), name=entry.name, version=entry.version)
    if suite.digest == entry.digest:
        return suite
    text = (
        f"the suite {entry.label} has changed since it was registered (digest {entry.digest}, now "
        f"{suite.digest}): its scores are not comparable with earlier ones; "
        f"`firedrill suite add {entry.path} --name {entry.name}` registers it as it is now, "
        "with a new --version or with --replace"
    )
    finding = Finding("warning", "suite-changed", text, "suite")
    return with_changes(suite, findings=(finding, *suite.findings))


def open_path(path: Path, *, name: str | None = None, version: str | None = None) -> Suite:
    """The suite at ``path`` (folder or scenario file); ``name`` and ``version`` replace its own.

    Raises:
        InputError: when nothing there can be used.
    """
    if path.is_file():
        return open_scenario_file(path, name, version)
    root = path.resolve()
    if _has_scenarios(root):
        from firedrill.suites.living.opening import open_folder

        return open_folder(root, name, version)
    manifest = read_manifest(root)
    incidents = _incidents(root)
    parents = dict.fromkeys([root, *(folder.parent for _, folder in incidents)])
    sources = read_sources({folder: _shown(folder, root) for folder in parents})
    findings = list(sources.findings)
    scenarios: list[SuiteScenario] = []
    for identifier, folder in incidents:
        found, own = find_truth(folder, folder.name, _shown(folder, root), sources)
        findings += own
        if found is not None:
            scenarios.append(
                recorded_scenario(identifier, folder, _shown(folder, root), found, sources.row(folder.name))
            )
    if not scenarios:
        raise _nothing_usable(root, findings)
    if root not in {folder for _, folder in incidents}:
        findings += _rows_and_folders(sources, [folder for _, folder in incidents])
    return make_suite(
        name=name or manifest.name or _default_name(root),
        version=version or manifest.version or _default_version(root, incidents),
        root=root,
        scenarios=scenarios,
        findings=findings,
        provenance=_provenance(manifest),
    )


def _has_scenarios(root: Path) -> bool:
    """Whether the folder is a suite of scenario files, such as `suite generate` writes."""
    folder = root / "scenarios"
    return folder.is_dir() and any(item.suffix in (".yaml", ".yml") for item in folder.iterdir())


def id_map(suite: Suite) -> dict[str, str]:
    """The data set's own ids (``id_aa``) and the scenario ids that they stand for."""
    return {str(item.row["id_aa"]): item.id for item in suite.scenarios if item.row.get("id_aa")}


def select(suite: Suite, wanted: Sequence[str]) -> tuple[SuiteScenario, ...]:
    """The scenarios that ``wanted`` names, in suite order: by id, by the data set's id, or by number.

    Raises:
        InputError: for a name that fits none.
    """
    known: dict[str, str] = {loose(item.id): item.id for item in suite.scenarios}
    known.update({loose(other): own for other, own in id_map(suite).items()})
    chosen = set()
    for name in wanted:
        if loose(name) not in known:
            from difflib import get_close_matches

            close = get_close_matches(name, [item.id for item in suite.scenarios], n=1)
            mend = (
                f"did you mean {close[0]!r}?" if close else f"`firedrill suite show {suite.name}` lists them"
            )
            raise InputError(f"the suite {suite.name} has no scenario {name!r}", field="scenario", mend=mend)
        chosen.add(known[loose(name)])
    return tuple(item for item in suite.scenarios if item.id in chosen)


def _incidents(root: Path) -> list[tuple[str, Path]]:
    from firedrill.snapshot import find_incidents

    found = sorted(find_incidents(root), key=lambda item: (natural(item.id), str(item.path)))
    ids = unique_ids(item.id for item in found)
    return [(own, item.path) for own, item in zip(ids, found, strict=True)]


def _shown(folder: Path, root: Path) -> str:
    if not folder.is_relative_to(root):
        return folder.name
    shown = folder.relative_to(root).as_posix()
    return "" if shown == "." else shown


def _nothing_usable(root: Path, findings: Sequence[Finding]) -> InputError:
    first = next((finding for finding in findings if finding.severity == "error"), None)
    if first is None:
        return InputError(
            "holds no incident",
            source=str(root),
            mend="expected folders with k8s_objects_raw.tsv, otel_logs_raw.tsv, alerts/ and the like",
        )
    more = sum(finding.severity == "error" for finding in findings) - 1
    problem = f"{first.message} (and {more} more)" if more else first.message
    return InputError(problem, source=str(root / first.source), field=first.field, line=first.line)


def _rows_and_folders(sources: Sources, folders: Sequence[Path]) -> list[Finding]:
    if not sources.rows:
        return []
    findings = []
    present = {loose(folder.name) for folder in folders}
    missing = [row.scenario_id for key, row in sources.rows.items() if key not in present]
    if missing:
        shown = ", ".join(sorted(missing, key=natural)[:5]) + (" ..." if len(missing) > 5 else "")
        text = f"{len(missing)} of {len(sources.rows)} rows have no incident here: {shown}"
        findings.append(Finding("info", "row-without-incident", text, sources.row_source))
    for folder in folders:
        if sources.row(folder.name) is None:
            text = f"{folder.name} has no row, so its id and split are not known"
            findings.append(Finding("info", "incident-without-row", text, sources.row_source))
    return findings


def _default_name(root: Path) -> str:
    generic = ("sre", "snapshots", "data", "finops", "ciso")
    named = next((part for part in (root, *root.parents) if part.name.lower() not in generic), root)
    name = slug(named.name, 64)
    return name if name[0].isalnum() else f"x{name}"[:64]


def _default_version(root: Path, incidents: Sequence[tuple[str, Path]]) -> str:
    """The ``<version>`` folder of the ITBench-Lite layout, else ``1``."""
    versions = Counter(
        folder.parent.name
        for _, folder in incidents
        if folder.parent.parent.parent.name == "snapshots" and folder.parent != root
    )
    if len(versions) == 1:
        return slug(next(iter(versions)), 64)
    return "1"


def _provenance(manifest: Manifest) -> dict[str, Any]:
    own = {"title": manifest.title, "licence": manifest.licence}
    return {**manifest.provenance, **{key: value for key, value in own.items() if value}}
