"""``firedrill world``: clusters that live in this process."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firedrill.cli._listening import listen
from firedrill.core.errors import InputError

if TYPE_CHECKING:
    from firedrill.gateway.kubernetes import Identity, Pace
    from firedrill.world.app import Package
    from firedrill.world.kube.cluster import Settings
    from firedrill.world.kube.objects import Obj
    from firedrill.world.world import World

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Serve a Kubernetes cluster that lives in this process.",
)
_RELEASES = {"1.30": "v1.30.6", "1.31": "v1.31.2", "1.32": "v1.32.1", "1.33": "v1.33.0"}
_LEAD_SECONDS = 3600
"""How long the wall's clock stays ahead of a world's that goes faster."""
_AGES = "Ages in `kubectl get` are the world's; `describe` and `events` work theirs out from the wall clock."
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")


@app.callback()
def main() -> None:
    """Serve a Kubernetes cluster that lives in this process."""


@app.command()
def serve(
    what: Annotated[
        list[str] | None,
        typer.Option(
            "--app", help="bare, the name of an application, or files and folders of manifests; repeatable."
        ),
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, max=500, help="The control plane's node included.")] = 4,
    speed: Annotated[
        float, typer.Option(min=0, max=3600, help="Virtual seconds for each second; 0 stands still.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0,
    version: Annotated[str, typer.Option(help=f"Of Kubernetes: {', '.join(_RELEASES)}.")] = "1.31",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 lets the system choose.")] = 0,
    file: Annotated[
        Path | None, typer.Option("--kubeconfig", help="Where to write it; by default a new temporary file.")
    ] = None,
    users: Annotated[
        list[str] | None,
        typer.Option("--user", help="NAME or NAME=GROUP,GROUP: a further identity, with its own kubeconfig."),
    ] = None,
    traffic: Annotated[
        bool | None,
        typer.Option(
            "--traffic/--no-traffic", help="Whether an application's users come; by default they do."
        ),
    ] = None,
    bare: Annotated[
        bool,
        typer.Option("--bare-manifests", help="Only an application's objects: no users, and nobody watches."),
    ] = False,
    history: Annotated[
        int, typer.Option(min=0, max=720, help="Minutes of telemetry that are there from the start.")
    ] = 15,
    as_json: Annotated[bool, typer.Option("--json", help="Print the addresses as JSON.")] = False,
) -> int:
    """Serve a cluster for kubectl on this machine, until interrupted.

    An application comes with its users, and is watched: by Prometheus, Alertmanager, Loki and Jaeger.
    """
    from firedrill.gateway.kubernetes import Pace
    from firedrill.world.build import make_world

    others = [_identity(text) for text in users or ()]
    settings = _settings(version)
    if file is not None:
        _refuse_foreign(file)
    package = None if bare else _package_of(what or [], needed=traffic is True)
    manifests = (
        [(package.name, obj) for obj in package.manifests] if package else _manifests(what or ["bare"])
    )
    start = int(time.time() * 1000) - _ahead_ms(speed)
    try:
        if package is not None:
            world = _living(
                package, seed, nodes, settings, start, history * 60_000, users=traffic is not False
            )
        else:
            objects = [obj for _, obj in manifests]
            world = make_world(seed, nodes=nodes, settings=settings, manifests=objects, start=start)
    except InputError as refused:
        raise _with_file(refused, manifests) from refused
    # making it has taken a while, and clients ask about their own present
    world.run_until_ms(max(int(time.time() * 1000) - _ahead_ms(speed), world.now))
    with tempfile.TemporaryDirectory(prefix="firedrill-world-") as folder:
        path = file or Path(folder) / "kubeconfig"
        return asyncio.run(_serve(world, others, Pace(speed=speed), path, port, as_json))


def _living(
    package: Package, seed: int, nodes: int, settings: Settings, start: int, history: int, *, users: bool
) -> World:
    """A world with an application that is watched, and that has been watched for so many ms."""
    from firedrill.world.build import make_world
    from firedrill.world.living import make_living

    began = start - history
    if users:
        world = make_living(package, seed, nodes=nodes, settings=settings, start=began)
    else:
        from firedrill.world.telemetry.producers import shipped_rules, watch

        world = make_world(seed, nodes=nodes, settings=settings, manifests=package.manifests, start=began)
        watch(world, shipped_rules())
    world.run_for(history)
    return world


@app.command("lint-app")
def lint_app(
    what: Annotated[
        str,
        typer.Argument(metavar="APP", help="A folder with graph.yaml, load.yaml and manifests, or a name."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the remarks as JSON.")] = False,
) -> None:
    """Tell what in an application package would not work; exit code 1 where something would not."""
    from firedrill.world.app.lint import lint

    package = _package([what])
    found = lint(package)
    errors = sum(item.level == "error" for item in found)
    if as_json:
        told = {"application": package.name, "findings": [item._asdict() for item in found]}
        sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    else:
        for item in found:
            sys.stdout.write(f"{item.level}: {item.where}: {item.problem}; {item.mend}\n")
        services, objects = len(package.application.services), len(package.manifests)
        rest = f"{errors} errors, {len(found) - errors} warnings"
        sys.stdout.write(f"{package.name}: {services} services, {objects} objects; {rest}\n")
    raise typer.Exit(1 if errors else 0)


def _package_of(what: list[str], *, needed: bool) -> Package | None:
    """The application that is served with its users; None where none of that kind is named.

    Raises:
        InputError: it is needed and is none, or its graph is wrong.
    """
    from firedrill.world.app import application_names

    if needed:
        return _package(what)
    if len(what) != 1:
        return None
    path = Path(what[0])
    known = (
        (path / "graph.yaml").is_file()
        if path.is_dir()
        else what[0] in application_names() and not path.exists()
    )
    return _package(what) if known else None


def _package(what: list[str]) -> Package:
    """The one application that was named.

    Raises:
        InputError: it is none, or has no graph.
    """
    from firedrill.world.app import load_package, read_package

    if len(what) != 1:
        raise InputError("one application has users", field="--app", mend="name one, or leave out --traffic")
    path = Path(what[0])
    return read_package(path) if path.is_dir() else load_package(what[0])


def _ahead_ms(speed: float) -> int:
    """How far in the past the world begins, in ms, so that it does not overtake the wall clock at once.

    Clients work out ages from their own clock (`kubectl describe`, `kubectl events`), and call what lies
    ahead of it `<invalid>`.
    """
    return int(max(0.0, speed - 1) * _LEAD_SECONDS * 1000)


def _settings(version: str) -> Settings:
    from firedrill.world.kube import schema
    from firedrill.world.kube.cluster import Settings

    if version not in _RELEASES:
        raise InputError(
            f"Kubernetes {version} is not simulated", field="--version", mend=f"choose {', '.join(_RELEASES)}"
        )
    schema.definitions(version)  # says how to get them where they are missing
    grace = 40_000 if version in {"1.30", "1.31"} else 50_000
    return Settings(version=version, git_version=_RELEASES[version], node_grace=grace)


def _identity(text: str) -> Identity:
    from firedrill.gateway.serving import identity
    from firedrill.world.kube.api import User

    name, _, groups = text.partition("=")
    if not _USER.fullmatch(name):
        raise InputError(f"{text!r} names no user", field="--user", mend="give NAME or NAME=GROUP,GROUP")
    return identity(name, User(name, tuple(filter(None, groups.split(",")))))


def _with_file(refused: InputError, manifests: list[tuple[str, Obj]]) -> InputError:
    """The refusal of an object with the file that it came from, where one can be told."""
    from firedrill.world.kube.objects import name_of

    for source, obj in manifests:
        flat = obj.get("items") if isinstance(obj.get("items"), list) else [obj]
        if any(refused.field == f"{item.get('kind')} {name_of(item)}" for item in flat or ()):
            return InputError(refused.problem, source=source, field=refused.field, mend=refused.mend)
    return refused


def _manifests(what: list[str]) -> list[tuple[str, Obj]]:
    from firedrill.world.app import application_names, load_application, read_manifests

    out: list[tuple[str, Obj]] = []
    for item in what:
        if item == "bare":
            continue
        path = Path(item)
        if item in application_names() and not path.exists():
            out += [(item, obj) for obj in load_application(item)]
        elif path.exists():
            out += [(item, obj) for obj in read_manifests([path])]
        else:
            raise InputError(
                f"there is no file, folder or application {item!r}",
                field="--app",
                mend=f"give bare, {', '.join(application_names())}, or a path",
            )
    return out


def _refuse_foreign(path: Path) -> None:
    """Keep a user's own kubeconfig from being overwritten."""
    import yaml

    if not path.parent.is_dir():
        raise InputError("the folder does not exist", source=str(path.parent), mend="make it first")
    if not path.exists():
        return
    try:
        found: Any = yaml.safe_load(path.read_text("utf-8"))
        clusters = [item["name"] for item in found["clusters"]]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        clusters = []
    if clusters != ["firedrill"]:
        raise InputError(
            "the file exists and was not written by this command",
            source=str(path),
            field="--kubeconfig",
            mend="choose another file",
        )


async def _serve(
    world: World, others: list[Identity], pace: Pace, path: Path, port: int, as_json: bool
) -> int:
    from firedrill.gateway import serving
    from firedrill.gateway.kubernetes import kubeconfig

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    admin = serving.identity("kubernetes-admin")
    async with serving.served(world, [admin, *others], pace, on=listen(port)) as served:
        files = {}
        for item in (admin, *others):
            own = path if item is admin else path.with_name(f"{path.name}.{item.name}")
            kubeconfig.write(own, served.kubeconfig([item]))
            files[item.name] = str(own)
        told = {"server": served.server, "kubeconfig": str(path), "users": files, "pid": _pid()}
        told["addresses"] = serving.addresses(served)
        sys.stdout.write(json.dumps(told) + "\n" if as_json else _usage(world, pace, told))
        sys.stdout.flush()
        watching = asyncio.ensure_future(_report(served.host))
        await stop.wait()
        watching.cancel()
    return 0


def _pid() -> int:
    import os

    return os.getpid()


def _usage(world: World, pace: Pace, told: dict[str, Any]) -> str:
    store = world.cluster.store
    lines = [
        f"A Kubernetes {world.cluster.settings.version} cluster with {store.count('nodes')} nodes and "
        f"{store.count('pods')} pods is served at {told['server']}",
        "Its clock " + (f"goes at {pace.speed:g} times the wall's." if pace.speed else "stands still."),
        *([] if pace.speed == 1 else [_AGES]),
        "",
        f"  export KUBECONFIG={told['kubeconfig']}",
        "  kubectl get pods -A",
        "",
    ]
    for name, address in list(told["addresses"].items())[1:]:
        lines.append(f"  {name:<13} {address}")
    if len(told["addresses"]) > 1:
        lines.append("")
    for name, path in list(told["users"].items())[1:]:
        lines.append(f"  {name}: KUBECONFIG={path}")
    return "\n".join([*lines, "Stop it with Ctrl-C."]) + "\n"


async def _report(host: Any) -> None:
    """Tell of defects of the gateway, once each."""
    told = 0
    while True:
        await asyncio.sleep(1)
        found = list(host.defects)
        for text in found[told:]:
            sys.stderr.write(f"a defect, please report it: {text}\n")
        told = len(found)
