"""Clients of databases and brokers inside containers, and the scripts that wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.world.kube.kubelet import databases, nettools
from firedrill.world.kube.programs.model import Executed

if TYPE_CHECKING:
    from firedrill.world.kube.kubelet.tools import Session

_WAIT = 15_000


def _option(args: list[str], *names: str, default: str = "") -> str:
    """The value of an option, in any of the forms `-h X`, `-hX`, `--host X` and `--host=X`."""
    for number, word in enumerate(args):
        for name in names:
            if word == name and number + 1 < len(args):
                return args[number + 1]
            if word.startswith(name + "=") and name.startswith("--"):
                return word[len(name) + 1 :]
            if word.startswith(name) and not name.startswith("--") and len(word) > len(name):
                return word[len(name) :]
    return default


def _local(host: str) -> bool:
    return host in {"", "localhost", "127.0.0.1", "::1"} or host.startswith("/")


def _port(args: list[str], default: int, *names: str) -> int:
    text = _option(args, *names, default=str(default))
    return int(text) if text.isdecimal() and 0 < int(text[:6]) < 65_536 else default


def _refusal(session: Session, login: databases.Login) -> tuple[str, str]:
    host = session.state.ip if _local(login.host) else login.host
    if _local(login.host) and not session.serves(login.port):
        return "refused", ""
    asked = databases.Login(login.kind, host, login.port, login.user, login.word)
    return databases.refusal(session.world, session.pod, asked)


def mysql(session: Session, args: list[str], _: str) -> Executed:
    """`mysql`, `mysqladmin ping` and the like."""
    word = _option(args, "--password") or next(
        (item[2:] for item in args if item.startswith("-p") and len(item) > 2 and item[2] != "="), ""
    )
    host = _option(args, "-h", "--host")
    user = _option(args, "-u", "--user", default="root")
    pinging = "ping" in args or "status" in args
    login = databases.Login("mysql", host, _port(args, 3306, "-P", "--port"), user, word)
    how, _why = _refusal(session, login)
    if not how or (how == "denied" and "ping" in args):
        return Executed("mysqld is alive\n" if "ping" in args else "1\n1\n" if "-e" in args else "")
    where = f"'{host or 'localhost'}:{login.port}'"
    text = {
        "denied": f"ERROR 1045 (28000): Access denied for user '{user}'@'{session.state.ip}' "
        f"(using password: {'YES' if word else 'NO'})",
        "dns": f"ERROR 2005 (HY000): Unknown MySQL server host '{host}' (-2)",
        "timeout": f"ERROR 2003 (HY000): Can't connect to MySQL server on {where} (110)",
    }.get(how, f"ERROR 2003 (HY000): Can't connect to MySQL server on {where} (111)")
    if pinging:
        text = f"mysqladmin: connect to server at '{host or 'localhost'}' failed\nerror: '{text}'"
    quiet = "--silent" in args and pinging
    return Executed(stderr="" if quiet else text + "\n", code=1, ms=_WAIT if how == "timeout" else 0)


def pg_isready(session: Session, args: list[str], _: str) -> Executed:
    """`pg_isready`: whether a server answers; it does not log in."""
    host, port = _option(args, "-h", "--host"), _port(args, 5432, "-p", "--port")
    how, _why = _refusal(session, databases.Login("postgres", host, port))
    where = f"{host or '/var/run/postgresql'}:{port}"
    if not how:
        return Executed(f"{where} - accepting connections\n")
    wait = min(_port(args, 3, "-t", "--timeout"), 60) * 1000 if how == "timeout" else 0
    return Executed(f"{where} - no response\n", code=2, ms=wait)


def psql(session: Session, args: list[str], _: str) -> Executed:
    """`psql`."""
    url = next(databases.logins({"URL": next((a for a in args if "://" in a), "")}), None)
    user = _option(args, "-U", "--username", default="postgres")
    host = _option(args, "-h", "--host")
    word = session.env.get("PGPASSWORD", "")
    login = url or databases.Login("postgres", host, _port(args, 5432, "-p", "--port"), user, word)
    if _local(login.host) and url is None:
        login = databases.Login("postgres", "", login.port)  # the server trusts its own socket
    how, _why = _refusal(session, login)
    if not how:
        return Executed(" ?column? \n----------\n        1\n(1 row)\n\n" if "-c" in args else "")
    at = f'"{login.host}" ({login.host}), port {login.port}'
    text = {
        "denied": f"connection to server at {at} failed: "
        f'FATAL:  password authentication failed for user "{user}"',
        "dns": f'could not translate host name "{login.host}" to address: Name or service not known',
        "timeout": f"connection to server at {at} failed: Connection timed out",
    }.get(how, f"connection to server at {at} failed: Connection refused")
    return Executed(stderr=f"psql: error: {text}\n", code=2, ms=_WAIT if how == "timeout" else 0)


def redis(session: Session, args: list[str], _: str) -> Executed:
    """`redis-cli`."""
    host, port = _option(args, "-h"), _port(args, 6379, "-p")
    how, _why = _refusal(session, databases.Login("redis", host, port))
    if how:
        why = {"dns": "Name or service not known", "timeout": "Connection timed out"}.get(
            how, "Connection refused"
        )
        text = f"Could not connect to Redis at {host or '127.0.0.1'}:{port}: {why}\n"
        return Executed(stderr=text, code=1, ms=_WAIT if how == "timeout" else 0)
    return Executed("PONG\n" if "ping" in [word.lower() for word in args] else "OK\n")


def mongo(session: Session, args: list[str], _: str) -> Executed:
    """`mongosh` and `mongo`."""
    url = next((word for word in args if word.startswith("mongodb://")), "")
    place = url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(",")[0]
    host = place.partition(":")[0] or _option(args, "--host")
    port = int(place.partition(":")[2] or 0) or _port(args, 27_017, "--port")
    how, _why = _refusal(session, databases.Login("mongo", host, port))
    if how:
        text = f"MongoNetworkError: connect ECONNREFUSED {host or '127.0.0.1'}:{port}\n"
        return Executed(stderr=text, code=1, ms=_WAIT if how == "timeout" else 0)
    return Executed("{ ok: 1 }\n")


def wait_for(session: Session, args: list[str], _: str) -> Executed:
    """`wait-for-it.sh HOST:PORT [-t SECONDS]`: one look; whoever calls it waits and looks again."""
    place = next((word for word in args if ":" in word and not word.startswith("-")), "")
    place = place.partition("://")[2].partition("/")[0] if "://" in place else place
    host, _colon, port = place.rpartition(":")
    if not host or not port.isdecimal():
        return Executed(stderr="Error: you need to provide a host and port to test.\n", code=1)
    found = nettools.route_from(session.world, session.pod, host, int(port[:6]))
    good = found.result in {"ok", "external"}
    return Executed(stderr="" if good else f"waiting for {place}\n", code=0 if good else 1)
