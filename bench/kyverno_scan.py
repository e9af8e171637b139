"""A background scan of 500 objects against 20 policies of every sort."""

from __future__ import annotations

import time
from typing import Any

from firedrill.world.build import make_world
from firedrill.world.kube.api import Client
from firedrill.world.policy.kyverno.living import install
from firedrill.world.policy.kyverno.living.scanning import Scan
from firedrill.world.world import World

OBJECTS = 500


def _policy(name: str, validate: dict[str, Any]) -> dict[str, Any]:
    rule = {"name": "rule", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "validate": validate}
    head = {"apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": name}}
    return {**head, "spec": {"rules": [{**rule, "validate": {"message": "no", **validate}}]}}


def policies() -> list[dict[str, Any]]:
    """Patterns, denials, loops, pod security and CEL, four of each."""
    out = []
    for number in range(4):
        secure = {"=(securityContext)": {"=(privileged)": "false"}}
        spec = {"=(hostNetwork)": "false", "=(initContainers)": [secure], "containers": [secure]}
        out.append(_policy(f"pattern-{number}", {"pattern": {"spec": spec}}))
        condition = {
            "key": "{{ request.object.spec.[initContainers, containers][].image }}",
            "operator": "AnyIn",
            "value": ["*:latest", f"bad-{number}/*"],
        }
        out.append(_policy(f"deny-{number}", {"deny": {"conditions": {"any": [condition]}}}))
        dropped = {
            "key": "ALL",
            "operator": "AnyNotIn",
            "value": "{{ element.securityContext.capabilities.drop[] || `[]` }}",
        }
        loop = {"list": "request.object.spec.containers", "deny": {"conditions": {"all": [dropped]}}}
        out.append(_policy(f"loop-{number}", {"foreach": [loop]}))
        out.append(_policy(f"standard-{number}", {"podSecurity": {"level": "baseline"}}))
        text = "object.spec.containers.all(c, !c.image.endsWith(':latest'))"
        out.append(_policy(f"cel-{number}", {"cel": {"expressions": [{"expression": text}]}}))
    return out


def scanned() -> tuple[World, float]:
    """The world, and the seconds of processor time that one scan of everything takes."""
    world = make_world(1, nodes=1, age_days=1)
    install(world)
    world.run_for(60_000)
    client = Client(world)
    for document in policies():
        client.create(document)
    trusted = Client(world, trusted=True)
    for number in range(OBJECTS):
        containers = [
            {
                "name": f"c{index}",
                "image": f"shop/c{index}:1.{number}",
                "securityContext": {"privileged": False},
            }
            for index in range(2)
        ]
        trusted.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"pod-{number}", "namespace": "default"},
                "spec": {"containers": containers, "schedulerName": "nobody"},
            }
        )
    scan = Scan(world)
    began = time.process_time()
    scan.everything()
    return world, time.process_time() - began
