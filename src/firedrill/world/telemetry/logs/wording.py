"""The words of a program about one request. Moments in ns since the Unix epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from zlib import crc32

from firedrill.world.telemetry.logs import styles
from firedrill.world.telemetry.logs.styles import Style, escaped, style_of
from firedrill.world.telemetry.traces import failures
from firedrill.world.telemetry.traces.describe import Describer, concrete_path
from firedrill.world.telemetry.traces.failures import Failure
from firedrill.world.telemetry.traces.requests import Names, Tick


class Wording:
    """One row as one side of it writes about it; values for templates are made when they are asked for.

    Args:
        names, describer: of the application.
        tick, row: the request.
        place: index of the pod that writes.
        at: when.
        trace, span: ids, as hex; the span is the callee's.
    """

    __slots__ = (
        "_describer",
        "_failure",
        "_message",
        "_names",
        "_op",
        "_place",
        "_row",
        "_style",
        "_tick",
        "at",
        "level",
        "span",
        "trace",
    )

    def __init__(
        self,
        names: Names,
        describer: Describer,
        tick: Tick,
        row: int,
        place: int,
        at: int,
        trace: str,
        span: str,
    ) -> None:
        self._names, self._describer = names, describer
        self._tick, self._row, self._place = tick, row, place
        self.at, self.trace, self.span = at, trace, span
        service = self._names.services[tick.pods[place].service]
        self._style: Style = style_of(service.framework, service.language)
        self._failure: Failure | None = None
        self._message = self.level = ""
        self._op = int(tick.rows.op[row])

    def told(self, *, server: bool) -> list[str]:
        """The lines of the callee (or of the caller, about a call that failed)."""
        style, rows = self._style, self._tick.rows
        if not server:
            self._failure = self._describer.failure(self._tick, self._row, server=False)
            above = int(rows.parent[self._row])
            self._op = int(rows.op[above]) if above >= 0 else self._op
            return self._line(style.call, style.line, "warn")
        extra = [self._extra(name) for name in self._names.operations[self._op].logs]
        if int(rows.server_kind[self._row]) == 0:
            return [*extra, *self._line(style.access, style.access_line, "info")]
        self._failure = self._describer.failure(self._tick, self._row, server=True)
        out = self._line(style.failed, style.error, "error")
        if style.failed is not None and style.stack == "lines":
            # the line itself has said what the first line of some traces says again
            out += [style.indent + text for text in self._failure.stack]
        if style.always_access and style.access is not None:
            self._message = ""
            out.append(self._fill(style.access_line))
        return out

    def refusal(self) -> list[str]:
        """What a data store or a proxy writes about a request that it turned away."""
        service = self._names.services[self._tick.pods[self._place].service]
        known = styles.tables()["refusals"].get(service.database or service.framework, {})
        level, text = known.get(self.turned_away, ("", ""))
        if not text:
            return []
        self._message = text
        return self._filled(self._style.refused, level)

    @property
    def turned_away(self) -> str:
        """How the request ended for the caller."""
        return self._names.outcomes[int(self._tick.rows.kind[self._row])]

    def why(self) -> str:
        """Why a proxy turned the request away."""
        rows, row = self._tick.rows, self._row
        key = int(rows.source[row]), int(rows.edge[row]), int(rows.pod[row])
        return self._tick.notes.get(key, "-")

    def _extra(self, text: str) -> str:
        self._message = text
        return self._filled(self._style.line, "info")[0]

    def _line(self, message: styles.Shape | None, line: styles.Shape, level: str) -> list[str]:
        if message is None:
            return []
        self._message = self._fill(message)
        return self._filled(line, level)

    def _filled(self, line: styles.Shape, level: str) -> list[str]:
        self.level = self._style.levels[level]
        text = self._fill(line)
        return text.split("\n") if "\n" in text else [text]

    def _fill(self, shape: styles.Shape) -> str:
        return "".join([text if make is None else f"{text}{make(self)}" for text, make in _makers(shape)])

    @property
    def mark(self) -> int:
        """A number that belongs to this row."""
        return (self.at ^ self._row * 2_654_435_761) * 0x9E3779B1 >> 7 & 0xFFFFFFFF

    @property
    def skew(self) -> int:
        """ns by which the clock of whoever writes is ahead."""
        return self._tick.skew.get(self._place, 0) * 1_000_000

    @property
    def outcome(self) -> str:
        """How the request ended for the callee."""
        return self._names.outcomes[int(self._tick.rows.server_kind[self._row])]

    @property
    def title(self) -> str:
        """The operation's."""
        return self._names.operations[self._op].title

    @property
    def route(self) -> tuple[str, str]:
        """Method and path of an HTTP operation; of a proxy those it passes on; else what is on the wire."""
        found = known_route(self.title)
        if found is not None:
            return found
        for row in self._below():
            found = known_route(self._names.operations[int(self._tick.rows.op[row])].title)
            if found is not None:
                return found
        return "POST", "/" + self.title

    def _below(self) -> list[int]:
        """The rows of the calls that this one made."""
        return self._describer.calls_of(self._tick, self._row)

    def status(self) -> int:
        """HTTP status of the answer."""
        if self._style.proxy and self.outcome == "upstream":
            below = [self._names.outcomes[int(self._tick.rows.kind[row])] for row in self._below()]
            found = failures.passed_on(below[-1]) if below else 0
            return found or (failures.http_status(below[-1]) if below else 0) or 503
        return 200 if self.outcome == self._names.outcomes[0] else failures.http_status(self.outcome) or 503

    def peer(self) -> str:
        """Whom a call went to, as `host:port`; for what was served, whom it called first."""
        row = self._row
        if self._failure is None or int(self._tick.rows.pod[row]) == self._place:
            row = next(iter(self._below()), row)
        return ":".join(self._describer.address(self._tick, row))

    def took(self) -> int:
        """µs that the callee worked on it."""
        return int(self._tick.rows.server_duration[self._row])

    def error(self) -> str:
        """What went wrong."""
        return self._failure.message if self._failure is not None else ""

    def stack(self) -> str:
        """The stack trace as one text."""
        return "\n".join(self._failure.stack) if self._failure is not None else ""

    def words(self) -> list[str]:
        """The service's name in parts."""
        return self._names.services[self._tick.pods[self._place].service].name.replace("-", "_").split("_")

    def request_id(self) -> str:
        """An id such as proxies give to requests."""
        mark = self.mark
        tail = mark * 65_537 % (1 << 48)
        return f"{mark:08x}-{mark % 65_521:04x}-4{mark % 4093:03x}-a{mark % 4091:03x}-{tail:012x}"

    def client(self) -> str:
        """The address of the pod that asked."""
        source = int(self._tick.rows.source[self._row])
        known = self._tick.pods[source].ip if source >= 0 else ""
        return known or f"10.244.{1 + self.mark % 3}.{10 + self.mark // 7 % 40}"

    def source(self) -> int:
        """The line of the program's text that writes: the same for all that is said of an operation."""
        return 24 + crc32(f"{self._op}/{self._failure is not None}".encode()) % 240

    def flag(self) -> str:
        """What a proxy notes about its upstream."""
        return str(styles.tables()["flags"].get(self._below_outcome(), "-"))

    def details(self) -> str:
        """Why a proxy answers as it does, in a word."""
        return str(styles.tables()["details"].get(self._below_outcome(), "via_upstream"))

    def _below_outcome(self) -> str:
        kinds = [int(self._tick.rows.kind[row]) for row in self._below()]
        return self._names.outcomes[next((kind for kind in reversed(kinds) if kind), 0)]


@lru_cache(maxsize=1024)
def known_route(title: str) -> tuple[str, str] | None:
    """(method, path) of a title such as `GET /cart`, or of a proxy's, such as `shop.svc:80/cart`."""
    method, _, path = title.partition(" ")
    if not path and ":" in method and "/" in method:
        return "GET", f"/{method.partition('/')[2]}"
    return (method, path) if path.startswith("/") else None


@lru_cache(maxsize=1024)
def _operation(title: str) -> str:
    """An operation in a word, or as the title has it where that is an HTTP path."""
    last = title.rpartition("/")[2]
    return title if known_route(title) is not None and "." not in title else last


@lru_cache(maxsize=512)
def _makers(shape: styles.Shape) -> tuple[tuple[str, Callable[[Wording], object] | None], ...]:
    """The parts of a template with what makes their values."""
    return tuple((text, maker(name) if name else None) for text, name in shape.parts)


def maker(name: str) -> Callable[[Wording], object]:
    """What makes the value of a name in templates."""
    if name.startswith("at_"):
        return lambda one: styles.moment(name, one.at + one.skew)
    found: Callable[[Wording], object] = _VALUES[name]
    return found


_VALUES: Mapping[str, Any] = {
    "level": lambda one: one.level,
    "message": lambda one: one._message,
    "jmessage": lambda one: escaped(one._message),
    "type": lambda one: one._failure.type if one._failure is not None else "",
    "stack": Wording.stack,
    "jstack": lambda one: escaped(one.stack()),
    "trace": lambda one: one.trace,
    "span": lambda one: one.span,
    "pod": lambda one: one._tick.pods[one._place].name,
    "service": lambda one: one._names.services[one._tick.pods[one._place].service].name,
    "class": lambda one: "".join(word[:1].upper() + word[1:] for word in one.words()),
    "file": lambda one: "_".join(one.words()),
    "number": lambda one: 20 + one.mark % 180,
    "thread": lambda one: 1 + one.mark % 10,
    "method": lambda one: one.route[0],
    "path": lambda one: concrete_path(one.route[1], one.mark % 64),
    "route": lambda one: one.route[1],
    "status": Wording.status,
    "refused": lambda one: failures.http_status(one.turned_away) or 503,
    "refused_flag": lambda one: styles.tables()["flags"].get(one.turned_away, "-"),
    "why": Wording.why,
    "code": lambda one: (
        failures.grpc_status(one.outcome)[0] if one.outcome != one._names.outcomes[0] else "OK"
    ),
    "took": lambda one: one.took() // 1000,
    "took_s": lambda one: f"{one.took() / 1e6:.4f}",
    "bytes": lambda one: 180 + one.mark % 9000,
    "title": lambda one: one.title,
    "rpc": lambda one: one.title.rpartition("/")[2],
    "operation": lambda one: _operation(one.title),
    "peer": Wording.peer,
    "ip": Wording.client,
    "source": Wording.source,
    "id": Wording.request_id,
    "flags": Wording.flag,
    "details": Wording.details,
    "error": Wording.error,
}
