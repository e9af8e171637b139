"""Binary operators: between numbers, vectors and numbers, and vectors whose elements find each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from firedrill.world.telemetry import labels as label_sets
from firedrill.world.telemetry.labels import NAME, Labels, LabelSets
from firedrill.world.telemetry.promql.errors import PromQLError
from firedrill.world.telemetry.promql.nodes import Matching
from firedrill.world.telemetry.promql.values import Bools, Floats, Ints, Vec, empty, settle

ARITHMETIC: dict[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
COMPARING: dict[str, Callable[[Floats, Floats], Bools]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    ">": np.greater,
    "<=": np.less_equal,
    ">=": np.greater_equal,
}
_MANY = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
_UNCLEAR = "multiple matches for labels: grouping labels must ensure unique matches"


def numbers(op: str, lhs: Floats, rhs: Floats) -> Floats:
    """Two numbers at each step; comparisons give 1 and 0."""
    with np.errstate(all="ignore"):
        if op in ARITHMETIC:
            return ARITHMETIC[op](lhs, rhs)
        return COMPARING[op](lhs, rhs).astype(np.float64)


def with_number(op: str, vector: Vec, number: Floats, *, swapped: bool, return_bool: bool) -> Vec:
    """Each element with the number of its step; `swapped` where the number stands on the left."""
    lhs, rhs = (number, vector.values) if swapped else (vector.values, number)
    with np.errstate(all="ignore"):
        if op in ARITHMETIC:
            values = ARITHMETIC[op](lhs, rhs)
            return Vec(vector.labels, values, vector.present).nameless()
        holds = COMPARING[op](lhs, rhs)
    if return_bool:
        return Vec(vector.labels, holds.astype(np.float64), vector.present).nameless()
    present = holds if vector.present is None else holds & vector.present
    return Vec(vector.labels, vector.values, present)


@dataclass(frozen=True, slots=True)
class _Join:
    """Rows of the two sides that meet (`many`, `one`: of equal length) and what results are called.

    Attributes:
        every_many, every_one: whether these are all rows of their sides, in order.
        labels: of each pair's result.
        doubled: groups of rows of the one side that have the same key, each group a tuple of rows.
        simple: whether no two pairs can stand for the same element.
    """

    many: Ints
    one: Ints
    every_many: bool
    every_one: bool
    labels: LabelSets
    doubled: tuple[tuple[int, ...], ...]
    simple: bool


def vectors(op: str, lhs: Vec, rhs: Vec, matching: Matching, *, return_bool: bool) -> Vec:
    """Elements of two vectors that have the same key.

    Raises:
        PromQLError: an element has more than one partner.
    """
    steps = lhs.values.shape[1]
    if not len(lhs.labels) or not len(rhs.labels):
        return empty(steps)
    swapped = matching.card == "one-to-many"
    many, one = (rhs, lhs) if swapped else (lhs, rhs)
    named = op in COMPARING and not return_bool
    join = _joined(many.labels, one.labels, matching, named=named)
    if join.doubled:
        _refuse_doubled(many, one, join, matching, swapped=swapped)
    many_rows = None if join.every_many else join.many
    one_rows = None if join.every_one else join.one
    present = _both(_rows(many.present, many_rows), _rows(one.present, one_rows))
    many_values, one_values = many.values, one.values
    many_values = many_values if many_rows is None else many_values[many_rows]
    one_values = one_values if one_rows is None else one_values[one_rows]
    left, right = (one_values, many_values) if swapped else (many_values, one_values)
    with np.errstate(all="ignore"):
        if op in ARITHMETIC:
            values = ARITHMETIC[op](left, right)
        else:
            holds = COMPARING[op](left, right)
            if return_bool:
                values = holds.astype(np.float64)
            else:
                values, present = left, _both(present, holds)
    out = Vec(join.labels, values, present)
    if join.simple:
        return out
    return _unique(out, many, join, matching)


def _whole(rows: Ints, count: int) -> bool:
    return len(rows) == count and bool((rows == np.arange(count)).all())


def _rows(present: Bools | None, rows: Ints | None) -> Bools | None:
    return present if present is None or rows is None else present[rows]


def _both(a: Bools | None, b: Bools | None) -> Bools | None:
    if a is None or b is None:
        return b if a is None else a
    return a & b


def _joined(many: LabelSets, one: LabelSets, matching: Matching, *, named: bool) -> _Join:
    key = ("join", one, matching, named)
    found: _Join | None = many.kept(key)
    if found is not None:
        return found
    by_key: dict[Labels, list[int]] = {}
    for row, item in enumerate(one.keys(matching.labels, on=matching.on)):
        by_key.setdefault(item, []).append(row)
    many_rows, one_rows, labels = [], [], []
    met: dict[Labels, int] = {}
    simple = all(len(rows) == 1 for rows in by_key.values())
    for row, item in enumerate(many.keys(matching.labels, on=matching.on)):
        for partner in by_key.get(item, ()):
            many_rows.append(row)
            one_rows.append(partner)
            labels.append(_result(many.items[row], one.items[partner], matching, named=named))
            met[item] = met.get(item, 0) + 1
    made = LabelSets(labels)
    if matching.card == "one-to-one":
        simple = simple and all(count == 1 for count in met.values())
    simple = simple and made.duplicated() is None
    doubled = tuple(tuple(rows) for rows in by_key.values() if len(rows) > 1)
    rows = np.array(many_rows, np.intp), np.array(one_rows, np.intp)
    whole = _whole(rows[0], len(many)), _whole(rows[1], len(one))
    join = _Join(*rows, *whole, made, doubled, simple)
    out: _Join = many.keep(key, join)
    return out


def _result(many: Labels, one: Labels, matching: Matching, *, named: bool) -> Labels:
    if matching.card == "one-to-one":
        wanted = frozenset(matching.labels)
        if matching.on:
            return tuple(pair for pair in many if pair[0] in wanted and (named or pair[0] != NAME))
        return tuple(pair for pair in many if pair[0] not in wanted and (named or pair[0] != NAME))
    pairs = {key: value for key, value in many if named or key != NAME}
    if matching.include:
        theirs = dict(one)
        for name in matching.include:
            pairs[name] = theirs.get(name, "")
    return label_sets.make(pairs)


def _refuse_doubled(many: Vec, one: Vec, join: _Join, matching: Matching, *, swapped: bool) -> None:
    if many.present is not None and not bool(many.present.any()):
        return
    busy = None if many.present is None else many.present.any(axis=0)
    for rows in join.doubled:
        there = one.there()[list(rows)]
        if busy is not None:
            there = there & busy
        clash = np.flatnonzero(there.sum(axis=0) > 1)
        if not len(clash):
            continue
        first, second = (rows[at] for at in np.flatnonzero(there[:, clash[0]])[:2].tolist())
        keys = one.labels.keys(matching.labels, on=matching.on)
        group = label_sets.text_of(keys[first], bare=True)
        side = "left" if swapped else "right"
        shown = ", ".join(label_sets.text_of(one.labels.items[row], bare=True) for row in (second, first))
        raise PromQLError(
            f"found duplicate series for the match group {group} on the {side} hand-side of the "
            f"operation: [{shown}];many-to-many matching not allowed: "
            "matching labels must be unique on one side"
        )


def _unique(out: Vec, many: Vec, join: _Join, matching: Matching) -> Vec:
    there = out.there()
    if matching.card == "one-to-one":
        keys = many.labels.keys(matching.labels, on=matching.on)
        groups: dict[Labels, list[int]] = {}
        for pair, row in enumerate(join.many.tolist()):
            groups.setdefault(keys[row], []).append(pair)
        for pairs in groups.values():
            if len(pairs) > 1 and bool((there[pairs].sum(axis=0) > 1).any()):
                raise PromQLError(_MANY)
        return settle(out)
    codes = out.labels.duplicated()
    if codes is not None:
        count = np.zeros((int(codes.max()) + 1, there.shape[1]), np.int64)
        np.add.at(count, codes, there)
        if bool((count > 1).any()):
            raise PromQLError(_UNCLEAR)
    return settle(out)


def sets(op: str, lhs: Vec, rhs: Vec, matching: Matching) -> Vec:
    """`and`, `or` and `unless`."""
    steps = lhs.values.shape[1]
    if op == "and" and (not len(lhs.labels) or not len(rhs.labels)):
        return empty(steps)
    if not len(rhs.labels):
        return lhs
    if op == "or":
        if not len(lhs.labels):
            return rhs
        free = ~_found(rhs.labels, lhs, matching)
        present = free if rhs.present is None else free & rhs.present
        labels = lhs.labels.kept(("both", rhs.labels))
        if labels is None:
            made = LabelSets((*lhs.labels.items, *rhs.labels.items))
            labels = lhs.labels.keep(("both", rhs.labels), made)
        return settle(
            Vec(labels, np.concatenate([lhs.values, rhs.values]), np.concatenate([lhs.there(), present]))
        )
    if not len(lhs.labels):
        return lhs
    meets = _found(lhs.labels, rhs, matching)
    if op == "unless":
        meets = ~meets
    return Vec(lhs.labels, lhs.values, meets if lhs.present is None else meets & lhs.present)


def _found(labels: LabelSets, other: Vec, matching: Matching) -> Bools:
    """For each of the label sets and each step, whether the other vector has an element of its key."""
    key = ("meets", other.labels, matching.labels, matching.on)
    kept = labels.kept(key)
    if kept is None:
        codes: dict[Labels, int] = {}
        theirs = [codes.setdefault(k, len(codes)) for k in other.labels.keys(matching.labels, on=matching.on)]
        mine = [codes.get(k, -1) for k in labels.keys(matching.labels, on=matching.on)]
        kept = labels.keep(key, (np.array(mine, np.intp), np.array(theirs, np.intp), len(codes)))
    mine_codes, their_codes, count = kept
    any_there = np.zeros((count + 1, other.values.shape[1]), bool)
    if other.present is None:
        any_there[their_codes] = True
    else:
        np.logical_or.at(any_there, their_codes, other.present)
    # a key that the other has not: the last row, which is empty
    out: Bools = any_there[mine_codes]
    return out
