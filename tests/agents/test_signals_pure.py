"""The parts of the signals that need no evidence: statistics, metric names, complaints, onset splits."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedrill.agents.sleuth import signals
from firedrill.agents.sleuth.signals.complaints import read_complaint
from firedrill.agents.sleuth.signals.measure import (
    confidence,
    count_surge,
    effect,
    mean_shift,
    rate_shift,
    strength,
)
from firedrill.agents.sleuth.signals.metric_kinds import metric_kind
from firedrill.agents.sleuth.signals.naming import first_host, stem
from firedrill.agents.sleuth.signals.onset import _scaled, _split


def test_confidence_is_half_at_three_errors_and_nothing_at_one() -> None:
    assert confidence(3.0) == pytest.approx(0.5, abs=0.01)
    assert confidence(7.4) == pytest.approx(0.9, abs=0.03)
    assert confidence(1.0) == confidence(-5) == confidence(math.nan) == 0.0


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_strength_stays_in_bounds(z: Any, ratio: Any) -> None:
    assert 0.0 <= strength(z, ratio) <= 1.0


def test_strength_wants_certainty_and_size() -> None:
    assert strength(50, 1.0) == 0.0
    assert strength(0.5, 100) == 0.0
    assert strength(10, 5) > 0.8
    assert effect(2.0, 2.0) == pytest.approx(0.5)


def test_rate_shift_of_nothing_is_nothing() -> None:
    assert rate_shift(0, 0, 5, 5) == 0.0
    assert rate_shift(3, 10, 0, 0) == 0.0
    assert abs(rate_shift(0, 100, 0, 1)) < 1.0  # little seen, little said
    assert rate_shift(0, 100, 60, 100) > 8
    assert rate_shift(60, 100, 0, 100) < -8


@given(*[st.integers(-5, 10**6)] * 4)
def test_rate_shift_takes_counts_that_disagree(k0: Any, n0: Any, k1: Any, n1: Any) -> None:
    assert math.isfinite(rate_shift(k0, n0, k1, n1))


def test_mean_shift_needs_both_sides_and_some_spread() -> None:
    assert mean_shift(0, 0, 0, 5, 3, 0) == 0.0
    assert mean_shift(3, 1, 0.0, 3, 1.05, 0.0) < 1.0  # the prior stands in for the missing spread
    assert mean_shift(30, 1, 0.1, 30, 3, 0.1) > 10


def test_count_surge_scales_with_exposure() -> None:
    assert count_surge(10, 20, 2.0) == pytest.approx(0.0, abs=0.5)
    assert count_surge(0, 20, 2.0) > 3
    assert count_surge(0, 1, 2.0) < 1.0
    assert count_surge(20, 0, 1.0) < -3


@pytest.mark.parametrize(
    ("metric", "kind", "worse"),
    [
        ("container_cpu_usage_seconds_total", "cpu", "up"),
        ("CpuUsageRate(%)", "cpu", "up"),
        ("container_cpu_cfs_throttled_periods_total", "throttling", "up"),
        ("container_memory_working_set_bytes", "memory", "up"),
        ("node_memory_MemAvailable_bytes", "memory", "down"),
        ("jvm_gc_pause_seconds", "gc", "up"),
        ("kube_pod_container_status_restarts_total", "restarts", "up"),
        ("kube_pod_restart_policy", "ignore", "-"),
        ("node_netstat_Tcp_RetransSegs", "network_loss", "up"),
        ("container_network_receive_packets_dropped_total", "network_loss", "up"),
        ("NetworkReceiveBytes", "net_traffic", "both"),
        ("request_success_ratio", "success", "down"),
        ("http_requests_errors", "errors", "up"),
        ("request_duration_milliseconds_p95", "latency", "up"),
        ("PodClientLatencyP90(s)", "waits", "up"),
        ("requests_per_second", "traffic", "both"),
        ("kafka_consumer_group_lag", "queue", "up"),
        ("node_filesystem_avail_bytes", "disk", "down"),
        ("kube_pod_container_resource_limits", "ignore", "-"),
        ("kube_deployment_status_replicas_available", "ready", "down"),
        ("entirely_unheard_of", "other", "both"),
    ],
)
def test_metric_kinds(metric: Any, kind: Any, worse: Any) -> None:
    found = metric_kind(metric)
    assert (found.kind, found.worse) == (kind, worse)


def test_metric_kind_knows_counters_and_nodes() -> None:
    assert metric_kind("node_cpu_seconds_total").counter
    assert metric_kind("node_cpu_seconds_total").node
    assert metric_kind("NodeCpuUsageRate(%)").node
    assert not metric_kind("pod_cpu_usage_cores").counter


@given(st.text(max_size=60))
def test_metric_kind_takes_any_name(name: Any) -> None:
    assert metric_kind(name).kind


@pytest.mark.parametrize(
    ("line", "kind", "host"),
    [
        ("ERROR 1045 (28000): Access denied for user 'app'@'10.0.0.7'", "auth", None),
        ("WRONGPASS invalid username-password pair", "auth", None),
        ("dial tcp: lookup stock-db on 10.96.0.10:53: no such host", "dns", "stock-db"),
        ("dial tcp 10.1.2.3:6379: connect: connection refused", "refused", "10.1.2.3"),
        ("rpc error: code = DeadlineExceeded desc = context deadline exceeded, peer basket:8080", "timeout", "basket"),
        ("java.lang.OutOfMemoryError: Java heap space", "oom", None),
        ("write /data/x: no space left on device", "disk_full", None),
        ("failed to parse config: invalid character '}' in JSON", "config", None),
        ("panic: runtime error: index out of range", "exception", None),
    ],
)  # fmt: skip
def test_complaints(line: Any, kind: Any, host: Any) -> None:
    found = read_complaint(line)
    assert found is not None
    assert found.kind == kind
    if host:
        assert host in found.hosts


def test_an_ordinary_line_is_no_complaint() -> None:
    assert read_complaint("GET /cart/17 200 in 3 ms") is None


@given(st.text(max_size=2_000))
def test_any_line_is_read(line: Any) -> None:
    found = read_complaint(line)
    assert found is None or len(found.hosts) <= 40


def test_stems() -> None:
    assert stem("cart-7c5f46fc47-4hxzw") == "cart"
    assert stem("db-0") == "db"
    assert stem("agent-x7k2p") == "agent"
    assert stem("plain") == "plain"


def test_first_host() -> None:
    assert first_host('{"server.address": "basket", "x": 1}') == "basket"
    assert first_host('{"url.full": "http://basket:80/a"}') == "http://basket:80/a"
    assert first_host('{"server.port": 80}') == ""
    assert first_host("[1]") == first_host("{") == first_host(None) == ""


def test_split_finds_the_step_and_no_step_in_noise() -> None:
    step = [(float(t), 1.0, float(t >= 30), float(t >= 30)) for t in range(60)]
    whole = _split(step, prior=0.05)
    assert whole is not None
    time, z, rise = whole
    assert time == 30
    assert z > 10
    assert rise == pytest.approx(1.0)
    wobble = [(float(t), 1.0, float(t % 2), float(t % 2)) for t in range(60)]
    found = _split(wobble, prior=0.05)
    assert found is None or found[1] < 4
    assert _split(step[:4], prior=0.05) is None


def test_split_can_look_for_rises_only() -> None:
    fall = [(float(t), 1.0, float(t < 30), float(t < 30)) for t in range(60)]
    found = _split(fall, prior=0.05, up_only=True)
    assert found is None or found[1] < 3
    either = _split(fall, prior=0.05)
    assert either is not None
    assert either[0] == 30


def test_scaling_keeps_one_spike_from_being_a_shift() -> None:
    spike = _scaled([(float(t), 1000.0 if t == 30 else 1.0 + 0.01 * (t % 3)) for t in range(60)])
    shift = _split(spike, prior=0.1)
    assert shift is not None
    assert shift[1] < 4
    constant = _scaled([(float(t), 0.0) for t in range(10)])
    assert all(value == 0 for _, _, value, _ in constant)


def test_the_room_names_what_it_gives() -> None:
    assert {"collect", "estimate_onset", "FAMILIES", "OnsetCandidate"} <= set(signals.__all__)
    assert len(signals.FAMILIES) >= 7
    with pytest.raises(AttributeError):
        _ = signals.nothing_such
