"""Reading the graph of an application from YAML."""

from __future__ import annotations

from firedrill.core.documents import read_documents
from firedrill.core.errors import InputError
from firedrill.world.app.fields import Fields
from firedrill.world.app.model import (
    Application,
    Burst,
    Call,
    Credential,
    Entry,
    Flag,
    FlagParameter,
    Load,
    Loop,
    Needs,
    Operation,
    Protocol,
    Queue,
    Service,
    Without,
)

_RESOURCES = {
    "deployment": "deployments.apps",
    "statefulset": "statefulsets.apps",
    "daemonset": "daemonsets.apps",
}
_MIB = 1024 * 1024
_HOUR = 3_600_000
_MOST_BYTES = 2 * _MIB


def read_yaml(text: str, source: str) -> object:
    """The one document of a YAML text.

    Raises:
        InputError: it is no YAML, or more than one document, or larger than 2 MiB.
    """
    if len(text) > _MOST_BYTES:
        raise InputError("the file is larger than 2 MiB", source=source, mend="describe less in one file")
    found = read_documents(text, source)
    if len(found) > 1:
        raise InputError("holds several documents", source=source, mend="leave one")
    return found[0] if found else None


def read_application(graph: str, load: str, source: str = "") -> Application:
    """The application that two texts describe.

    Args:
        graph: YAML: what its services do (`graph.yaml`).
        load: YAML: who uses it (`load.yaml`).
        source: folder of the two, for errors.

    Raises:
        InputError: a text is no YAML, or something in it is missing, unknown or out of range.
    """
    where = f"{source}/" if source else ""
    top = Fields(read_yaml(graph, f"{where}graph.yaml"), f"{where}graph.yaml", "")
    users = Fields(read_yaml(load, f"{where}load.yaml"), f"{where}load.yaml", "")
    return top.done(
        Application(
            name=top.text("application"),
            namespace=top.text("namespace", "default"),
            services=top.mapping_of("services", _service),
            load=_load(users),
            flags=top.list_of("flags", _flag),
            queues=top.mapping_of("queues", _queue) if "queues" in top.value else (),
            depth=top.whole("depth", 12, low=1, high=24),
        )
    )


def _workload(fields: Fields, default: str) -> tuple[str, str]:
    return _named_workload(fields, "workload", fields.text("workload", f"deployment/{default}"))


def _named_workload(fields: Fields, member: str, text: str) -> tuple[str, str]:
    kind, _, name = text.partition("/")
    if kind not in _RESOURCES or not name:
        raise fields.wrong(
            member, "names no workload", f"write one of {'/, '.join(_RESOURCES)}/ and its name"
        )
    return _RESOURCES[kind], name


def _service(fields: Fields, name: str) -> Service:
    memory = fields.below("memory")
    needs = fields.below("needs")
    start = fields.numbers("start_ms")
    if start and (len(start) != 2 or start[0] > start[1] or start[1] > _HOUR):
        raise fields.wrong("start_ms", "is no range", "write the shortest and the longest time")
    made = Service(
        name=name,
        workload=_workload(fields, name),
        container=fields.text("container", "server"),
        language=fields.text("language"),
        framework=fields.text("framework", ""),
        port=fields.whole("port", low=1, high=65_535),
        protocol=fields.one_of("protocol", Protocol),
        workers=fields.whole("workers", 0, high=4096),
        queue=fields.whole("queue", 512, low=1, high=100_000),
        threads=fields.whole("threads", 0, high=256),
        start_ms=(int(start[0]), int(start[1])) if start else None,
        memory_base=int(memory.number("base_mb", 40, low=1, high=1_000_000) * _MIB),
        memory_request=int(memory.number("request_kb", 64, high=1_000_000) * 1024),
        warm_ms=fields.whole("warm_ms", 60_000, low=1),
        needs=needs.done(
            Needs(
                env=needs.texts("env"),
                hosts=needs.texts("hosts"),
                secrets=needs.texts("secrets"),
                without=needs.one_of("without", Without, "crash"),
            )
        ),
        health=fields.text("health", ""),
        database=fields.text("database", ""),
        also=tuple(_named_workload(fields, "also", text) for text in fields.texts("also")),
        operations=fields.mapping_of("operations", _operation),
    )
    memory.done(None)
    return fields.done(made)


def _operation(fields: Fields, name: str) -> Operation:
    return fields.done(
        Operation(
            name=name,
            title=fields.text("title", name),
            cpu_ms=fields.number("cpu_ms", high=60_000),
            cv=fields.number("cv", 0.5, high=3),
            io_ms=fields.number("io_ms", 0.0, high=600_000),
            error_rate=fields.number("error_rate", 0.0, high=1),
            calls=fields.list_of("calls", _call),
            error=fields.text("error", ""),
            logs=fields.texts("logs"),
            clock_ms=int(fields.number("clock_ms", 0, high=10**12)),
        )
    )


def _call(fields: Fields) -> Call:
    service, dot, operation = fields.text("to").partition(".")
    if not dot:
        raise fields.wrong("to", f"is {service!r}", "write SERVICE.OPERATION")
    inner = fields.below("credential")
    credential = Credential(inner.text("client"), inner.text("server")) if inner.value else None
    made = Call(
        service=service,
        operation=operation,
        address=fields.text("address", ""),
        host=fields.text("host", ""),
        protocol=fields.one_of("protocol", Protocol, "grpc"),
        probability=fields.number("probability", 1.0, high=1),
        times=fields.whole("times", 1, low=1, high=64),
        parallel=fields.truth("parallel", False),
        group=fields.text("group", ""),
        critical=fields.truth("critical", True),
        timeout_ms=fields.whole("timeout_ms", 0, high=3_600_000),
        retries=fields.whole("retries", 0, high=8),
        backoff_ms=fields.whole("backoff_ms", 100, high=600_000),
        pool=fields.whole("pool", 0, high=4096),
        pool_timeout_ms=fields.whole("pool_timeout_ms", 2000, low=1, high=600_000),
        cache_hit=fields.number("cache_hit", 0.0, high=1),
        cache=fields.text("cache", ""),
        publishes=fields.text("publishes", ""),
        credential=inner.done(credential),
    )
    if bool(made.address) == bool(made.host):
        raise fields.wrong("address", "has to be told once", "write either `address` (a variable) or `host`")
    return fields.done(made)


def _flag(fields: Fields) -> Flag:
    service, _, operation = fields.text("service").partition(".")
    made = Flag(
        name=fields.text("name"),
        service=service,
        operation=operation,
        variable=fields.text("variable", ""),
        provider=fields.text("provider", ""),
        file=fields.text("file", ""),
        parameter=fields.one_of("parameter", FlagParameter),
        value=fields.number("value", 1.0, high=1e6),
        target=fields.text("target", ""),
    )
    if bool(made.variable) == bool(made.provider and made.file):
        raise fields.wrong(
            "variable", "the flag needs one source", "write either `variable`, or `provider` and `file`"
        )
    return fields.done(made)


def _queue(fields: Fields, name: str) -> Queue:
    made = Queue(name, fields.list_of("consumers", _call))
    if not made.consumers:
        raise fields.wrong("consumers", "nobody takes messages out of the queue", "name a consumer")
    return fields.done(made)


def _load(fields: Fields) -> Load:
    users = fields.below("users")
    made = Load(
        workload=_workload(fields, "loadgenerator"),
        container=fields.text("container", "main"),
        loop=fields.one_of("loop", Loop, "closed"),
        users=users.whole("count", 10, high=1_000_000),
        users_variable=users.text("variable", ""),
        think_ms=fields.whole("think_ms", 1000, low=1),
        rate=fields.number("rate", 1.0, high=100_000),
        entries=fields.list_of("entries", _entry),
        language=fields.text("language", "python"),
        framework=fields.text("framework", ""),
        daily=fields.numbers("daily"),
        bursts=fields.list_of("bursts", _burst),
    )
    users.done(None)
    if len(made.daily) not in (0, 24):
        raise fields.wrong("daily", f"has {len(made.daily)} values", "write 24, one for each hour, or none")
    if not made.entries or sum(item.share for item in made.entries) <= 0:
        raise fields.wrong("entries", "no request is ever made", "give at least one entry a share")
    return fields.done(made)


def _entry(fields: Fields) -> Entry:
    share = fields.number("share", 1.0, high=1e6)
    inner = {key: value for key, value in fields.value.items() if key != "share"}
    return Entry(share, _call(Fields(inner, fields.source, fields.where)))


def _burst(fields: Fields) -> Burst:
    made = Burst(
        fields.whole("every_ms", low=1), fields.whole("length_ms", low=1), fields.number("factor", high=1000)
    )
    return fields.done(made)
