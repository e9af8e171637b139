"""What runs in a container, as data: what it needs, where it listens, what it uses, how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Protocol = Literal["http", "https", "grpc", "tcp", "udp"]
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Listen:
    """One port that a program opens.

    Attributes:
        port: its number where nothing says otherwise.
        protocol: what it speaks there.
        env: the environment variable that names the port, or empty.
        paths: HTTP paths that answer 200; empty means every path does.
        health: a gRPC server implements `grpc.health.v1.Health`.
    """

    port: int
    protocol: Protocol = "tcp"
    env: str = ""
    paths: tuple[str, ...] = ()
    health: bool = True


@dataclass(frozen=True, slots=True)
class Program:
    """The program of an image. Sizes in bytes, times in ms, CPU in thousandths of a core.

    Attributes:
        name: short name, as a process list shows it.
        style: language or family; decides the form of its log lines and of its wire errors.
        entrypoint: what the image runs where the pod names no command.
        tools: sets of commands that the image holds besides its entrypoint (see `programs.yaml`).
        listens: the ports it opens.
        start: shortest and longest time until its ports are open.
        work: least and most CPU time, in ms of a whole core, that this takes: a small CPU limit draws it out.
        warm: CPU time in ms that its first answers take, such as for loading classes.
        memory: what it uses once it runs.
        cpu: what it uses when idle.
        runs: False for an image whose default command ends at once (a shell without a terminal).
        term: what SIGTERM does: the exit code, or -1 when it is ignored.
        stop: shortest and longest time between SIGTERM and its end.
        writes: folders it must be able to write to when they are mounted.
        needs_env: variables without which it ends at the start.
        needs_hosts: variables that name a host which must resolve at the start.
        user: uid it runs as unless the pod says otherwise.
        ends: first arguments with which it does one thing and ends.
        serves: command lines with which the image keeps running; empty text for its own one.
        tasks: command lines with which it does its work and ends.
        flags: options that its programs are known to take; empty where that is not known.
        connects: it opens the databases that its environment names before it serves.
        delegates: the variable with a JSON object that says, by HTTP path, which other probe it carries out.
        commands: further executables that are known to exist in the image.
        size: of the image, compressed.
        architectures: the image was built for these.
        lines: what it logs when it has started; `{port}` is its first port.
    """

    name: str
    style: str = "plain"
    entrypoint: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    listens: tuple[Listen, ...] = ()
    start: tuple[int, int] = (800, 2600)
    work: tuple[int, int] = (0, 0)
    warm: int = 0
    memory: int = 40 * MIB
    cpu: int = 4
    runs: bool = True
    term: int = 0
    stop: tuple[int, int] = (60, 900)
    writes: tuple[str, ...] = ()
    needs_env: tuple[str, ...] = ()
    needs_hosts: tuple[str, ...] = ()
    user: int = 0
    ends: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    connects: bool = False
    delegates: str = ""
    commands: tuple[str, ...] = ()
    size: int = 40_000_000
    architectures: tuple[str, ...] = ("amd64", "arm64")
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run of a container will be like, as far as it is known when it starts.

    Attributes:
        fails: why the runtime cannot start it; empty where it can.
        fail_code: exit code then.
        listens: (port, protocol, HTTP paths, gRPC health) that open after `ready_after` ms.
        warm: ms after that in which answers wait until it has warmed up.
        delegated: what it probes for others, as the JSON text that its environment gave it.
        exit_after: ms until it ends by itself; -1 for never.
        exit_code, exit_reason: how it ends then.
        memory: bytes in use; `leak` more in every second.
        cpu: thousandths of a core.
        lines: (ms after the start, text) of its log.
        loop: lines that are repeated every `loop_ms`, from the end of `lines` on.
        term, stop: exit code after SIGTERM (-1: ignored) and the time it takes.
        style: form of its log lines and wire errors.
        process: as a process list shows it.
        script: what a shell reads, where what it does depends on the cluster.
        connects: it opens the databases that its environment names before it serves.
        asks: requests per second that it makes of the API server.
    """

    fails: str = ""
    fail_code: int = 128
    listens: tuple[tuple[int, str, tuple[str, ...], bool], ...] = ()
    ready_after: int = 0
    warm: int = 0
    delegated: str = ""
    exit_after: int = -1
    exit_code: int = 0
    exit_reason: str = "Completed"
    memory: int = 0
    leak: int = 0
    cpu: int = 0
    lines: tuple[tuple[int, str], ...] = ()
    loop: tuple[str, ...] = ()
    loop_ms: int = 0
    term: int = 0
    stop: int = 100
    style: str = "plain"
    process: str = ""
    script: str = ""
    connects: bool = False
    asks: int = 0


@dataclass(frozen=True, slots=True)
class Executed:
    """What a command did.

    Attributes:
        stdout, stderr: what it printed.
        code: its exit code.
        failed: it could not be started at all; `stderr` says why.
        ms: how long it took, where that is more than a moment.
    """

    stdout: str = ""
    stderr: str = ""
    code: int = 0
    failed: bool = False
    ms: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """How a running program is: what faults and load change. Times in ms.

    Attributes:
        latency: until it answers.
        status: HTTP status of every answer; 0 for what the path says.
        frozen: it accepts connections and never answers.
        closed: its ports are closed.
        memory: bytes in use besides its own; `leak` more in every second since `since`.
        cpu: thousandths of a core besides its own.
        since: when this began.
    """

    latency: int = 0
    status: int = 0
    frozen: bool = False
    closed: bool = False
    memory: int = 0
    leak: int = 0
    cpu: int = 0
    since: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """What its present requests make a program use, besides what it needs when idle.

    Attributes:
        cpu: thousandths of a core.
        memory: bytes.
        latency: ms that an answer waits behind others.
    """

    cpu: int = 0
    memory: int = 0
    latency: int = 0


UNLOADED = Load()
HEALTHY = Health()
