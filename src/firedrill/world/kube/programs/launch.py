"""How one run of a container will go, from its image, its pod and its environment."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import quantity
from firedrill.world.kube.objects import dig
from firedrill.world.kube.programs import asking, catalogue, corefile, logs, scripts, shell, shell_code
from firedrill.world.kube.programs.model import MIB, Listen, Plan, Program
from firedrill.world.kube.programs.reference import parse_reference

if TYPE_CHECKING:
    from firedrill.world.world import World

_RUNC = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
    "runc create failed: unable to start container process: "
)
_LEAST_MEMORY = 6 * MIB
ASKING = frozenset(
    {"nc", "ncat", "curl", "wget", "nslookup", "dig", "host", "getent", "telnet", "ping", "timeout"}
    | {"pg_isready", "psql", "mysql", "mysqladmin", "mariadb", "mariadb-admin", "redis-cli", "valkey-cli"}
    | {"redis-benchmark", "valkey-benchmark"}
    | {"mongosh", "mongo", "wait-for-it", "wait-for-it.sh", "wait-for", "wait-for.sh", "dockerize"}
)
"""Commands whose outcome depends on others."""
_WRITING = frozenset({"touch", "rm", "dd", "fallocate", "truncate", "tee", "cp", "mv"})


@dataclass(frozen=True, slots=True)
class Setting:
    """What a container finds when it starts.

    Attributes:
        key: names this run, for draws.
        container: its part of the pod's spec.
        env: the variables, resolved.
        limit: memory limit in bytes; 0 for none.
        user: uid it runs as; -1 where the image decides.
        denied: mounted folders that this user cannot write to.
        architecture: of the node.
        resolves: for each variable that names a host, whether the host resolves.
        ports_taken: ports of the pod's network that other containers listen on.
        files: contents of mounted files, by path.
    """

    key: tuple[object, ...]
    container: Mapping[str, Any]
    env: Mapping[str, str]
    limit: int = 0
    user: int = -1
    denied: frozenset[str] = frozenset()
    architecture: str = "amd64"
    resolves: Mapping[str, bool] = field(default_factory=dict)
    ports_taken: frozenset[tuple[int, str]] = frozenset()
    files: Mapping[str, str] = field(default_factory=dict)


def launch(world: World, setting: Setting) -> Plan:
    """The plan of a run. The image has been pulled."""
    image = parse_reference(str(setting.container.get("image") or ""))
    program = catalogue.program_of(world, image) if image is not None else Program("app")
    if 0 < setting.limit < _LEAST_MEMORY:
        return Plan(fails=_RUNC + "container init was OOM-killed (memory limit too low?): unknown")
    argv = _argv(program, setting)
    line = command_line(setting.container)
    known = world.cluster.part(catalogue.Catalogue).architectures.get(image.full if image else "")
    if known is not None and setting.architecture not in known:
        first = argv[0] if argv else f"/{program.name}"
        return Plan(fails=f"{_RUNC}exec {first}: exec format error: unknown", fail_code=255)
    if not argv:
        return _task(world, program, setting) if line in program.tasks else _run(world, program, setting)
    missing = missing_executable(program, argv[0])
    if missing:
        return Plan(fails=f"{_RUNC}{missing}: unknown")
    asked = asking.requests_per_second(argv, setting.env, setting.files, _cores(setting))
    if asked:
        return _asker(program, asked, argv)
    if line in program.serves:
        return served(world, setting)
    script = _script_of(program, argv)
    if script:
        return _live(program, script, argv, setting)
    if line in program.tasks or (program.tasks and not program.serves):
        return _task(world, program, setting)
    if _is_own(program, argv):
        return _run(world, program, setting)
    result = scripts.simulate(argv, setting.env)
    if result is None:
        return _run(world, program, setting)
    return _script(program, result, setting)


def command_line(container: Mapping[str, Any]) -> str:
    """What the manifest says in `command` and `args`, as one text; empty where it leaves it to the image."""
    return " ".join(map(str, (*(container.get("command") or ()), *(container.get("args") or ()))))


def served(world: World, setting: Setting) -> Plan:
    """The plan of a run of the image's program, whatever the image does by itself."""
    image = parse_reference(str(setting.container.get("image") or ""))
    program = catalogue.program_of(world, image) if image is not None else Program("app")
    return _run(world, replace(program, runs=True), setting)


def keeps_running(program: Program, words: Sequence[str]) -> bool:
    """Whether a command of a script is the program that the image is for."""
    name = words[0].rpartition("/")[2]
    if name in ASKING:
        return False
    if " ".join(words) in program.serves:
        return True
    own = {item.rpartition("/")[2] for item in (*program.entrypoint, *program.commands)}
    return program.runs and name in own and name not in catalogue.tools_of(program.tools)


def _script_of(program: Program, argv: Sequence[str]) -> str:
    """What a shell would read, where what it does depends on the cluster or on files; else empty."""
    name = argv[0].rpartition("/")[2]
    text = shell.script_of(argv[1:]) if name in {"sh", "bash", "ash", "dash"} else None
    if text is None:
        if name not in ASKING:
            return ""
        return waiting_script(argv)
    if re.search(r"\s-[efrsd]\s+/|\sjson\.tool\s+/", text):
        return text
    for word in shell_code.commands_in(text):
        name = word.rpartition("/")[2]
        to_file = word.startswith(">") and not word.startswith((">/dev/", ">&", ">1", ">2")) and len(word) > 1
        if name in ASKING or name in _WRITING or to_file or keeps_running(program, [word]):
            return text
        if any(line.startswith(f"{word} ") or line == word for line in program.serves):
            return text
    return ""


def waiting_script(argv: Sequence[str]) -> str:
    """A tool that asks others, as a script; those that wait by themselves as a loop around one look."""
    line = shlex.join(argv)
    name = argv[0].rpartition("/")[2]
    if not name.startswith(("wait-for", "dockerize")):
        return line
    words = list(argv[1:])
    then = shlex.join(words[words.index("--") + 1 :]) if "--" in words else ""
    words = words[: words.index("--")] if "--" in words else words
    limit = next(
        (words[n + 1] for n, word in enumerate(words[:-1]) if word in {"-t", "--timeout", "-timeout"}), ""
    ) or next((word.partition("=")[2] for word in words if word.startswith(("--timeout=", "-t="))), "")
    digits = limit.rstrip("sm")
    rounds = (
        int(digits) if digits.isdecimal() and len(digits) < 6 else 15 if "wait-for-it" in name else 86_400
    )
    place = next((word for word in words if ":" in word and not word.startswith("-")), "")
    look = shlex.join((argv[0], place))
    said = f'echo "{name}: {place} is available"'
    strict = f"|| exit 1; {then}" if then and "--strict" in words else f"; {then}" if then else "|| exit 1"
    give_up = f"n=$((n+1)); [ $n -ge {max(rounds, 1)} ] && good=0 && break"
    loop = f"n=0; good=1; until {look} 2>/dev/null; do {give_up}; sleep 1; done"
    return (
        f'{loop}; if [ $good = 1 ]; then {said}; else echo "{name}: timeout occurred" >&2; false; fi {strict}'
    )


def _asker(program: Program, asked: int, argv: Sequence[str]) -> Plan:
    """A run that asks the API server for ever."""
    lines = ((40, f"asking for pods {asked} times a second"),)
    process = " ".join(argv)[:200]
    return Plan(
        memory=max(program.memory, 48 * MIB),
        cpu=asking.processor(asked),
        asks=asked,
        lines=lines,
        term=-1,
        process=process,
    )


def _live(program: Program, script: str, argv: Sequence[str], setting: Setting) -> Plan:
    handles = re.search(r"\btrap\b.*\b(TERM|SIGTERM|15|EXIT)\b", script) is not None
    memory = min(program.memory, 2 * MIB)
    if setting.limit and memory > setting.limit:
        return Plan(exit_after=400, exit_code=137, exit_reason="OOMKilled")
    process = " ".join(argv)[:200]
    return Plan(script=script, memory=memory, term=0 if handles else -1, stop=40, process=process)


def _task(world: World, program: Program, setting: Setting) -> Plan:
    """A run that does its work and ends."""
    plan = _run(world, replace(program, runs=True, listens=()), setting)
    if plan.exit_after >= 0:
        return plan
    took = plan.ready_after + world.rng.integer(300, 4_000, "program.task", *setting.key)
    lines = ((took - 20, line) for line in logs.worked(program.style, program.name))
    return replace(plan, exit_after=took, exit_code=0, lines=tuple(lines))


def _argv(program: Program, setting: Setting) -> tuple[str, ...]:
    command = tuple(map(str, setting.container.get("command") or ()))
    args = tuple(map(str, setting.container.get("args") or ()))
    expanded = tuple(scripts.expand(item, setting.env) for item in (*command, *args))
    if command:
        return expanded
    if args and not program.runs and program.entrypoint:
        return (*program.entrypoint, *expanded) if _keeps(program) else expanded
    return (*program.entrypoint[:1], *expanded) if args and program.entrypoint else program.entrypoint


def _keeps(program: Program) -> bool:
    """Shell images name their shell as the command, not as the entrypoint: arguments replace it."""
    return program.entrypoint[0].rpartition("/")[2] not in {"sh", "bash", "zsh", "python3"}


def missing_executable(program: Program, path: str) -> str:
    """What runc says when the image has no such executable; empty where it has."""
    name = path.rpartition("/")[2]
    own = {item.rpartition("/")[2] for item in (*program.entrypoint, *program.commands)}
    if name in own or name in catalogue.tools_of(program.tools):
        return ""
    if not program.entrypoint and not program.tools and path in program.commands:
        return ""
    if "/" in path:
        return f'exec: "{path}": stat {path}: no such file or directory'
    return f'exec: "{path}": executable file not found in $PATH'


def _is_own(program: Program, argv: Sequence[str]) -> bool:
    """Whether the command line runs the image's own program rather than a tool or a script."""
    name = argv[0].rpartition("/")[2]
    if not program.runs or name in {"sh", "bash", "ash", "dash"}:
        return False
    own = {item.rpartition("/")[2] for item in (*program.entrypoint, *program.commands)}
    return name in own


def _run(world: World, program: Program, setting: Setting) -> Plan:
    cores = _cores(setting)
    start = world.rng.integer(*program.start, "program.start", *setting.key)
    work = world.rng.integer(*program.work, "program.work", *setting.key) if program.work[1] else 0
    start = max(start, work * 1000 // cores)
    plan = Plan(
        ready_after=start,
        warm=program.warm * 1000 // cores,
        delegated=setting.env.get(program.delegates, "") if program.delegates else "",
        memory=program.memory,
        cpu=program.cpu,
        term=program.term,
        stop=world.rng.integer(*program.stop, "program.stop", *setting.key),
        style=program.style,
        process=" ".join(program.entrypoint) or f"/{program.name}",
    )
    args = setting.container.get("args") or ()
    if not program.runs or (args and str(args[0]) in program.ends):
        return replace(plan, exit_after=min(start, 300), exit_code=0, lines=())
    option = unknown_option(program, setting.container)
    if option:
        code = {"java": 1, "spring": 1, "node": 9}.get(program.style, 2)
        said = logs.bad_option(program.style, program.name, option)
        return replace(_crash(plan, said, min(start, 400)), exit_code=code)
    wrong = corefile.problem(setting.files) if program.style == "coredns" else ""
    if wrong:
        return _crash(plan, (wrong,), min(start, 200))
    for names in program.needs_env:
        if not any(setting.env.get(name) for name in names.split("|")):
            return _crash(plan, logs.missing_variable(program.style, names.split("|")), min(start, 900))
    for folder in program.writes:
        if folder in setting.denied:
            return _crash(plan, logs.permission_denied(program.style, folder), 120 + start // 8)
    for name in program.needs_hosts:
        if not setting.resolves.get(name, True):
            return _crash(plan, logs.no_host(program.style, setting.env.get(name, "")), start)
    listens = tuple(_listen(item, setting.env) for item in program.listens)
    for port, protocol, _, _ in listens:
        if (port, "udp" if protocol == "udp" else "tcp") in setting.ports_taken:
            return _crash(plan, logs.address_in_use(program.style, port), start)
        if (
            port < 1024
            and setting.user > 0
            and setting.user != program.user
            and program.style in {"nginx", "apache"}
        ):
            return _crash(plan, logs.cannot_bind(program.style, port), min(start, 300))
    if setting.limit and plan.memory > setting.limit:
        share = setting.limit / plan.memory
        return replace(plan, exit_after=max(int(start * share), 150), exit_code=137, exit_reason="OOMKilled")
    lines = program.lines or logs.started(program.style, program.name, listens)
    spread = tuple((start * (n + 1) // (len(lines) + 1), text) for n, text in enumerate(lines))
    return replace(plan, listens=listens, lines=spread, connects=program.connects)


def unknown_option(program: Program, container: Mapping[str, Any]) -> str:
    """An option on the command line that no healthy container of the image has had."""
    if program.style == "spring" or not program.flags:
        return ""
    for word in (*(container.get("command") or ()), *(container.get("args") or ())):
        name = str(word).partition("=")[0]
        if name.startswith("-") and len(name) > 1 and not name[1:2].isdigit() and name not in program.flags:
            return name
    return ""


def _cores(setting: Setting) -> int:
    """Thousandths of a core that the program may use to start: at most one, as that is serial."""
    limit = dig(setting.container, "resources", "limits", "cpu")
    try:
        return min(max(quantity.milli(str(limit)), 10), 1000) if limit is not None else 1000
    except ValueError:
        return 1000


def _listen(item: Listen, env: Mapping[str, str]) -> tuple[int, str, tuple[str, ...], bool]:
    port = item.port
    if item.env:
        text = str(env.get(item.env) or "").rpartition(":")[2]
        if text.isdecimal() and 0 < int(text) < 65_536:
            port = int(text)
    return port, item.protocol, item.paths, item.health


def _crash(plan: Plan, lines: Sequence[str], after: int) -> Plan:
    return replace(
        plan,
        exit_after=max(after, 30),
        exit_code=1,
        exit_reason="Error",
        lines=tuple((max(after - 10, 0), line) for line in lines),
    )


def _script(program: Program, result: scripts.Result, setting: Setting) -> Plan:
    code = result.code
    plan = Plan(
        listens=tuple((port, protocol, (), False) for port, protocol in result.listens),
        ready_after=80,
        exit_after=result.ms if result.ms >= 0 else -1,
        exit_code=code,
        exit_reason="Completed" if code == 0 else "Error",
        memory=min(program.memory, 2 * MIB) + result.memory,
        cpu=result.cpu,
        lines=result.lines,
        loop=result.loop,
        loop_ms=result.loop_ms,
        term=result.term,
        stop=40,
        style="plain",
        process=result.process,
    )
    if setting.limit and plan.memory > setting.limit:
        return replace(plan, exit_after=400, exit_code=137, exit_reason="OOMKilled")
    return plan
