"""What all episodes of one compliance scenario share: the world that breaks its requirement somewhere."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from firedrill.core.artefacts import read_artefacts
from firedrill.core.scenario import Scenario
from firedrill.core.topology import Topology
from firedrill.runner.compliance.packing import asked
from firedrill.suites.compliance.loading import policies_of, visible
from firedrill.suites.compliance.opening import spec_of
from firedrill.suites.compliance.patching import entity

if TYPE_CHECKING:
    import ssl

    from firedrill.core.living import RequestLine
    from firedrill.runner.compliance.assessing import Assessed
    from firedrill.world.world import World

NODES = 2
_SEED = 7
_SETTLE_MS = 180_000
_MOMENT_MS = 5_000
"""In which a new namespace has got what pods need."""
_WARM = (
    "firedrill.runner.living.episode",
    "firedrill.tools.authority.deciding",
    "firedrill.runner.compliance.assessing",
    "firedrill.suites.compliance.judging",
    "firedrill.world.policy.kyverno",
    "uvicorn.protocols.http.h11_impl",
    "uvicorn.protocols.websockets.wsproto_impl",
)


class ComplianceScene:
    """A world to assess, ready to be forked.

    Args:
        scenario: of compliance, about a cluster.

    Raises:
        InputError: the scenario cannot be used, or its class is not carried out yet.
    """

    def __init__(self, scenario: Scenario) -> None:
        from firedrill.gateway.kubernetes import certificates
        from firedrill.tools.authority import open_policy

        open_policy(scenario.authority)
        self.scenario = scenario
        self.spec = spec_of(scenario)
        own = visible(self.spec).state
        engine = self.spec.scenario_class != "kubectl-opa"
        world = make_visible(own, policies_of(self.spec), self.spec.id, kyverno=engine)
        # an episode begins where the incident of a living one is noticed
        self.incident = SimpleNamespace(noticed=world)
        self.ca, key = certificates.make()
        self.tls: ssl.SSLContext = certificates.context(self.ca, key)

    def warm(self) -> None:
        """Load what every episode needs, and keep the collector of garbage off all of it."""
        for name in _WARM:
            __import__(name)
        gc.collect()
        gc.freeze()

    @cached_property
    def inventory(self) -> tuple[str, ...]:
        """The ids of all objects of the world."""
        return tuple(sorted(_ids(self.incident.noticed)))

    def describe(self) -> dict[str, Any]:
        """What the run has to know of it, as JSON."""
        return {
            "alerts": [],
            "noticed": self.incident.noticed.now,
            "namespace": "default",
            "steps": [],
            "hand_over": False,
            "topology": Topology.build(self.inventory, []).to_json(),
            "inventory": list(self.inventory),
            "ca": self.ca.decode("ascii"),
        }

    def facts(
        self,
        world: World,
        *,
        started_ms: int,
        requests: Sequence[RequestLine],
        prediction: Sequence[str],
        **_: object,
    ) -> Assessed:
        """What became of an episode whose agent ends now.

        Args:
            world: as it left it.
            started_ms: when it began.
            requests: what it asked for.
            prediction: one text of `packing.asking`.
        """
        from firedrill.runner.compliance.assessing import assess, watched

        text, seed = asked(prediction[0])
        if self.spec.scenario_class == "kubectl-opa":
            return watched(
                self.spec,
                world=world,
                started_ms=started_ms,
                requests=requests,
                files=read_artefacts(text),
            )
        return assess(
            self.spec,
            before=self.incident.noticed,
            world=world,
            started_ms=started_ms,
            requests=requests,
            files=read_artefacts(text),
            seed=seed,
        )


def bare_world() -> World:
    """A small running cluster with nothing in it but what every cluster has."""
    from firedrill.world.build import make_world

    return make_world(_SEED, nodes=NODES, age_days=1)


def make_visible(
    objects: Iterable[dict[str, Any]],
    policies: Sequence[dict[str, Any]],
    source: str,
    *,
    kyverno: bool = True,
) -> World:
    """A small running cluster with these objects in it, and with Kyverno where it takes part.

    Raises:
        InputError: an object is refused by the API.
    """
    from firedrill.world.build import apply_manifests

    world = bare_world()
    if kyverno:
        from firedrill.world.policy.kyverno.living import install

        install(world)
        world.run_for(_SETTLE_MS)
    fill(world, objects, source)
    if policies:
        world.run_for(_SETTLE_MS)
        apply_manifests(world, policies, source=source)
    world.run_for(_SETTLE_MS)
    return world


def fill(world: World, objects: Iterable[dict[str, Any]], source: str) -> None:
    """Create objects that are not there yet; namespaces first, so that they are ready for pods.

    Their service accounts with them: the cluster makes those called `default` that nobody has written.

    Raises:
        InputError: an object is refused by the API.
    """
    from firedrill.world.build import apply_manifests
    from firedrill.world.kube import programs

    there = set(_ids(world))
    wanted = [item for item in objects if entity(item) not in there]
    spaces = {str(item["metadata"].get("namespace") or "default") for item in wanted}
    known = [item for item in wanted if item["kind"] in ("Namespace", "ServiceAccount")]
    spaces -= {item["metadata"]["name"] for item in known if item["kind"] == "Namespace"}
    made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in sorted(spaces)]
    apply_manifests(world, [*known, *(item for item in made if entity(item) not in there)], source=source)
    world.run_for(_MOMENT_MS)
    there = set(_ids(world))
    rest = [item for item in wanted if entity(item) not in there]
    programs.learn(world, rest)
    apply_manifests(world, rest, source=source)


def _ids(world: World) -> Iterable[str]:
    store, kinds = world.cluster.store, world.cluster.kinds
    for resource in sorted(store.resources()):
        kind = kinds.storage(resource)
        if kind is None or kind.kind == "Event":
            continue
        for obj in store.list(resource):
            meta = obj["metadata"]
            yield f"{meta.get('namespace') or 'cluster'}/{kind.kind}/{meta['name']}"


__all__ = ["ComplianceScene", "bare_world", "fill", "make_visible"]
