"""Results as Loki's JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from firedrill.world.telemetry.logs.logql import Found, Matrix, Scalar, Stats
from firedrill.world.telemetry.logs.logql.units import sample_text

CATEGORIZE = "categorize-labels"
_BYTES_PER_SECOND = 500_000_000


def streams(found: Sequence[Found], stats: Stats, *, categorize: bool) -> dict[str, Any]:
    """Lines by their labels, each with its time in ns as text."""
    groups: dict[tuple[tuple[str, str], ...], list[list[Any]]] = {}
    for one in found:
        if categorize:
            key = tuple(
                pair for pair in one.labels if pair[0] in one.known.stream and pair[0] not in one.known.parsed
            )
            groups.setdefault(key, []).append([str(one.at), one.text, _extra(one)])
        else:
            groups.setdefault(one.labels, []).append([str(one.at), one.text])
    result = [{"stream": dict(labels), "values": values} for labels, values in sorted(groups.items())]
    data: dict[str, Any] = {"resultType": "streams", "result": result}
    if categorize:
        data["encodingFlags"] = [CATEGORIZE]
    return _success({**data, "stats": _stats(stats, len(found))})


def _extra(one: Found) -> dict[str, dict[str, str]]:
    out: dict[str, dict[str, str]] = {}
    for name, value in one.labels:
        if name in one.known.parsed:
            out.setdefault("parsed", {})[name] = value
        elif name in one.known.metadata:
            out.setdefault("structuredMetadata", {})[name] = value
    return out


def instant(found: Matrix | Scalar, at: int, stats: Stats) -> dict[str, Any]:
    """The value of a metric query at one moment."""
    if isinstance(found, Scalar):
        result: Any = [_seconds(at), sample_text(found.value)]
        return _success({"resultType": "scalar", "result": result, "stats": _stats(stats, 0)})
    result = [
        {"metric": dict(labels), "value": [_seconds(at), sample_text(value)]}
        for labels, value in zip(found.labels, found.values[:, 0].tolist(), strict=True)
    ]
    return _success({"resultType": "vector", "result": result, "stats": _stats(stats, 0)})


def ranged(found: Matrix | Scalar, start: int, end: int, step: int, stats: Stats) -> dict[str, Any]:
    """The values of a metric query at the steps of a range."""
    moments = [_seconds(at) for at in range(start, end + 1, step)]
    if isinstance(found, Scalar):
        text = sample_text(found.value)
        result: list[dict[str, Any]] = [{"metric": {}, "values": [[at, text] for at in moments]}]
    else:
        result = [
            {
                "metric": dict(labels),
                "values": [
                    [at, sample_text(value)]
                    for at, value, is_there in zip(moments, row, there, strict=True)
                    if is_there
                ],
            }
            for labels, row, there in zip(
                found.labels, found.values.tolist(), found.present.tolist(), strict=True
            )
        ]
    return _success({"resultType": "matrix", "result": result, "stats": _stats(stats, 0)})


def volume(
    found: Sequence[tuple[tuple[tuple[str, str], ...], Mapping[int, int]]], *, ranged: bool, end: int
) -> dict[str, Any]:
    """Bytes by labels, at one moment or at the end of each step."""
    result: list[dict[str, Any]]
    if ranged:
        result = [
            {
                "metric": dict(key),
                "values": [[_seconds(at), str(size)] for at, size in sorted(sizes.items())],
            }
            for key, sizes in found
        ]
        return _success({"resultType": "matrix", "result": result})
    result = [
        {"metric": dict(key), "value": [_seconds(end), str(sum(sizes.values()))]} for key, sizes in found
    ]
    return _success({"resultType": "vector", "result": result})


def _seconds(ns: int) -> int | float:
    """A time as Prometheus writes it: seconds, to the millisecond."""
    ms = ns // 1_000_000
    return ms // 1000 if ms % 1000 == 0 else ms / 1000


def _success(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": "success", "data": dict(data)}


def _stats(stats: Stats, returned: int) -> dict[str, Any]:
    """What the query has read. Its time follows from that, so that equal worlds answer alike."""
    seconds = max(stats.bytes / _BYTES_PER_SECOND, 0.001)
    summary = {
        "bytesProcessedPerSecond": int(stats.bytes / seconds),
        "linesProcessedPerSecond": int(stats.lines / seconds),
        "totalBytesProcessed": stats.bytes,
        "totalLinesProcessed": stats.lines,
        "execTime": seconds,
        "queueTime": 0,
        "subqueries": 0,
        "totalEntriesReturned": returned,
        "splits": 1,
        "shards": 0,
        "totalPostFilterLines": stats.kept,
        "totalStructuredMetadataBytesProcessed": 0,
    }
    store = {
        "totalChunksRef": stats.streams,
        "totalChunksDownloaded": stats.streams,
        "chunksDownloadTime": 0,
        "chunk": {
            "headChunkBytes": 0,
            "headChunkLines": 0,
            "decompressedBytes": stats.bytes,
            "decompressedLines": stats.lines,
            "compressedBytes": stats.bytes // 8,
            "totalDuplicates": 0,
            "postFilterLines": stats.kept,
        },
    }
    return {"summary": summary, "querier": {"store": store}}
