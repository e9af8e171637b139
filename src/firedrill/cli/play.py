"""``firedrill play``."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firedrill.cli._asking import Terminal
from firedrill.cli._running import INTERRUPTED
from firedrill.core.errors import InfrastructureError, InputError

if TYPE_CHECKING:
    from firedrill.core.episode import EpisodeKey
    from firedrill.runner import RunResult
    from firedrill.runner.playing import Desk, Pager
    from firedrill.suites import Suite

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_SUITE = "lite"


@app.command()
def play(
    scenario: Annotated[
        str | None,
        typer.Argument(metavar="[SCENARIO]", help="SUITE/NAME, or a scenario file; by default any of lite"),
    ] = None,
    speed: Annotated[
        float, typer.Option(min=1, max=60, help="virtual seconds for each second of yours")
    ] = 1.0,
    seed: Annotated[int | None, typer.Option(min=0, help="which of lite it is; drawn unless given")] = None,
    minutes: Annotated[float | None, typer.Option(min=1, max=1e4, help="virtual time that you have")] = None,
    approver: Annotated[
        str, typer.Option(help="policy: the on-call lead of the scenario's policy; terminal: you")
    ] = "policy",
    kubeconfig: Annotated[Path | None, typer.Option(help="where to write it; by default a new file")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the run [default: runs/SUITE-NUMBER]")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="print JSON: a line at the start, one at the end")
    ] = False,
) -> None:
    """Be on call: something breaks in a living cluster, and you mend it with your own tools.

    Finish with `firedrill answer` in another terminal. You are graded as any agent is.
    """
    from firedrill.cli import _verdict

    if approver not in ("policy", "terminal"):
        raise InputError(f"no approver {approver!r}", field="--approver", mend="policy or terminal")
    if kubeconfig is not None and kubeconfig.exists():
        raise InputError("the file exists", source=str(kubeconfig), field="--kubeconfig", mend="name another")
    suite, name, drawn = _chosen(scenario, seed)
    if not as_json:
        more = "" if drawn is None else f" (seed {drawn} gives this one again)"
        _say(f"Something is about to break; that takes some seconds{more}.\n")
    with tempfile.TemporaryDirectory(prefix="firedrill-play-") as folder:
        session = _Sitting(Path(folder), kubeconfig, speed, approver == "terminal", minutes, out, as_json)
        result, key = asyncio.run(session.carry_out(suite, name))
    if result.interrupted:
        sys.stderr.write(f"broken off before there was a grade; what is left of it is in {result.path}\n")
        raise typer.Exit(INTERRUPTED)
    if as_json:
        _say(json.dumps(_verdict.document(result.path, key)) + "\n")
        return
    _say(f"\n{_verdict.shown(result.path, key)}\nrun     {result.path}\n")
    _say(f"        `firedrill view {result.path}` shows what happened, minute by minute\n")


class _Sitting:
    """One incident that a person has on, from the call to the grade."""

    def __init__(
        self,
        folder: Path,
        kubeconfig: Path | None,
        speed: float,
        asks: bool,
        minutes: float | None,
        out: Path | None,
        as_json: bool,
    ) -> None:
        self._folder, self._speed, self._asks = folder, speed, asks
        self._kubeconfig = kubeconfig or folder / "kubeconfig"
        self._minutes, self._out, self._as_json = minutes, out, as_json
        self._terminal = Terminal()
        self._interrupted = asyncio.Event()
        self._stop = asyncio.Event()
        self._on = False
        self._times = 0

    async def carry_out(self, suite: Suite, name: str) -> tuple[RunResult, EpisodeKey]:
        """Play it; gives the run and which of its episodes it was."""
        from firedrill.core.episode import EpisodeKey, Limits
        from firedrill.runner import run
        from firedrill.runner.playing import Desk, HumanAgent
        from firedrill.runner.settings import Entrant, Settings, Worlds

        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt, number)
        async with Desk(self._folder / "desk") as desk:
            agent = HumanAgent(
                desk,
                self._kubeconfig,
                ring=self._ring,
                give_up=self._give_up,
                speed=self._speed,
                asks=self._asks,
            )
            worlds = Worlds(speed=self._speed, put=self._terminal.put if self._asks else None)
            result = await run(
                suite,
                [agent],
                scenarios=[name],
                limits=None if self._minutes is None else Limits(minutes=self._minutes),
                settings=Settings(worlds=worlds, retries=0),
                out=self._out,
                stop=self._stop,
            )
            key = EpisodeKey(scenario=name, agent=Entrant(agent).folder, repeat=1)
            if not result.interrupted:
                self._tell(desk, result, key)
        return result, key

    def _tell(self, desk: Desk, result: RunResult, key: EpisodeKey) -> None:
        from firedrill.records import RunFolder

        record = RunFolder(result.path).episode(key)
        if not record.outcome.counts:
            raise InfrastructureError(record.reason)
        desk.tell({"run": str(result.path.absolute()), **key.model_dump()})

    def _ring(self, pager: Pager) -> None:
        self._on = True
        if self._as_json:
            found = {
                "alerts": [dict(alert) for alert in pager.on_call.alerts],
                "namespace": pager.on_call.namespace,
                "authority": pager.on_call.authority,
                "minutes": pager.on_call.minutes,
                "addresses": dict(pager.addresses),
                "kubeconfig": str(pager.kubeconfig),
                "session": pager.session,
            }
            _say(json.dumps(found) + "\n")
        else:
            _say(_page(pager, self._speed))

    def _interrupt(self, number: int) -> None:
        if not self._on:  # nobody has been called yet, or the episode is being graded
            self._stop.set()
            return
        self._times += 1
        self._interrupted.set()
        if number == signal.SIGTERM or not self._terminal.there:
            self._times += 1

    async def _give_up(self) -> None:
        """Come back when he has interrupted and says that he means it, or has interrupted twice."""
        try:
            await self._meant()
        finally:
            self._on = False

    async def _meant(self) -> None:
        while True:
            await self._interrupted.wait()
            self._interrupted.clear()
            if self._times >= 2:
                return
            asking: asyncio.Task[str] = asyncio.create_task(self._terminal.put("End without an answer?"))
            again = asyncio.create_task(self._interrupted.wait())
            await asyncio.wait({asking, again}, return_when=asyncio.FIRST_COMPLETED)
            again.cancel()
            if again.done() and not again.cancelled():
                asking.cancel()
                return
            if asking.result().strip().lower() in ("y", "yes"):
                return
            self._times = 0


def _chosen(scenario: str | None, seed: int | None) -> tuple[Suite, str, int | None]:
    """The suite, the scenario in it, and the seed where that was drawn or given.

    Raises:
        InputError: there is no such scenario, or it is about no living world.
    """
    import random
    import secrets

    from firedrill.runner.planning import lives
    from firedrill.suites import open_suite, select

    drawn = None
    if scenario is None:
        drawn = secrets.randbelow(1_000_000) if seed is None else seed
        suite = open_suite(_SUITE)
        chosen = random.Random(drawn).choice(suite.scenarios)  # noqa: S311 - nothing secret hangs on it
    else:
        before, _, name = scenario.rpartition("/")
        if Path(scenario).exists() or not before:
            suite, wanted = open_suite(scenario), []
        else:
            suite, wanted = open_suite(before), [name]
        found = select(suite, wanted) if wanted else suite.scenarios
        if len(found) != 1:
            mend = f"name one, as in {scenario}/{found[0].id}" if found else None
            raise InputError(f"{scenario} has {len(found)} scenarios", field="SCENARIO", mend=mend)
        chosen = found[0]
    if not lives(chosen):
        raise InputError(f"{chosen.id} is a recorded incident; nobody can act on it", field="SCENARIO")
    return suite, chosen.id, drawn


def _page(pager: Pager, speed: float) -> str:
    from firedrill.report.text import visible

    told = pager.on_call
    lines = ["", "You are on call.", ""]
    for alert in told.alerts:
        labels = ", ".join(f"{key}={item}" for key, item in alert["labels"].items() if key != "alertname")
        lines += [
            f"  {alert['name']}  since {alert['fired']}",
            f"    {alert['description']}",
            f"    ({labels})",
        ]
    if not told.alerts:
        lines.append("  Users complain; no alert fires.")
    lines += [
        "",
        f"The application runs in the namespace {told.namespace}. Your authority is {told.authority}: "
        f"{told.authority_title}.",
        f"You have {told.minutes:g} minutes of the world's clock, which goes {speed:g} times as fast.",
        "",
        f"  export KUBECONFIG={pager.kubeconfig}",
        f"  kubectl get pods -n {told.namespace}",
        "",
        *(f"  {name:<13} {address}" for name, address in pager.addresses.items() if name != "kubernetes"),
        "",
        "When it is mended, in another terminal:",
        "",
        "  firedrill answer --cause NAMESPACE/KIND/NAME",
        "  firedrill answer --escalate WHY     to hand over to a person",
        "",
        "Ctrl-C ends without an answer.",
    ]
    return visible("\n".join(lines)) + "\n"


def _say(words: str) -> None:
    sys.stdout.write(words)
    sys.stdout.flush()
