"""Protobuf bodies: read what real programs send, refuse the rest, cost little."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firedrill.gateway.kubernetes.kubectl import KubectlBinary, find_kubectl
from firedrill.gateway.kubernetes.protobuf import MAGIC, Decoder, NoFieldTable, ProtobufError
from firedrill.gateway.kubernetes.protobuf_table import extract, load_table

META = "k8s.io.apimachinery.pkg.apis.meta.v1"
HAND: dict[str, dict[str, list[Any]]] = {
    "k8s.io.api.core.v1.Thing": {
        "1": ["metadata", "message", f"{META}.ObjectMeta", False],
        "2": ["count", "int", "", False],
        "3": ["labels", "map", ["string", "string", ""], False],
        "4": ["data", "map", ["string", "bytes", ""], False],
        "5": ["port", "message", "k8s.io.apimachinery.pkg.util.intstr.IntOrString", False],
        "6": ["size", "message", "k8s.io.apimachinery.pkg.api.resource.Quantity", False],
        "7": ["names", "string", "", True],
        "8": ["replicas", "int", "", False],
        "9": ["self", "message", "k8s.io.api.core.v1.Thing", False],
        "10": ["at", "message", f"{META}.Time", False],
        "11": ["exact", "message", f"{META}.MicroTime", False],
        "12": ["raw", "message", "k8s.io.apimachinery.pkg.runtime.RawExtension", False],
        "13": ["flag", "bool", "", False],
        "14": ["numbers", "int", "", True],
        "16": ["Webhooks", "string", "", True],
        "15": ["for", "message", f"{META}.Duration", False],
    },
    f"{META}.ObjectMeta": {"1": ["name", "string", "", False]},
}


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def text(number: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def whole(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def body(raw: bytes, kind: str = "Thing", version: str = "v1") -> bytes:
    return MAGIC + text(1, text(1, version) + text(2, kind)) + text(2, raw)


def test_each_shape_of_field() -> None:
    raw = b"".join(
        [
            text(1, text(1, "x")),
            whole(2, -5),
            text(3, text(1, "a") + text(2, "b")),
            text(4, text(1, "k") + text(2, b"\x00\xff")),
            text(5, whole(1, 1) + text(3, "http")),
            text(6, text(1, "100m")),
            text(7, ""),
            text(7, "y"),
            whole(8, 0),
            text(9, whole(2, 0)),
            text(10, whole(1, 1_767_603_600)),
            text(11, whole(1, 1_767_603_600) + whole(2, 250_000_000)),
            text(12, text(1, '{"a": [1]}')),
            whole(13, 1),
            text(14, varint(1) + varint(2)),
            text(15, whole(1, 90_500_000_000)),
            text(16, "w"),
            whole(99, 1),
        ]
    )
    assert Decoder(HAND).decode(body(raw)) == {
        "apiVersion": "v1",
        "kind": "Thing",
        "metadata": {"name": "x"},
        "count": -5,
        "labels": {"a": "b"},
        "data": {"k": "AP8="},
        "port": "http",
        "size": "100m",
        "names": ["", "y"],
        "replicas": 0,
        "self": {},
        "at": "2026-01-05T09:00:00Z",
        "exact": "2026-01-05T09:00:00.250000Z",
        "raw": {"a": [1]},
        "flag": True,
        "numbers": [1, 2],
        "for": "1m30.5s",
        "webhooks": ["w"],
    }


def test_a_number_may_stand_for_a_port_and_no_time_is_none() -> None:
    found = Decoder(HAND).decode(
        body(text(5, whole(1, 0) + whole(2, 80)) + text(10, b"") + text(5, whole(2, 0)))
    )
    assert found["port"] == 0
    assert "at" not in found


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"{}",
        MAGIC[:3],
        MAGIC + b"\xff",
        MAGIC + b"\xff" * 12,
        MAGIC + b"\x0a\xff\xff\xff\x7f",
        body(b"", kind="Nosuch"),
        body(b"", version="nosuch/v1"),
        body(text(1, b"\xff\xfe") + whole(1, 1)),
        body(text(1, text(1, b"\xff\xfe"))),
        body(text(2, "x")),
        body(whole(7, 1)),
        body(b"\x0b"),
        body(b"\x00\x00"),
        body(text(12, text(1, "{"))),
        body(text(10, whole(1, 1 << 62))),
        body(whole(2, 1) * 500_001),
        MAGIC + text(1, whole(1, 1)) + text(2, b"") + text(3, "gzip"),
    ],
)
def test_a_hostile_body_is_refused(hostile: bytes) -> None:
    with pytest.raises(ProtobufError):
        Decoder(HAND).decode(hostile)


def test_a_bottomless_body_is_refused() -> None:
    raw = b""
    for _ in range(2000):
        raw = text(9, raw)
    with pytest.raises(ProtobufError, match="max depth"):
        Decoder(HAND).decode(body(raw))


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(junk: bytes) -> None:
    for data in (junk, MAGIC + junk, body(junk)):
        try:
            assert Decoder(HAND).decode(data)["kind"] == "Thing"
        except ProtobufError:
            continue


@given(st.binary(max_size=200))
def test_any_program_gives_a_table_or_none(junk: bytes) -> None:
    assert extract(junk + b"\x1f\x8b\x08\x00\x00\x00\x00\x00" + junk) == {}


def test_a_program_without_descriptors_gives_no_table(tmp_path: Path) -> None:
    program = tmp_path / "kubectl"
    program.write_bytes(b"nothing")
    with pytest.raises(NoFieldTable, match="no descriptors"):
        load_table(KubectlBinary((1, 33, 0), program), tmp_path / "cache")


def test_without_kubectl_there_is_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firedrill.gateway.kubernetes.protobuf_table.find_kubectl", list)
    with pytest.raises(NoFieldTable, match="make tools"):
        load_table()


def test_a_dispatcher_gives_way_to_the_versions_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, linked = tmp_path / "real", tmp_path / "bin"
    real.mkdir()
    linked.mkdir()
    for name, version in (("kubectl", "v1.40.0"), ("kubectl.1.31", "v1.31.5"), ("kubectl.1.28", "v1.28.1")):
        program = real / name
        program.write_text(f'#!/bin/sh\necho \'{{"clientVersion": {{"gitVersion": "{version}"}}}}\'\n')
        program.chmod(0o755)
    (linked / "kubectl").symlink_to(real / "kubectl")
    monkeypatch.setenv("PATH", f"{linked}:/usr/bin:/bin")
    monkeypatch.setattr("firedrill.gateway.kubernetes.kubectl._USUAL", ())
    found = [one for one in find_kubectl() if tmp_path in one.path.parents]
    assert found == [KubectlBinary((1, 31, 5), real / "kubectl.1.31")]


# --- what real programs send


class _Capture(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append((self.headers["Content-Type"], data))  # type: ignore[attr-defined]
        answer = b'{"kind":"Status","apiVersion":"v1","status":"Failure","code":403,"reason":"Forbidden"}'
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture(scope="module")
def capture() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Capture)
    server.bodies = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


COMMANDS = [
    "create deployment web --image=nginx:1 --replicas=2 --port=80",
    "create deployment none --image=a --replicas=0",
    "create job once --image=busybox -- sh -c true",
    "create cronjob often --image=busybox --schedule=*/5*** -- date",
    "create configmap c --from-literal=a=1 --from-literal=b=",
    "create secret generic s --from-literal=a=secret",
    "create secret docker-registry r --docker-username=u --docker-password=p",
    "create clusterrole cr --verb=get --non-resource-url=/healthz",
    "create rolebinding rb --role=r --user=u --serviceaccount=n:s --group=g",
    "create clusterrolebinding crb --clusterrole=r --user=u",
    "create ingress i --rule=a.example/x*=svc:80,tls=t --class=nginx",
    "create quota q --hard=cpu=1,pods=10 --scopes=BestEffort",
    "create poddisruptionbudget p --selector=a=b --min-available=50%",
    "create priorityclass pc --value=1000 --global-default=true --description=d",
    "create priorityclass zero --value=0",
    "create serviceaccount sa",
    "create namespace ns",
    "create service clusterip cs --tcp=80:8080",
    "create service nodeport np --tcp=80:http --node-port=30080",
    "create service externalname en --external-name=db.example",
    "create service loadbalancer lb --tcp=5678:8080",
]


def trimmed(value: Any) -> Any:
    """Without null, which means not set."""
    if isinstance(value, dict):
        return {key: trimmed(item) for key, item in value.items() if item is not None}
    return [trimmed(item) for item in value] if isinstance(value, list) else value


def run(program: Path, server: ThreadingHTTPServer, home: Path, arguments: list[str]) -> str:
    address = f"http://127.0.0.1:{server.server_address[1]}"
    done = subprocess.run(
        [program, "--server", address, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        check=False,
    )
    return done.stdout


@pytest.fixture(scope="module")
def newest() -> KubectlBinary:
    found = find_kubectl((1, 32))
    if not found:
        pytest.skip("no kubectl 1.32 or newer: `make tools` unpacks one")
    return found[0]


@pytest.mark.service
@pytest.mark.parametrize("command", COMMANDS)
def test_what_kubectl_sends_is_what_it_says_it_would(
    command: str, capture: ThreadingHTTPServer, newest: KubectlBinary, tmp_path: Path
) -> None:
    arguments = [part.replace("*/5***", "*/5 * * * *") for part in command.split(" ")]
    at = next((place for place, part in enumerate(arguments) if part == "--"), len(arguments))
    dry = [*arguments[:at], "--dry-run=client", "-o", "json", *arguments[at:]]
    expected = json.loads(run(newest.path, capture, tmp_path, dry))
    capture.bodies.clear()  # type: ignore[attr-defined]
    run(newest.path, capture, tmp_path, arguments)
    media, data = capture.bodies[0]  # type: ignore[attr-defined]
    assert media == "application/vnd.kubernetes.protobuf"
    found = Decoder(load_table(newest)).decode(data)
    found.pop("status", None)  # its zeros mean nothing in a request
    expected.pop("status", None)
    assert found == trimmed(expected)


@pytest.mark.service
def test_the_review_behind_can_i(capture: ThreadingHTTPServer, newest: KubectlBinary, tmp_path: Path) -> None:
    capture.bodies.clear()  # type: ignore[attr-defined]
    run(newest.path, capture, tmp_path, ["auth", "can-i", "get", "/logs"])
    found = Decoder(load_table(newest)).decode(capture.bodies[0][1])  # type: ignore[attr-defined]
    assert found["kind"] == "SelfSubjectAccessReview"
    assert found["spec"] == {"nonResourceAttributes": {"path": "/logs", "verb": "get"}}


@pytest.mark.service
def test_the_table_is_cached_and_the_same(newest: KubectlBinary, tmp_path: Path) -> None:
    first = load_table(newest, tmp_path)
    assert len(first) > 1000
    (kept,) = tmp_path.iterdir()
    assert load_table(newest, tmp_path) == first
    kept.write_bytes(b"cut off")
    assert load_table(newest, tmp_path) == first


@pytest.mark.service
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=120))
def test_junk_for_a_real_kind_is_read_or_refused(junk: bytes, newest: KubectlBinary) -> None:
    try:
        Decoder(load_table(newest)).decode(body(junk, "Pod"))
    except ProtobufError:
        return
