"""Databases as their clients find them: who may log in, and what a program does that cannot.

A server takes its accounts from its environment when it first starts on an empty data folder; on a claim
that has been used before, the old accounts stay, whatever the environment says by then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from firedrill.world.kube.kubelet.checks import listening
from firedrill.world.kube.kubelet.state import Container, PodState, find_pod
from firedrill.world.kube.objects import Obj, dig, namespace_of, uid_of

if TYPE_CHECKING:
    from firedrill.world.world import World

_URL = re.compile(
    r"(?:jdbc:)?(?P<kind>mysql|mariadb|postgres(?:ql)?)(?:\+\w+)?://(?:(?P<user>[^:@/\s]*)(?::(?P<word>[^@/\s]*))?@)?"
    r"(?P<host>[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?(?:/(?P<name>[\w-]*))?"
)
_PORTS = {"mysql": 3306, "postgres": 5432}
_USER, _WORD = re.compile(r"USER(NAME)?$"), re.compile(r"PASS(WORD|WD)?$")


@dataclass(frozen=True, slots=True)
class Login:
    """What a client uses to log in.

    Attributes:
        kind: `mysql` or `postgres`.
        host, port: of the server.
        user, word: account and password; an empty user logs in nowhere, and only asks for the port.
        name: of the database.
    """

    kind: str
    host: str
    port: int
    user: str = ""
    word: str = ""
    name: str = ""


class Accounts:
    """The accounts in data folders that outlive their pods.

    Attributes:
        kept: by uid of the claim: passwords by account.
    """

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: dict[str, Mapping[str, str]] = {}

    def fork(self) -> Self:
        """An independent copy."""
        twin = type(self)()
        twin.kept = self.kept.copy()
        return twin

    def state(self) -> object:
        """All of it as plain data."""
        return sorted([claim, dict(accounts)] for claim, accounts in self.kept.items())


def logins(env: Mapping[str, str]) -> Iterator[Login]:
    """The databases that a program's variables name by address."""
    for name, text in env.items():
        match = _URL.fullmatch(text.partition("?")[0])
        if match is None or name.endswith("_PORT"):
            continue
        kind = "postgres" if match["kind"].startswith("postgres") else "mysql"
        stem = re.sub(r"(_?(JDBC)?_?(URL|URI|DSN|ADDRESS))$", "", name)
        user = match["user"] or _beside(env, stem, _USER)
        word = match["word"] if match["word"] is not None else _beside(env, stem, _WORD)
        port = int(match["port"] or _PORTS[kind])
        yield Login(kind, match["host"], port, unquote(user or ""), unquote(word or ""), match["name"] or "")


def _beside(env: Mapping[str, str], stem: str, ending: re.Pattern[str]) -> str:
    return next((env[key] for key in sorted(env) if key.startswith(stem) and ending.search(key)), "")


def accounts_of(env: Mapping[str, str]) -> dict[str, str]:
    """Passwords by account that a server makes when it first starts with this environment."""
    out: dict[str, str] = {}
    for prefix in ("MYSQL", "MARIADB"):
        if env.get(f"{prefix}_ROOT_PASSWORD"):
            out["root"] = env[f"{prefix}_ROOT_PASSWORD"]
        if env.get(f"{prefix}_USER"):
            out[env[f"{prefix}_USER"]] = env.get(f"{prefix}_PASSWORD", "")
    if "POSTGRES_PASSWORD" in env:
        out[env.get("POSTGRES_USER") or "postgres"] = env["POSTGRES_PASSWORD"]
    if "POSTGRESQL_PASSWORD" in env:
        out[env.get("POSTGRESQL_USERNAME") or "postgres"] = env["POSTGRESQL_PASSWORD"]
    return out


def remember(world: World, pod: Obj, item: Mapping[str, Any], env: Mapping[str, str]) -> None:
    """A server starts: on an empty claim it makes its accounts now."""
    accounts = accounts_of(env)
    if not accounts:
        return
    part = world.cluster.part(Accounts)
    for claim in _claims(world, pod, item):
        part.kept.setdefault(claim, accounts)


def _claims(world: World, pod: Obj, item: Mapping[str, Any]) -> list[str]:
    mounted = {mount.get("name") for mount in item.get("volumeMounts") or ()}
    out = []
    for volume in pod["spec"].get("volumes") or ():
        name = dig(volume, "persistentVolumeClaim", "claimName")
        found = None
        if name and volume.get("name") in mounted:
            found = world.cluster.store.get("persistentvolumeclaims", namespace_of(pod), name)
        if found is not None:
            out.append(uid_of(found))
    return out


def refusal(world: World, pod: Obj, login: Login) -> tuple[str, str]:
    """(how, why) a pod's program cannot log in; empty where it can.

    How is one of `dns`, `timeout`, `refused` and `denied`.
    """
    from firedrill.world.kube.kubelet.nettools import route_from

    found = route_from(world, pod, login.host, login.port)
    if found.result in {"no_dns", "dns_timeout"}:
        return "dns", found.detail
    if found.result == "dropped":
        return "timeout", found.detail
    if found.result == "external":
        return "", ""
    if found.result != "ok":
        return "refused", found.detail
    state = find_pod(world, *found.pod)
    there = listening(world, state, found.port) if state is not None else None
    if state is None or there is None:
        return "refused", found.detail
    if there[3].health.frozen:
        return "timeout", "the server does not answer"
    return _denied(world, state, there[3], login)


def _denied(world: World, state: PodState, found: Container, login: Login) -> tuple[str, str]:
    from firedrill.world.kube.kubelet.containers import spec_of

    pod = world.cluster.store.get("pods", state.namespace, state.name)
    item = spec_of(pod, found.name) if pod is not None else None
    if pod is None or item is None or found.run is None or not login.user:
        return "", ""
    part = world.cluster.part(Accounts)
    kept = [part.kept[claim] for claim in _claims(world, pod, item) if claim in part.kept]
    accounts = kept[0] if kept else accounts_of(found.run.env)
    if not accounts:
        return "", ""
    if login.user not in accounts:
        seeded = any("initdb" in str(mount.get("mountPath")) for mount in item.get("volumeMounts") or ())
        return ("", "") if seeded else ("denied", "no such account")
    return ("", "") if accounts[login.user] == login.word else ("denied", "wrong password")
