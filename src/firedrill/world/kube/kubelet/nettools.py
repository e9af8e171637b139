"""nslookup, dig, getent, curl, wget and nc inside containers, over the routes of the cluster's network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from firedrill.world.kube.kubelet.checks import listening
from firedrill.world.kube.kubelet.state import find_pod
from firedrill.world.kube.network import dns
from firedrill.world.kube.network.route import Network, Route
from firedrill.world.kube.network.state import NetworkState
from firedrill.world.kube.objects import Obj, dig, name_of, namespace_of
from firedrill.world.kube.programs.model import Executed

if TYPE_CHECKING:
    from firedrill.world.kube.kubelet.tools import Session
    from firedrill.world.world import World

_URL = re.compile(r"(?:(https?)://)?(\[[0-9a-fA-F:]+\]|[^/:?#\s]+)(?::(\d{1,5}))?([/?#]\S*)?")
_VALUED = frozenset(
    {"-o", "-H", "-X", "-d", "-m", "-T", "-O", "-w", "-u", "-A", "--data", "--header", "--request"}
    | {"--max-time", "--connect-timeout"}
)


def _dns_ip(world: World) -> str:
    service = world.cluster.store.get("services", "kube-system", "kube-dns")
    return str(dig(service, "spec", "clusterIP", default="10.96.0.10"))


def resolv_conf(world: World, pod: Obj) -> str:
    """`/etc/resolv.conf` of a pod."""
    searches, ndots = dns.search_list(pod, world.cluster.settings.cluster_domain)
    search = f"search {' '.join(searches)}\n" if searches else ""
    server = _dns_ip(world) if dns.uses_cluster_dns(pod) else "127.0.0.53"
    return f"{search}nameserver {server}\noptions ndots:{ndots}\n"


def _resolve(session: Session, host: str) -> dns.Answer:
    domain = session.world.cluster.settings.cluster_domain
    return dns.resolve(session.world.cluster.store, session.pod, host, domain=domain)


def listens(world: World, pod: Obj, port: int, protocol: str) -> bool:
    """Whether a program in the pod answers on the port (`TCP` or `UDP`) now."""
    state = find_pod(world, namespace_of(pod), name_of(pod))
    if state is None:
        return False
    if protocol == "TCP":
        return listening(world, state, port) is not None
    return any(
        number == port and spoken == "udp"
        for found in state.containers.values()
        if found.running and found.run is not None
        for number, spoken, _, _ in found.run.plan.listens
    )


def route_from(world: World, pod: Obj, host: str, port: int, protocol: str = "TCP") -> Route:
    """Follow a connection from a pod to whatever answers, as its programs really listen."""

    def answers(target: Obj, number: int, spoken: str) -> bool:
        return listens(world, target, number, spoken)

    cluster = world.cluster
    network = Network(
        cluster.store, world.rng, cluster.part(NetworkState), answers, cluster.settings.cluster_domain
    )
    return network.route(pod, host, port, protocol, world.now)


def nslookup(session: Session, args: list[str]) -> Executed:
    """`nslookup NAME`, in the words of busybox."""
    names = [word for word in args if not word.startswith("-")]
    if not names:
        return Executed(stderr="Usage: nslookup HOST [DNS_SERVER]\n", code=1)
    server = _dns_ip(session.world)
    head = f"Server:\t\t{server}\nAddress:\t{server}:53\n\n"
    answer = _resolve(session, names[0])
    if answer.code == "timeout":
        return Executed(";; connection timed out; no servers could be reached\n\n", code=1)
    if answer.code == "ok" and answer.addresses:
        body = "".join(f"Name:\t{answer.name}\nAddress: {address}\n" for address in answer.addresses)
        return Executed(f"{head}{body}\n")
    return Executed(f"{head}** server can't find {names[0]}: NXDOMAIN\n\n", code=1)


def dig_name(session: Session, args: list[str]) -> Executed:
    """`dig [+short] NAME`."""
    names = [word for word in args if word[:1] not in "+-@"]
    if not names:
        return Executed()
    host = names[0] if names[0].endswith(".") or "+search" in args else names[0] + "."
    answer = _resolve(session, host)
    if answer.code == "timeout":
        return Executed(";; connection timed out; no servers could be reached\n", code=9)
    lines = [f"{answer.name}.\t30\tIN\tA\t{address}" for address in answer.addresses]
    if "+short" in args:
        return Executed("".join(f"{address}\n" for address in answer.addresses))
    status = "NOERROR" if lines else "NXDOMAIN"
    body = "\n;; ANSWER SECTION:\n" + "\n".join(lines) + "\n" if lines else ""
    return Executed(f";; ->>HEADER<<- opcode: QUERY, status: {status}\n{body}")


def getent(session: Session, args: list[str]) -> Executed:
    """`getent hosts NAME`."""
    if len(args) < 2:
        return Executed(code=1)
    answer = _resolve(session, args[1])
    if answer.code != "ok" or not answer.addresses:
        return Executed(code=2)
    return Executed("".join(f"{address:<15} {answer.name}  {args[1]}\n" for address in answer.addresses))


def connect(session: Session, args: list[str]) -> Executed:
    """`nc [-zvw] HOST PORT`, `telnet HOST PORT`."""
    words = [word for word in args if not word.startswith("-")]
    if len(words) > 2:
        words = words[-2:]
    if len(words) < 2 or not words[1].isdecimal() or not 0 < int(words[1][:6]) < 65_536:
        return Executed(stderr="nc: bad usage\n", code=1)
    host, port = words[0], int(words[1])
    udp = any(word.startswith("-") and "u" in word for word in args)
    found = route_from(session.world, session.pod, host, port, "UDP" if udp else "TCP")
    if found.result in {"ok", "external"}:
        return Executed(stderr=f"{host} ({found.address}:{port}) open\n" if "v" in "".join(args) else "")
    if found.result in {"no_dns", "dns_timeout"}:
        return Executed(stderr=f"nc: bad address '{host}'\n", code=1)
    why = "Connection timed out" if found.result == "dropped" else "Connection refused"
    return Executed(stderr=f"nc: {host} ({found.address}:{port}): {why}\n", code=1)


def _target(args: list[str]) -> tuple[str, str, int, str] | None:
    """(scheme, host, port, path) of the first word that is an address."""
    plain = [
        word for n, word in enumerate(args) if word[:1] != "-" and (n == 0 or args[n - 1] not in _VALUED)
    ]
    match = _URL.fullmatch(plain[-1]) if plain else None
    if match is None:
        return None
    scheme = match[1] or "http"
    port = int(match[3]) if match[3] else (443 if scheme == "https" else 80)
    return (scheme, match[2], port, match[4] or "/") if 0 < port < 65_536 else None


def _answer(session: Session, found: Route, scheme: str, path: str) -> tuple[int, str, str]:
    """(HTTP status, body, what went wrong) of a request that reached something."""
    if found.result == "external":
        return 200, "<!doctype html>\n", ""
    state = find_pod(session.world, *found.pod)
    there = listening(session.world, state, found.port) if state is not None else None
    if there is None:
        return 0, "", "Empty reply from server"
    protocol, paths, _, container = there
    if container.health.frozen:
        return 0, "", "timeout"
    if protocol in {"tcp", "grpc"}:
        text = "Received HTTP/0.9 when not allowed" if protocol == "grpc" else "Empty reply from server"
        return 0, "", text
    if scheme == "https" and protocol == "http":
        return 0, "", "wrong version number"
    status = container.health.status or (200 if not paths or path.partition("?")[0] in paths else 404)
    style = container.run.plan.style if container.run is not None else ""
    if status == 200 and style == "nginx":
        return (
            200,
            "<!DOCTYPE html>\n<html>\n<head>\n<title>Welcome to nginx!</title>\n</head>\n</html>\n",
            "",
        )
    return status, "ok\n" if status < 400 else f"{status}\n", ""


def curl(session: Session, args: list[str]) -> Executed:
    """`curl URL`."""
    target = _target(args)
    if target is None:
        return Executed(stderr="curl: (3) URL rejected: Malformed input to a URL function\n", code=3)
    scheme, host, port, path = target
    found = route_from(session.world, session.pod, host, port)
    if found.result in {"no_dns", "dns_timeout"}:
        return Executed(stderr=f"curl: (6) Could not resolve host: {host}\n", code=6)
    if found.result == "dropped":
        text = f"Failed to connect to {host} port {port} after 134000 ms: Couldn't connect to server"
        return Executed(stderr=f"curl: (28) {text}\n", code=28)
    if found.result not in {"ok", "external"}:
        text = f"curl: (7) Failed to connect to {host} port {port} after 2 ms: Couldn't connect to server\n"
        return Executed(stderr=text, code=7)
    status, body, wrong = _answer(session, found, scheme, path)
    if wrong:
        code = {"timeout": 28, "wrong version number": 35, "Received HTTP/0.9 when not allowed": 1}.get(
            wrong, 52
        )
        return Executed(stderr=f"curl: ({code}) {wrong}\n", code=code)
    flags = "".join(word[1:] for word in args if word.startswith("-") and not word.startswith("--"))
    if status >= 400 and "f" in flags:
        return Executed(stderr=f"curl: (22) The requested URL returned error: {status}\n", code=22)
    form = next((args[n + 1] for n, word in enumerate(args[:-1]) if word in {"-w", "--write-out"}), "")
    tail = form.replace("%{http_code}", str(status)).replace("\\n", "\n")
    quiet = any(args[n : n + 2] == ["-o", "/dev/null"] for n in range(len(args)))
    head = f"HTTP/1.1 {status} {_phrase(status)}\r\n\r\n" if "I" in flags or "i" in flags else ""
    return Executed(head + ("" if quiet or "I" in flags else body) + tail)


def _phrase(status: int) -> str:
    return {200: "OK", 404: "Not Found", 500: "Internal Server Error", 503: "Service Unavailable"}.get(
        status, ""
    )


def wget(session: Session, args: list[str]) -> Executed:
    """`wget -qO- URL`, in the words of busybox."""
    target = _target(args)
    if target is None:
        return Executed(stderr="wget: not an http or ftp url\n", code=1)
    scheme, host, port, path = target
    found = route_from(session.world, session.pod, host, port)
    if found.result in {"no_dns", "dns_timeout"}:
        return Executed(stderr=f"wget: bad address '{host}:{port}'\n", code=1)
    if found.result not in {"ok", "external"}:
        why = "Connection timed out" if found.result == "dropped" else "Connection refused"
        return Executed(stderr=f"wget: can't connect to remote host ({found.address}): {why}\n", code=1)
    status, body, wrong = _answer(session, found, scheme, path)
    if wrong:
        text = "download timed out" if wrong == "timeout" else "error getting response"
        return Executed(stderr=f"wget: {text}\n", code=1)
    if status >= 400:
        return Executed(stderr=f"wget: server returned error: HTTP/1.1 {status} {_phrase(status)}\n", code=1)
    return Executed(body if any("O-" in word or word == "-" for word in args) else "")
