"""ITBench's ids: each is a mechanism of the library, and its arguments are understood."""

from __future__ import annotations

from typing import Any

import pytest

from firedrill import faults
from firedrill.core.errors import InputError


def told(kind: str, name: str, **more: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "otel-demo"}
    return {"kubernetesObject": {"apiVersion": "apps/v1", "kind": kind, "metadata": meta}, **more}


def test_all_ids_are_there() -> None:
    assert len(faults.itbench_namings()) == 31


def test_every_id_is_a_mechanism_that_takes_its_arguments() -> None:
    more = {
        "container": {"name": "ad", "env": {"name": "AD_PORT", "value": "1"}},
        "flag": {"name": "adFailure", "state": "on"},
        "targetPort": 8080,
        "httpMethods": ["GET", "POST"],
        "scheduleSpec": {"type": "PodChaos", "podChaos": {"action": "pod-failure", "mode": "all"}},
        "loadGenerator": {"options": {"requestsPerSecond": 1000}},
    }
    for name in faults.itbench_namings():
        mechanism, args = faults.from_itbench(name, told("Deployment", "ad", **more))
        fault = faults.find(name)
        assert fault.id == mechanism
        assert set(args) <= set(fault.parameters), name
        assert all(key in args for key, item in fault.parameters.items() if item.default is None), name


def test_lists_become_one_text() -> None:
    name = "traffic-denying-istio-gateway-authorization-policy"
    assert (
        faults.from_itbench(name, told("Gateway", "g", httpMethods=["GET", "PUT"]))[1]["methods"] == "GET,PUT"
    )


def test_what_itbench_writes_itself() -> None:
    mechanism, args = faults.from_itbench("nonexistent-kubernetes-workload-node", told("Deployment", "ad"))
    assert mechanism == "node-selector-mismatch"
    assert args["label"].startswith("kubernetes.io/hostname=invalid-node-")
    again = faults.from_itbench("nonexistent-kubernetes-workload-node", told("Deployment", "ad"))[1]
    assert again == args


def test_what_is_missing_is_told() -> None:
    with pytest.raises(InputError, match="container"):
        faults.from_itbench("invalid-kubernetes-workload-container-command", told("Deployment", "ad"))
    with pytest.raises(InputError, match="no fault"):
        faults.from_itbench("melted-kubernetes-cluster", told("Deployment", "ad"))
