"""``firedrill run``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from firedrill.core.errors import InputError

if TYPE_CHECKING:
    from firedrill.agents import AgentRequest
    from firedrill.core.episode import Limits
    from firedrill.runner import RunResult
    from firedrill.runner.settings import Worlds
    from firedrill.suites import Suite

app = typer.Typer(rich_markup_mode=None, add_completion=False)

MOST_MINUTES = 1e6
MOST_DOLLARS = 1e9


@app.command()
def run(
    suite: Annotated[
        str, typer.Argument(metavar="SUITE|PATH", help="a registered suite, or a folder of incidents")
    ],
    agent: Annotated[
        list[str], typer.Option("-a", "--agent", help="an agent; may be given more than once")
    ] = [],  # noqa: B006
    model: Annotated[
        list[str], typer.Option("-m", "--model", help="PROVIDER/MODEL for agents that use one; each is run")
    ] = [],  # noqa: B006
    repeats: Annotated[
        int, typer.Option("-k", "--repeats", min=1, max=10_000, help="episodes per scenario and agent")
    ] = 1,
    concurrency: Annotated[
        int, typer.Option("-n", "--concurrency", min=0, help="episodes at once; 0: twice the processors")
    ] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="only the first N scenarios")] = None,
    scenario: Annotated[list[str], typer.Option(help="only this scenario; may be given more than once")] = [],  # noqa: B006
    seed: Annotated[int, typer.Option(min=0, help="seed of everything that is drawn")] = 0,
    out: Annotated[Path | None, typer.Option(help="folder of the run [default: runs/SUITE-NUMBER]")] = None,
    turns: Annotated[int | None, typer.Option(min=1, help="cap on assistant messages [default: 100]")] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=MOST_MINUTES,
            help="cap on wall time, on living worlds on theirs; 0: none [default: 60]",
        ),
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, max=MOST_DOLLARS, help="cap on US dollars per episode")
    ] = None,
    sandbox: Annotated[
        str, typer.Option(help="bubblewrap, or none: agents' commands run unprotected")
    ] = "bubblewrap",
    without: Annotated[
        list[str],
        typer.Option(
            help="withhold a modality (traces, topology ...), or all but a part of it (traces:0.01,"
            " metrics:60s); may be given more than once"
        ),
    ] = [],  # noqa: B006
    toolbox: Annotated[
        str | None,
        typer.Option(
            help="shell, or full: the tools of `firedrill mcp` for every agent with a shell;"
            " on living worlds live, or nl: in natural language"
        ),
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="the model's endpoint")] = None,
    protocol: Annotated[str | None, typer.Option(help="chat, responses or anthropic")] = None,
    temperature: Annotated[float | None, typer.Option(help="passed to the model")] = None,
    reasoning_effort: Annotated[str | None, typer.Option(help="passed to the model")] = None,
    context_window: Annotated[int | None, typer.Option(min=1, help="tokens the model can take in")] = None,
    ledger: Annotated[
        str, typer.Option(help="short, or full: each write on a living world is priced on forks of its own")
    ] = "short",
    approver: Annotated[
        str, typer.Option(help="policy, or terminal: you answer what agents on living worlds have to ask")
    ] = "policy",
    option: Annotated[
        list[str],
        typer.Option("-o", "--option", help="NAME=VALUE for the agents; may be given more than once"),
    ] = [],  # noqa: B006
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Run agents on a suite, or on a folder of incidents, and record everything.

    On living incidents, where no agent is named, those that need no model are run.
    """
    from firedrill.cli import _baselines, _progress, _running
    from firedrill.runner import run as start
    from firedrill.runner.settings import Settings
    from firedrill.sandbox.base import SandboxSpec
    from firedrill.suites import open_suite

    given = {
        "base_url": base_url,
        "protocol": protocol,
        "temperature": temperature,
        "reasoning_effort": reasoning_effort,
        "context_window": context_window,
        "toolbox": toolbox,
    }
    options = {name: value for name, value in given.items() if value is not None} | _options(option)
    worlds = _worlds(ledger, approver)
    requests = _requests(agent, model, options) if agent else []
    check_modalities([name.partition(":")[0] for name in without])
    if sandbox == "none" and options.get("toolbox") in ("full", "live", "nl"):
        raise InputError("the toolbox needs the sandbox", field="--toolbox", mend="leave out --sandbox none")
    opened = open_suite(suite)
    if not agent:
        _refuse_nobody(opened, model)
    _refuse_recordings(opened, worlds)
    with _progress.display(quiet, lines=worlds.put is not None) as progress:
        for finding in opened.findings:
            if finding.severity == "error":
                progress.note(f"{finding.source}: {finding.message}")

        async def work(stop: asyncio.Event) -> RunResult:
            async with AsyncExitStack() as stack:
                agents = requests or await stack.enter_async_context(_baselines.baselines(progress.note))
                return await start(
                    opened,
                    agents,
                    repeats=repeats,
                    concurrency=concurrency,
                    limits=_limits(turns, minutes, max_cost),
                    sandbox=SandboxSpec(kind=sandbox),
                    seed=seed,
                    out=out,
                    scenarios=scenario,
                    limit=limit,
                    without=without,
                    source=_running.source_of(suite),
                    settings=Settings(worlds=worlds),
                    progress=progress,
                    stop=stop,
                )

        result = _running.carry_out(work, progress.note)
    _running.report(result, as_json=as_json)


def _worlds(ledger: str, approver: str) -> Worlds:
    """How living worlds are run."""
    from firedrill.runner.settings import Worlds

    if ledger not in ("short", "full"):
        raise InputError(f"no ledger {ledger!r}", field="--ledger", mend="short or full")
    if approver not in ("policy", "terminal"):
        raise InputError(f"no approver {approver!r}", field="--approver", mend="policy or terminal")
    put = None
    if approver == "terminal":
        from firedrill.cli._asking import Terminal

        put = Terminal().put
    return Worlds(ledger=ledger == "full", put=put)


def _refuse_recordings(suite: Suite, worlds: Worlds) -> None:
    """Raise InputError where something is asked for that there is on living worlds only."""
    from firedrill.runner.planning import lives

    if not any(map(lives, suite.scenarios)):
        for name in worlds.to_json():
            problem = "there are recorded incidents here, and no writes"
            raise InputError(problem, field=f"--{name}", mend="leave it out")


def _refuse_nobody(suite: Suite, models: Sequence[str]) -> None:
    """Raise InputError where no agent was named, and a model was or the suite is not about worlds alone."""
    from firedrill.agents import AGENTS
    from firedrill.runner.planning import lives

    if models or not all(map(lives, suite.scenarios)):
        names = "\n".join(f"  {name:<12}  {about}" for name, about in AGENTS.items())
        raise InputError(f"no agent given; name one or more:\n{names}", field="--agent")


def _requests(agents: Sequence[str], models: Sequence[str], options: dict[str, Any]) -> list[AgentRequest]:
    from firedrill.agents import AgentRequest

    plain = ("null", "oracle", "shotgun")
    requests = []
    for spec in agents:
        own = _meant_for(spec, agents, options)
        if spec in plain:
            requests.append(AgentRequest(spec))
        elif models and ":" not in spec:
            requests.extend(AgentRequest(spec, model, own) for model in models)
        else:
            requests.append(AgentRequest(spec, models[0] if models else None, own))
    return requests


def _meant_for(spec: str, agents: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
    """The options without those that this agent does not take, and another one of the run does."""
    from firedrill.agents.registry import options_of

    own = options_of(spec)
    others = {name for other in agents for name in options_of(other)} - own
    return {name: value for name, value in options.items() if name.replace("-", "_") not in others}


def _options(pairs: Sequence[str]) -> dict[str, Any]:
    import yaml

    options = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not name or not equals:
            raise InputError(f"expected NAME=VALUE, found {pair!r}", field="--option")
        try:
            options[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"{text!r} cannot be read as a value", field=f"--option {name}") from error
    return options


def _limits(turns: int | None, minutes: float | None, cost: float | None) -> Limits | None:
    from firedrill.core.episode import Limits

    asked: dict[str, Any] = {"turns": turns, "minutes": minutes, "cost": cost}
    asked = {name: value for name, value in asked.items() if value is not None}
    if asked.get("minutes") == 0:
        asked["minutes"] = None
    return Limits(**asked) if asked else None


def check_modalities(names: Sequence[str]) -> None:
    """Refuse a modality that there is not."""
    from firedrill.core.scenario import Modality

    known = get_args(Modality)
    for name in names:
        if name not in known:
            raise InputError(f"no modality {name!r}", field="--without", mend=f"one of {', '.join(known)}")
