"""What programs write about many requests that went well: columns of words, not a `Wording` for each request.

The lines are those of `routine`. Values that nobody has a column for are asked of a `Wording` all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firedrill.world.sim.stamps import moments
from firedrill.world.telemetry.logs.levels import level_of
from firedrill.world.telemetry.logs.routine import Part, plan_of, routine
from firedrill.world.telemetry.logs.wording import Wording, known_route
from firedrill.world.telemetry.traces import ids
from firedrill.world.telemetry.traces.describe import VARIANTS, Describer, concrete_path

if TYPE_CHECKING:
    from firedrill.world.telemetry.traces.requests import Ints, Names, Tick

_LOOKED_AT = 400
_LEVELLED = re.compile(r"""(?:level|severity|lvl)(?:_text)?["']?\s*[=:]\s*["']?[a-z\d]*\0""")
_DIGITS = frozenset(("took", "took_s", "bytes", "number", "thread", "ip"))
_HEX = frozenset(("trace", "span", "id"))


class Good(NamedTuple):
    """Requests of some ticks that went well, as those who served them write about them.

    Attributes:
        turn: index of the tick in `ticks`.
        row, place: of the tick; place is the pod's.
        at: in ns.
        high, low, span: halves of the trace's id, and the id of the span.
    """

    ticks: Sequence[Tick]
    turn: NDArray[np.int64]
    row: Ints
    place: Ints
    at: NDArray[np.int64]
    high: ids.Words
    low: ids.Words
    span: ids.Words


class Lines(NamedTuple):
    """Lines: of which request, the how manyth about it, their texts and levels."""

    request: NDArray[np.intp]
    number: NDArray[np.int64]
    text: list[str]
    level: list[str]


def lines_about(names: Names, describer: Describer, good: Good) -> list[Lines]:
    """The lines about all of them, in no order."""
    services, operations = np.zeros(len(good.row), np.int64), np.zeros(len(good.row), np.int64)
    for turn, mine in _by_turn(good.turn):
        tick = good.ticks[turn]
        services[mine] = np.array([pod.service for pod in tick.pods], np.int64)[good.place[mine]]
        operations[mine] = tick.rows.op[good.row[mine]]
    groups, back = np.unique(services * len(names.operations) + operations, return_inverse=True)
    order = np.argsort(back, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(back, minlength=len(groups)))[:-1])
    out = []
    for key, chosen in zip(groups.tolist(), parts, strict=True):
        service, operation = divmod(key, len(names.operations))
        out += _Group(names, describer, good, chosen, operation).lines(service)
    return out


def _by_turn(turns: NDArray[np.int64]) -> Iterator[tuple[int, slice]]:
    """Each turn with its requests; turns rise."""
    found, first = np.unique(turns, return_index=True)
    bounds = [*first.tolist(), len(turns)]
    for turn, low, high in zip(found.tolist(), bounds[:-1], bounds[1:], strict=True):
        yield turn, slice(low, high)


class _Group:
    """Requests for one operation, with the values that lines about them have."""

    def __init__(
        self, names: Names, describer: Describer, good: Good, chosen: NDArray[np.intp], operation: int
    ) -> None:
        self._operation = operation
        self._names, self._describer, self._good = names, describer, good
        self.chosen = chosen
        self.at, self.turn = good.at[chosen], good.turn[chosen]
        self.row, self.place = good.row[chosen].astype(np.int64), good.place[chosen].astype(np.int64)
        self._columns: dict[str, list[Any]] = {}
        self._words: list[Wording] = []

    def lines(self, service: int) -> list[Lines]:
        """What is written about each of them."""
        plan = plan_of(self._names, service, self._operation, self._wording(0))
        shapes = [_shape(parts) for parts in plan]
        out: list[Lines] = []
        number = 0
        for shape in shapes:
            columns = [self._column(name, make) for name, make in shape.values]
            texts = [shape.form % values for values in zip(*columns, strict=True)] if columns else []
            texts = texts or [shape.form % ()] * len(self.chosen)
            heights = shape.form.count("\n") + 1
            if any(text.count("\n") + 1 != heights for text in texts) if shape.open else False:
                return self._plainly(service)
            if heights > 1:
                cut = [text.split("\n") for text in texts]
                for height in range(heights):
                    told = [lines[height] for lines in cut]
                    out.append(self._numbered(number + height, told, [level_of(text) for text in told]))
            else:
                out.append(self._numbered(number, texts, self._levels(shape, texts)))
            number += heights
        return out

    def _numbered(self, number: int, texts: list[str], levels: list[str]) -> Lines:
        return Lines(self.chosen, np.full(len(texts), number, np.int64), texts, levels)

    def _levels(self, shape: _Shape, texts: list[str]) -> list[str]:
        """The level of each line: where only digits differ it is the same for all."""
        if not shape.steady or max(map(len, texts)) > _LOOKED_AT:
            return [level_of(text) for text in texts]
        if not shape.keys:
            return [level_of(texts[0])] * len(texts)
        known: dict[tuple[Any, ...], str] = {}
        out = []
        keys = zip(*(self._columns[name] for name in shape.keys), strict=True)
        for key, text in zip(keys, texts, strict=True):
            level = known.get(key)
            if level is None:
                level = known[key] = level_of(text)
            out.append(level)
        return out

    def _plainly(self, service: int) -> list[Lines]:
        """The same, request by request."""
        out = []
        for place, one in enumerate(self._every()):
            told = routine(self._names, service, self._operation, one)
            here = np.full(len(told), self.chosen[place])
            levels = [level_of(text) for text in told]
            out.append(Lines(here, np.arange(len(told), dtype=np.int64), told, levels))
        return out

    def _wording(self, place: int) -> Wording:
        good, index = self._good, int(self.chosen[place])
        tick = good.ticks[int(good.turn[index])]
        row, pod, at = int(good.row[index]), int(good.place[index]), int(good.at[index])
        words = np.array([good.high[index], good.low[index], good.span[index]], np.uint64)
        high, low, span = ids.hexadecimal(words)
        return Wording(self._names, self._describer, tick, row, pod, at, high + low, span)

    def _every(self) -> list[Wording]:
        if not self._words:
            self._words = [self._wording(place) for place in range(len(self.chosen))]
        return self._words

    def _column(self, name: str, make: Callable[[Wording], object]) -> list[Any]:
        found = self._columns.get(name)
        if found is None:
            if name.startswith("at_"):
                found = moments(name, (self.at + self._skew()).tolist())
            elif name in _COLUMNS:
                found = _COLUMNS[name](self)
            else:
                found = [make(one) for one in self._every()]
            self._columns[name] = found
        return found

    def _skew(self) -> NDArray[np.int64]:
        out = np.zeros(len(self.at), np.int64)
        for turn, mine in _by_turn(self.turn):
            for pod, ms in self._good.ticks[turn].skew.items():
                out[mine][self.place[mine] == pod] = ms * 1_000_000
        return out

    def marks(self) -> list[int]:
        """See `Wording.mark`."""
        if "mark" not in self._columns:
            mixed = self.at.astype(np.uint64) ^ self.row.astype(np.uint64) * np.uint64(2_654_435_761)
            mixed = mixed * np.uint64(0x9E3779B1) >> np.uint64(7) & np.uint64(0xFFFFFFFF)
            self._columns["mark"] = mixed.tolist()
        return self._columns["mark"]

    def of_rows(self, name: str) -> NDArray[Any]:
        """A column of the rows."""
        out = np.zeros(len(self.row), np.int64)
        for turn, mine in _by_turn(self.turn):
            out[mine] = getattr(self._good.ticks[turn].rows, name)[self.row[mine]]
        return out

    def pods(self) -> list[str]:
        """The names of those who write."""
        ticks = self._good.ticks
        pairs = zip(self.turn.tolist(), self.place.tolist(), strict=True)
        return [ticks[turn].pods[place].name for turn, place in pairs]

    def ips(self) -> list[str]:
        """See `Wording.client`."""
        ticks = self._good.ticks
        out = []
        pairs = zip(self.turn.tolist(), self.of_rows("source").tolist(), strict=True)
        for place, (turn, source) in enumerate(pairs):
            known = ticks[turn].pods[source].ip if source >= 0 else ""
            if not known:
                mark = self.marks()[place]
                known = f"10.244.{1 + mark % 3}.{10 + mark // 7 % 40}"
            out.append(known)
        return out

    def routes(self) -> list[tuple[str, str]]:
        """See `Wording.route`."""
        found = self._columns.get("routes")
        if found is None:
            title = self._names.operations[self._operation].title
            known = known_route(title)
            every = [known] * len(self.row) if known is not None else self._passed_on(("POST", "/" + title))
            found = self._columns["routes"] = every
        return found

    def _passed_on(self, usual: tuple[str, str]) -> list[tuple[str, str]]:
        """The routes of the first calls that have one."""
        operations, calls_of = self._names.operations, self._describer.calls_of
        out = []
        for turn, mine in _by_turn(self.turn):
            tick = self._good.ticks[turn]
            asked = tick.rows.op.tolist()
            for row in self.row[mine].tolist():
                below = (known_route(operations[asked[call]].title) for call in calls_of(tick, row))
                out.append(next((route for route in below if route is not None), usual))
        return out

    def paths(self) -> list[str]:
        """Paths as they were asked for."""
        routes, marks = self.routes(), self.marks()
        known: dict[str, list[str]] = {}
        for _, path in dict.fromkeys(routes):
            known[path] = [concrete_path(path, variant) for variant in range(VARIANTS)]
        return [known[path][mark % VARIANTS] for (_, path), mark in zip(routes, marks, strict=True)]

    def peers(self) -> list[str]:
        """See `Wording.peer`."""
        ticks = self._good.ticks
        known: dict[tuple[int, int, int], str] = {}
        out = []
        for turn, row in zip(self.turn.tolist(), self.row.tolist(), strict=True):
            tick = ticks[turn]
            below = self._describer.calls_of(tick, row)
            called = below[0] if below else row
            key = turn, int(tick.rows.source[called]), int(tick.rows.edge[called])
            text = known.get(key)
            if text is None:
                text = known[key] = ":".join(self._describer.address(tick, called))
            out.append(text)
        return out

    def traces(self) -> list[str]:
        """Ids of traces."""
        good, chosen = self._good, self.chosen
        pairs = zip(ids.hexadecimal(good.high[chosen]), ids.hexadecimal(good.low[chosen]), strict=True)
        return [high + low for high, low in pairs]

    def spans(self) -> list[str]:
        """Ids of spans."""
        return ids.hexadecimal(self._good.span[self.chosen])


def _request_id(mark: int) -> str:
    tail = mark * 65_537 % (1 << 48)
    return f"{mark:08x}-{mark % 65_521:04x}-4{mark % 4093:03x}-a{mark % 4091:03x}-{tail:012x}"


_COLUMNS: Mapping[str, Callable[[_Group], list[Any]]] = {
    "trace": _Group.traces,
    "span": _Group.spans,
    "pod": _Group.pods,
    "ip": _Group.ips,
    "path": _Group.paths,
    "method": lambda group: [method for method, _ in group.routes()],
    "route": lambda group: [path for _, path in group.routes()],
    "peer": _Group.peers,
    "took": lambda group: (group.of_rows("server_duration") // 1000).tolist(),
    "took_s": lambda group: [f"{us / 1e6:.4f}" for us in group.of_rows("server_duration").tolist()],
    "bytes": lambda group: [180 + mark % 9000 for mark in group.marks()],
    "number": lambda group: [20 + mark % 180 for mark in group.marks()],
    "thread": lambda group: [1 + mark % 10 for mark in group.marks()],
    "id": lambda group: [_request_id(mark) for mark in group.marks()],
}


class _Shape(NamedTuple):
    """A template.

    Attributes:
        form: for `%`.
        values: names and makers of its values.
        steady: the level of a line depends on no values but those of `keys`.
        keys: values that are words.
        open: values might have more than one line.
    """

    form: str
    values: tuple[tuple[str, Callable[[Wording], object]], ...]
    steady: bool
    keys: tuple[str, ...]
    open: bool


@lru_cache(maxsize=4096)
def _shape(parts: tuple[Part, ...]) -> _Shape:
    form = "".join(text.replace("%", "%%") + ("" if make is None else "%s") for text, _, make in parts)
    values = tuple((name, make) for _, name, make in parts if make is not None)
    words = [
        name for name, _ in values if not name.startswith("at_") and name not in _DIGITS and name not in _HEX
    ]
    return _Shape(form, values, _steady(parts), tuple(dict.fromkeys(words)), bool(words))


def _steady(parts: tuple[Part, ...]) -> bool:
    """Whether no digits of a value can be read as a level, nor as a part of a word that tells of one."""
    whole = "".join(text + ("" if make is None else "\0") for text, _, make in parts).lower()
    if _LEVELLED.search(whole):
        return False
    first, name, make = parts[0]
    if make is not None and len(first) < 6 and name in _HEX:
        return False
    before = ""
    for text, name, make in parts:
        if before in _HEX and text[:1].isalnum():
            return False
        if make is not None and name in _HEX and text[-1:].isalnum():
            return False
        before = name if make is not None else ""
    return True


__all__ = ["Good", "Lines", "lines_about"]
