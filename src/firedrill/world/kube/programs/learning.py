"""What the programs of an application are, from the manifests with which it is healthy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import quantity
from firedrill.world.kube.objects import Obj, containers_of, dig
from firedrill.world.kube.programs import catalogue, shell, shell_code
from firedrill.world.kube.programs.launch import ASKING
from firedrill.world.kube.programs.model import MIB, Listen, Program, Protocol
from firedrill.world.kube.programs.reference import Reference, parse_reference

if TYPE_CHECKING:
    from firedrill.world.world import World

_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_HTTP_PORTS = frozenset({80, 3000, 5000, 8000, 8080, 8081, 8088, 9090, 9091})
_LANGUAGES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("spring", ("spring",), ("spring",)),
    ("java", ("java_", "jvm_", "jdk", "jre", "java", "catalina", "kafka", "_opts"), ("java",)),
    ("dotnet", ("aspnetcore", "dotnet", "clr_"), ("dotnet",)),
    ("node", ("node_env", "npm_", "nodejs", "node_options"), ("node", "npm", "yarn", "npx")),
    ("pyserver", ("gunicorn", "uvicorn", "uwsgi"), ("gunicorn", "uvicorn", "hypercorn", "uwsgi", "celery")),
    ("locust", ("locust",), ("locust",)),
    ("python", ("python", "django", "flask"), ("python", "python3", "flask")),
    ("ruby", ("rails", "rack_env", "ruby", "sinatra"), ("ruby", "rails", "bundle", "puma")),
    ("php", ("php",), ("php", "php-fpm")),
    ("rust", ("rust_log", "rust_backtrace"), ()),
)
_SERVERS: dict[str, tuple[str, ...]] = {
    "postgres": ("postgres",),
    "mysql": ("mysql", "mariadb", "percona"),
    "redis": ("redis", "valkey"),
    "nginx": ("nginx",),
}
_SHELLS = frozenset({"sh", "bash", "ash", "dash"})
_TOOLS = ASKING | {
    "httpd",
    "python -m http.server",
    "stress",
    "stress-ng",
    "trap",
    "set",
    "export",
    "[[",
    "((",
}


def learn(world: World, manifests: Sequence[Obj], programs: Sequence[Mapping[str, Any]] = ()) -> None:
    """Learn images and the behaviour of their programs.

    What is inferred: the ports that containers name, their protocol from probes, port names and Services,
    the variable that a program reads its port from, the HTTP paths that answer, the commands that exist,
    and roughly how much memory it needs. Later, a container of the same image behaves like that whatever
    its changed manifest says.

    Args:
        world: where to know it.
        manifests: objects of a healthy application; Lists are looked into.
        programs: entries as in `programs.yaml` where more is known than manifests tell.
    """
    flat = [item for obj in manifests for item in _flat(obj)]
    protocols = _service_protocols(flat)
    for obj in flat:
        spec = pod_spec_of(obj)
        if spec is None:
            continue
        labels = dig(obj, "spec", "template", "metadata", "labels") or dig(obj, "metadata", "labels") or {}
        inits = [item.get("name") for item in spec.get("initContainers") or () if not is_sidecar(item)]
        for container in containers_of(spec):
            task = obj.get("kind") in {"Job", "CronJob"} or container.get("name") in inits
            _learn_container(world, container, _of_pod(protocols, labels), task=task)
    for item in programs:
        program = catalogue.program_from(item)
        catalogue.set_program(world, str(item["image"]), program, str(item.get("tags", ".*")))


def _flat(obj: Obj, depth: int = 0) -> Iterator[Obj]:
    items = obj.get("items")
    if str(obj.get("kind") or "").endswith("List") and isinstance(items, list) and depth < 3:
        for item in items:
            if isinstance(item, dict):
                yield from _flat(item, depth + 1)
    else:
        yield obj


def pod_spec_of(obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The pod spec in a workload, or None."""
    for path in (
        ("spec", "jobTemplate", "spec", "template", "spec"),
        ("spec", "template", "spec"),
        ("template", "spec"),
    ):
        found = dig(obj, *path)
        if isinstance(found, Mapping) and found.get("containers"):
            return found
    spec = obj.get("spec")
    if obj.get("kind") == "Pod" and isinstance(spec, Mapping):
        return spec
    return None


_Told = list[tuple[Mapping[str, str], str | int, str]]


def _service_protocols(flat: Sequence[Obj]) -> _Told:
    out: _Told = []
    for obj in flat:
        if obj.get("kind") != "Service":
            continue
        selector = dig(obj, "spec", "selector") or {}
        for port in dig(obj, "spec", "ports") or ():
            told = str(port.get("appProtocol") or port.get("name") or "").lower()
            if selector:
                out.append((selector, port.get("targetPort") or port.get("port") or 0, told))
    return out


def _of_pod(told: _Told, labels: Mapping[str, str]) -> Mapping[str | int, str]:
    return {
        target: name
        for selector, target, name in told
        if all(labels.get(key) == value for key, value in selector.items())
    }


def is_sidecar(container: Mapping[str, Any]) -> bool:
    """Whether an init container keeps running beside the others."""
    return container.get("restartPolicy") == "Always"


def _learn_container(
    world: World, container: Mapping[str, Any], told: Mapping[str | int, str], *, task: bool
) -> None:
    reference = parse_reference(str(container.get("image") or ""))
    if reference is None:
        return
    part = world.cluster.part(catalogue.Catalogue)
    if str(container["image"]) not in part.images:
        part.images = (*part.images, str(container["image"]))
    known = part.repositories.get(reference.repository)
    public = catalogue.public().get(reference.repository)
    if public is not None and catalogue.has_tag(public, reference):
        if not public.program.runs and not task:
            _learn_server(world, reference, container, told, known or public)
        return
    new = _program(reference, container, told, task=task)
    if known is None and public is not None:
        known = public
    if known is not None:
        tags = (
            known.tags if catalogue.has_tag(known, reference) else f"{known.tags}|{re.escape(reference.tag)}"
        )
        repository = replace(known, program=_merged(known.program, new), tags=tags)
        part.repositories[reference.repository] = repository
    else:
        catalogue.set_program(world, reference.repository, new, re.escape(reference.tag))
    if reference.tag and (public is None or known is not public):
        same = part.variants.get(f"{reference.repository}:{reference.tag}")
        catalogue.set_variant(world, reference, _merged(same, new) if same is not None else new)


def _learn_server(
    world: World,
    reference: Reference,
    container: Mapping[str, Any],
    told: Mapping[str | int, str],
    known: catalogue.Repository,
) -> None:
    """An image for anything, such as an interpreter's, serves with the command line that it is given."""
    env = _plain_env(container)
    lines = _server_lines(container, known.program)
    if not lines:
        return
    listens = _listens(container, env, told)
    ports = {item.port for item in known.program.listens}
    program = replace(
        known.program,
        serves=tuple(dict.fromkeys((*known.program.serves, *lines))),
        listens=(*known.program.listens, *(item for item in listens if item.port not in ports)),
        memory=max(min(_memory(container), 64 * MIB), known.program.memory),
        connects=True,
    )
    world.cluster.part(catalogue.Catalogue).repositories[reference.repository] = replace(
        known, program=program
    )


def _server_lines(container: Mapping[str, Any], program: Program) -> tuple[str, ...]:
    """The command lines in a container that keep it running, where no reading of them tells it."""
    argv = [*map(str, container.get("command") or ()), *map(str, container.get("args") or ())]
    if not argv:
        return ()
    tools = catalogue.tools_of(program.tools)
    if argv[0].rpartition("/")[2] in _SHELLS:
        text = shell.script_of(argv[1:])
        if text is None:
            return (" ".join(argv),)
        words = shell_code.lines_in(text)
        return tuple(
            line for line in words if line.partition(" ")[0].rpartition("/")[2] not in tools | _TOOLS
        )
    return () if argv[0].rpartition("/")[2] in tools | _TOOLS else (" ".join(argv),)


def _plain_env(container: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(item.get("name")): str(item.get("value"))
        for item in container.get("env") or ()
        if item.get("value") is not None
    }


def _merged(old: Program, new: Program) -> Program:
    ports = {item.port for item in old.listens}
    listens = (*old.listens, *(item for item in new.listens if item.port not in ports))
    return replace(
        old,
        listens=listens,
        commands=tuple(dict.fromkeys((*old.commands, *new.commands))),
        memory=min(old.memory, new.memory),
        serves=tuple(dict.fromkeys((*old.serves, *new.serves))),
        tasks=tuple(dict.fromkeys((*old.tasks, *new.tasks))),
        flags=tuple(dict.fromkeys((*old.flags, *new.flags))),
        connects=old.connects or new.connects,
    )


def _program(
    reference: Reference, container: Mapping[str, Any], told: Mapping[str | int, str], *, task: bool
) -> Program:
    env = _plain_env(container)
    name = reference.path.rpartition("/")[2]
    style = _style(reference, env, _words(container))
    argv = [*map(str, container.get("command") or ()), *map(str, container.get("args") or ())]
    shelled = bool(argv) and argv[0].rpartition("/")[2] in _SHELLS and shell.script_of(argv[1:]) is not None
    line = () if shelled else (" ".join(argv),)
    return Program(
        name=name,
        **catalogue.habits_of(style),
        style=style,
        tools=() if "distroless" in reference.tag else ("shell", "busybox"),
        listens=() if task else _listens(container, env, told),
        memory=_memory(container),
        commands=_commands(container),
        size=48_000_000,
        architectures=("amd64", "arm64"),
        serves=() if task else line,
        tasks=line if task else (),
        flags=("--help", *(word.partition("=")[0] for word in argv if word.startswith("-"))),
        connects=style not in _SERVERS,
    )


def _words(container: Mapping[str, Any]) -> str:
    """The command line that the manifest gives, as text to look for interpreters in."""
    return " ".join(map(str, (*(container.get("command") or ()), *(container.get("args") or ())))).lower()


def _style(reference: Reference, env: Mapping[str, str], words: str) -> str:
    """The language that variables, the image's name or the command line speak of; Go where nothing does."""
    path = reference.path.lower()
    for style, hints in _SERVERS.items():
        if any(path.rpartition("/")[2].startswith(hint) for hint in hints):
            return style
    names = " ".join((*env, reference.path, reference.tag)).lower()
    for style, hints, commands in _LANGUAGES:
        if any(hint in names for hint in hints) or any(re.search(rf"\b{word}\b", words) for word in commands):
            return style
    return "go"


def _memory(container: Mapping[str, Any]) -> int:
    """Bytes: healthy programs run well below their limit, and mostly below what they ask for."""
    resources = container.get("resources") or {}
    request = dig(resources, "requests", "memory")
    limit = dig(resources, "limits", "memory")
    try:
        if request is not None:
            return max(int(quantity.value(request) * 0.6), 6 * MIB)
        if limit is not None:
            return max(int(quantity.value(limit) * 0.45), 6 * MIB)
    except ValueError:
        pass
    return 40 * MIB


def _commands(container: Mapping[str, Any]) -> tuple[str, ...]:
    out = []
    if container.get("command"):
        out.append(str(container["command"][0]))
        argv = [*map(str, container["command"]), *map(str, container.get("args") or ())]
        text = shell.script_of(argv[1:]) if argv[0].rpartition("/")[2] in _SHELLS else None
        out += [word for word in shell_code.commands_in(text) if word[0] not in ">[(:"] if text else []
    handlers = [dig(container, probe, "exec", "command") for probe in _PROBES]
    handlers += [dig(container, "lifecycle", hook, "exec", "command") for hook in ("postStart", "preStop")]
    out += [str(command[0]) for command in handlers if command]
    return tuple(dict.fromkeys(out))


def _listens(
    container: Mapping[str, Any], env: Mapping[str, str], told: Mapping[str | int, str]
) -> tuple[Listen, ...]:
    found: dict[int, Listen] = {}
    names: dict[str, int] = {}
    for port in container.get("ports") or ():
        number, name = int(port.get("containerPort") or 0), str(port.get("name") or "")
        names[name] = number
        udp = port.get("protocol") == "UDP"
        protocol = "udp" if udp else _by_name(told.get(number) or told.get(name) or "", name, number)
        found[number] = Listen(number, protocol)
    for target in told:
        if isinstance(target, int) and target and target not in found and not container.get("ports"):
            found[target] = Listen(target, _by_name(told[target], "", target))
    for probe in _PROBES:
        for number, listen in _probed(container.get(probe) or {}, names):
            before = found.get(number)
            paths = tuple(dict.fromkeys((*(before.paths if before else ()), *listen.paths)))
            found[number] = replace(listen, paths=paths)
    if not found and str(env.get("PORT", "")).isdecimal():
        found[int(env["PORT"])] = Listen(int(env["PORT"]), "http")
    return tuple(replace(item, env=_port_variable(item.port, env)) for item in found.values())


def _probed(probe: Mapping[str, Any], names: Mapping[str, int]) -> Iterator[tuple[int, Listen]]:
    for key, protocol in (("httpGet", "http"), ("grpc", "grpc"), ("tcpSocket", "")):
        handler = probe.get(key)
        if not isinstance(handler, Mapping):
            continue
        port = handler.get("port")
        number = names.get(port, 0) if isinstance(port, str) and not port.isdecimal() else int(port or 0)
        if not 0 < number < 65_536 or not protocol:
            continue
        path = str(handler.get("path") or "/").partition("?")[0]
        secure = key == "httpGet" and handler.get("scheme") == "HTTPS"
        chosen: Protocol = "grpc" if key == "grpc" else "https" if secure else "http"
        yield number, Listen(number, chosen, paths=("/", path) if key == "httpGet" and path != "/" else ())


def _by_name(told: str, name: str, number: int) -> Protocol:
    text = f"{told} {name}".lower()
    if "grpc" in text:
        return "grpc"
    if "https" in text or number in {443, 8443}:
        return "https"
    if "http" in text or "web" in text or number in _HTTP_PORTS:
        return "http"
    return "tcp"


def _port_variable(port: int, env: Mapping[str, str]) -> str:
    """The variable that tells the program its port: its value is the port, or an address to listen on."""
    for name in sorted(env, key=lambda item: (item != "PORT", "PORT" not in item, item)):
        value = env[name]
        if value == str(port) or re.fullmatch(rf"(?:0\.0\.0\.0|\[::\]|\*)?:{port}", value):
            return name
    return ""
