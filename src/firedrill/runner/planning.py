"""What a run will consist of, written down before it starts and checked before it is taken up again."""

from __future__ import annotations

import platform
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from firedrill import __version__, suites
from firedrill.agents.base import Agent
from firedrill.agents.registry import AgentRequest
from firedrill.core.episode import slug
from firedrill.core.errors import InputError
from firedrill.records import AgentEntry, Manifest, Plan, RunFolder, ScenarioEntry, SuiteEntry
from firedrill.records.receipt import bounded
from firedrill.runner.settings import Entrant, Settings
from firedrill.runner.staging import assesses
from firedrill.sandbox.base import SandboxLimits, SandboxSpec
from firedrill.suites.model import Suite, SuiteScenario

RUNS = Path("runs")
_MOST_RUNS = 100_000


def entrant(agent: Agent | AgentRequest | Entrant) -> Entrant:
    """An agent in whichever form it was given."""
    if isinstance(agent, Entrant):
        return agent
    if isinstance(agent, AgentRequest):
        return Entrant(agent.create(), agent)
    return Entrant(agent)


def select(suite: Suite, wanted: Sequence[str], limit: int | None) -> list[SuiteScenario]:
    """The scenarios of a suite that ``wanted`` names (all when none is named), the first ``limit`` of them.

    Raises:
        InputError: when there is no such scenario, or none is left.
    """
    chosen = list(suites.select(suite, wanted) if wanted else suite.scenarios)
    if limit is not None:
        chosen = chosen[:limit]
    if not chosen:
        raise InputError("no scenario to run", source=suite.name)
    return chosen


def lives(item: SuiteScenario) -> bool:
    """Whether a scenario is about a living world."""
    return item.scenario.environment.backend == "world"


def refuse_strangers(
    chosen: Sequence[SuiteScenario], entrants: Sequence[Entrant], without: Collection[str]
) -> None:
    """Raise InputError when something is asked for that there is on recorded incidents only, or not yet."""
    for item in filter(assesses, chosen):
        from firedrill.suites.compliance.opening import spec_of

        spec_of(item.scenario)
    _refuse_elsewhere(chosen, entrants)
    living = [item.id for item in chosen if lives(item)]
    equipped = [item.agent.name for item in entrants if getattr(item.agent, "toolbox", "") == "full"]
    if living and equipped:
        raise InputError(
            f"{', '.join(equipped)} would ask the tools of recordings, and {living[0]} is about a world",
            field="--toolbox",
            mend="use --toolbox live, or nl: the tools of worlds",
        )
    strangers = [item.agent.name for item in entrants if not item.acts]
    if living and strangers:
        raise InputError(
            f"{', '.join(strangers)} cannot be put on living worlds yet, and {living[0]} is about one",
            field="--agent",
            mend="write recorded incidents with `firedrill suite export SUITE --format itbench-aa DIR`",
        )
    recorded = [item.id for item in chosen if item.scenario.environment.backend == "snapshot"]
    actors = [item.agent.name for item in entrants if not item.looks_back]
    if recorded and actors:
        raise InputError(
            f"{', '.join(actors)} asks and changes living worlds, and {recorded[0]} is a recorded incident",
            field="--agent",
            mend="use react or command:… with --toolbox shell or full, or choose scenarios of worlds",
        )
    if living:
        from firedrill.runner.living.withholding import Withheld

        Withheld.parse(without)
    shares = sorted(name for name in without if ":" in name)
    if shares and len(living) < len(chosen):
        problem = (
            f"cannot withhold {shares[0]} from recorded incidents: they are withheld whole or not at all"
        )
        raise InputError(problem, field="--without", mend="leave out the share")


def _refuse_elsewhere(chosen: Sequence[SuiteScenario], entrants: Sequence[Entrant]) -> None:
    """Raise InputError when an agent of incidents is put on an assessment, or the other way round."""
    assessed = [item.id for item in chosen if assesses(item)]
    broken = [item.id for item in chosen if not assesses(item)]
    for item in entrants:
        if item.works_on == "incidents" and assessed:
            equipped = getattr(item.agent, "toolbox", "shell") != "shell"
            raise InputError(
                f"{item.agent.name} works on incidents, and {assessed[0]} is an assessment",
                field="--toolbox" if equipped else "--agent",
                mend="leave out --toolbox, or put react with --toolbox live on it"
                if equipped
                else "put crew-ciso or react on it",
            )
        if item.works_on == "assessments" and broken:
            raise InputError(
                f"{item.agent.name} works on assessments, and {broken[0]} is an incident",
                field="--agent",
                mend="put react, crew-sre or sleuth on it",
            )


def refuse_unready(
    chosen: Sequence[SuiteScenario], entrants: Sequence[Entrant], sandbox: SandboxSpec
) -> None:
    """See to it that whoever runs commands on a living world can.

    Raises:
        InputError: they would run unprotected, where no way leads to a world.
        InfrastructureError: there is no kubectl on this machine.
    """
    on_call = [item.agent.name for item in entrants if item.needs_workspace]
    if not on_call or not any(map(lives, chosen)):
        return
    if sandbox.kind == "none":
        problem = f"{on_call[0]} reaches living worlds from inside the sandbox only"
        raise InputError(problem, field="--sandbox", mend="leave out --sandbox none")
    from firedrill.runner.living.furnishing import kubectl

    kubectl()


def new_manifest(
    suite: Suite,
    chosen: Sequence[SuiteScenario],
    entrants: Sequence[Entrant],
    settings: Settings,
    *,
    repeats: int,
    source: str,
) -> Manifest:
    """The manifest of a run that has yet to start.

    Raises:
        InputError: no agent, or two agents of the same configuration.
    """
    if not entrants:
        raise InputError("no agent to run", field="--agent", mend="`firedrill agents` lists them")
    folders = [item.folder for item in entrants]
    for name in folders:
        if folders.count(name) > 1:
            raise InputError(f"two agents of the same configuration: {name}", field="--agent")
    return Manifest(
        suite=SuiteEntry(name=suite.name, version=suite.version, digest=suite.digest, source=source),
        versions=versions(entrants, chosen),
        plan=Plan(
            scenarios=tuple(item.id for item in chosen),
            agents=tuple(folders),
            repeats=repeats,
            seed=settings.seed,
            limits=dict(settings.limits),
            sandbox={"kind": settings.sandbox.kind, "limits": asdict(settings.sandbox.limits)},
            without=tuple(sorted(settings.without)),
            worlds=settings.worlds.to_json(),
        ),
        agents={item.folder: _agent_entry(item) for item in entrants},
        scenarios={
            item.id: ScenarioEntry(digest=item.digest, truth_digest=item.truth_digest) for item in chosen
        },
    )


def _agent_entry(item: Entrant) -> AgentEntry:
    return AgentEntry(
        name=item.agent.name,
        privileged=item.agent.privileged,
        config=bounded(item.agent.config()),
        config_digest=item.digest,
        request={} if item.request is None else item.request.to_json(),
    )


def scorer(*, living: bool, compliance: bool = False) -> str:
    """The version of what grades a run, with or without living worlds and assessments in it."""
    if compliance:
        from firedrill.grading.compliance import SCORER as ASSESSMENTS

        return f"{scorer(living=True)}+{ASSESSMENTS}" if living else ASSESSMENTS
    if living:
        from firedrill.grading.living import SCORER as WHOLE

        return WHOLE
    from firedrill.grading import SCORER

    return SCORER


def versions(entrants: Sequence[Entrant], chosen: Sequence[SuiteScenario]) -> dict[str, str]:
    """What the run is carried out with: a score is only comparable under the same versions."""
    from firedrill.sandbox import toolroot

    root = toolroot.locate() if any(item.needs_workspace for item in entrants) else None
    return {
        "firedrill": __version__,
        "python": platform.python_version(),
        "scorer": scorer(
            living=any(lives(item) and not assesses(item) for item in chosen),
            compliance=any(map(assesses, chosen)),
        ),
        "tool_root": "unused" if root is None else root.digest,
    }


def sandbox_spec(document: dict[str, Any], source: str) -> SandboxSpec:
    """The sandbox that a manifest's plan asks for.

    Raises:
        InputError: when it has another shape.
    """
    try:
        return SandboxSpec(kind=str(document["kind"]), limits=SandboxLimits(**document["limits"]))
    except (KeyError, TypeError) as error:
        raise InputError("not a sandbox", source=source, field="plan.sandbox") from error


def remade(folder: RunFolder) -> list[Entrant]:
    """The agents of a run, made again from what its manifest says.

    Raises:
        InputError: when one cannot be made again.
    """
    entrants = []
    source = str(folder.path / "run.json")
    for name in folder.manifest.plan.agents:
        entry = folder.manifest.agents[name]
        if not entry.request:
            raise InputError(
                f"the agent {entry.name!r} cannot be made from what the run recorded",
                source=source,
                mend="start the run again in another folder",
            )
        request = AgentRequest.from_json(entry.request, source)
        entrants.append(Entrant(request.create(), request))
    return entrants


def same_scenarios(suite: Suite, manifest: Manifest, source: str) -> list[SuiteScenario]:
    """The scenarios of a run, in its order, if they still are what they were.

    Raises:
        InputError: when one is missing, or its evidence or truth has changed.
    """
    known = {item.id: item for item in suite.scenarios}
    chosen = []
    for name in manifest.plan.scenarios:
        entry, found = manifest.scenarios[name], known.get(name)
        if found is None:
            raise InputError(f"the suite {suite.name} has no scenario {name} any more", source=source)
        for what, then, now in (
            ("evidence", entry.digest, found.digest),
            ("truth", entry.truth_digest, found.truth_digest),
        ):
            if then != now:
                raise InputError(
                    f"the {what} of {name} has changed since the run started",
                    source=source,
                    field=f"scenarios.{name}",
                    mend="bring the old one back, or start a new run",
                )
        chosen.append(found)
    return chosen


def same_agents(entrants: Sequence[Entrant], manifest: Manifest, source: str) -> None:
    """Raise InputError unless ``entrants`` are configured as the run's agents were, in its order."""
    if len(entrants) != len(manifest.plan.agents):
        raise InputError(f"expected {len(manifest.plan.agents)} agents", source=source, field="plan.agents")
    for item, name in zip(entrants, manifest.plan.agents, strict=True):
        if item.digest != manifest.agents[name].config_digest:
            raise InputError(
                f"the agent {manifest.agents[name].name!r} is not configured as it was when the run started"
                f"{_difference(manifest.agents[name].config, item.agent.config())}",
                source=source,
                field=f"agents.{name}",
                mend="bring the old configuration back, or start a new run",
            )


def _difference(then: dict[str, Any], now: dict[str, Any]) -> str:
    names = sorted(name for name in then.keys() | now.keys() if then.get(name) != bounded(now.get(name)))
    return f" (differs in {', '.join(names)})" if names else ""


def same_versions(
    manifest: Manifest, entrants: Sequence[Entrant], chosen: Sequence[SuiteScenario], source: str
) -> str:
    """Raise InputError when what decides over scores has changed; a note when only Python did."""
    now = versions(entrants, chosen)
    for name in ("firedrill", "scorer", "tool_root"):
        then = manifest.versions.get(name, "")
        if then != now[name]:
            raise InputError(
                f"was started with {name} {then}, this is {now[name]}: their scores are not comparable",
                source=source,
                field=f"versions.{name}",
                mend="start a new run",
            )
    if manifest.versions.get("python") != now["python"]:
        return f"the run was started with Python {manifest.versions.get('python')}, this is {now['python']}"
    return ""


def refuse_inside(run: Path, chosen: Sequence[SuiteScenario]) -> None:
    """Raise InputError when ``run`` lies inside an incident: agents see that, and a run holds the truth."""
    place = run.resolve()
    for item in chosen:
        if item.folder.resolve() in (place, *place.parents):
            raise InputError(
                f"lies inside the incident {item.id}, which agents are shown; a run holds the truth",
                source=str(run),
                mend="name a folder elsewhere with --out",
            )


def new_folder(out: Path | None, suite: str) -> Path:
    """The folder of a new run: ``out``, or the next free ``runs/<suite>-<number>``.

    Raises:
        InputError: the current folder cannot be written.
    """
    if out is not None:
        return out
    for number in range(1, _MOST_RUNS):
        path = RUNS / f"{slug(suite)}-{number:03d}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            problem = f"cannot be made here: {error.strerror}"
            raise InputError(problem, source=str(path), mend="name a folder with --out") from error
        return path
    raise InputError("too many runs here", source=str(RUNS), mend="name a folder with --out")
