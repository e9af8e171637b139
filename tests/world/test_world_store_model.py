"""The API and its store against a model that is simple enough to be right.

The model is a dict of what each object should be. Whatever sequence of calls is made, lists, pages, indexes
and watches must agree with it, and a fork goes its own way from the moment of the fork.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from firedrill.world.kube.api import ApiError, Client, Request, handle
from firedrill.world.kube.api.request import Options
from firedrill.world.kube.api.server import watch
from firedrill.world.kube.cluster import Settings
from firedrill.world.kube.controllers.base import stop_component
from firedrill.world.kube.objects import Obj, labels_of, meta, name_of, namespace_of
from firedrill.world.world import World

SPACES = ("one", "two")
NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
PLACES = st.tuples(st.sampled_from(SPACES), NAMES)
COLOURS = st.sampled_from(["red", "blue", "green"])
VALUES = st.sampled_from(["1", "2", "3"])
Place = tuple[str, str]


def empty_world() -> World:
    world = World(settings=Settings(freeze=True))
    for component in ("kube-controller-manager", "kube-scheduler", "lab-kubelet"):
        stop_component(world, component)
    for name in SPACES:
        Client(world).create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return world


class Model:
    """What should be there: for each place (colour, value, finalizers, being deleted, owner's uid)."""

    def __init__(self) -> None:
        self.objects: dict[Place, dict[str, Any]] = {}

    def copy(self) -> Model:
        twin = Model()
        twin.objects = {place: dict(entry) for place, entry in self.objects.items()}
        return twin


def list_all(world: World, namespace: str = "", **options: Any) -> list[Obj]:
    """A list in pages of the asked size."""
    found: list[Obj] = []
    token = ""
    while True:
        request = Request(
            "list",
            "",
            "v1",
            "configmaps",
            namespace=namespace,
            options=Options(continue_token=token, **options),
        )
        answer = handle(world, request).obj
        found += answer["items"]
        token = answer["metadata"].get("continue", "")
        if not token:
            return found


class Api(RuleBasedStateMachine):
    """Calls of the API on one world and on forks of it, beside a model of each."""

    worlds: Bundle[int] = Bundle("worlds")

    @initialize(target=worlds)
    def begin(self) -> int:
        self.all: list[tuple[World, Model, Any, dict[Place, Obj]]] = []
        return self._add(empty_world(), Model())

    def _add(self, world: World, model: Model) -> int:
        cursor = watch(world, Request("watch", "", "v1", "configmaps"))
        self.all.append((world, model, cursor, {}))
        return len(self.all) - 1

    @rule(which=worlds, place=PLACES, colour=COLOURS, held=st.booleans(), owner=st.none() | NAMES)
    def create(self, which: int, place: Place, colour: str, held: bool, owner: str | None) -> None:
        world, model, _, _ = self.all[which]
        given: Obj = {"namespace": place[0], "name": place[1], "labels": {"colour": colour}}
        if held:
            given["finalizers"] = ["example.com/hold"]
        parent = world.cluster.store.get("configmaps", place[0], owner) if owner else None
        if parent is not None:
            reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": meta(parent)["uid"]}
            given["ownerReferences"] = [reference]
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": given, "data": {"v": "0"}}
        try:
            Client(world).create(body)
        except ApiError as refusal:
            assert refusal.reason == "AlreadyExists"
            assert place in model.objects
            return
        assert place not in model.objects
        uid = meta(parent)["uid"] if parent is not None else None
        model.objects[place] = {"colour": colour, "v": "0", "held": held, "going": False, "owner": uid}

    @rule(which=worlds, place=PLACES, value=VALUES, stale=st.booleans())
    def update(self, which: int, place: Place, value: str, stale: bool) -> None:
        world, model, _, _ = self.all[which]
        now = world.cluster.store.get("configmaps", *place)
        if now is None:
            assert place not in model.objects
            return
        version = str(int(meta(now)["resourceVersion"]) - 1) if stale else meta(now)["resourceVersion"]
        body = {**now, "metadata": {**meta(now), "resourceVersion": version}, "data": {"v": value}}
        try:
            Client(world).update(body)
        except ApiError as refusal:
            assert refusal.reason == "Conflict"
            assert stale
            return
        assert not stale
        model.objects[place]["v"] = value

    @rule(which=worlds, place=PLACES, colour=COLOURS, json=st.booleans())
    def patch(self, which: int, place: Place, colour: str, json: bool) -> None:
        world, model, _, _ = self.all[which]
        body: Any = {"metadata": {"labels": {"colour": colour}}}
        if json:
            body = [{"op": "replace", "path": "/metadata/labels/colour", "value": colour}]
        try:
            Client(world).patch("configmaps", *place, body, patch_type="json" if json else "merge")
        except ApiError as refusal:
            assert refusal.reason == "NotFound"
            assert place not in model.objects
            return
        model.objects[place]["colour"] = colour

    @rule(which=worlds, place=PLACES, dry=st.booleans())
    def delete(self, which: int, place: Place, dry: bool) -> None:
        world, model, _, _ = self.all[which]
        request = Request(
            "delete", "", "v1", "configmaps", namespace=place[0], name=place[1], options=Options(dry_run=dry)
        )
        try:
            answer = handle(world, request).obj
        except ApiError as refusal:
            assert refusal.reason == "NotFound"
            assert place not in model.objects
            return
        entry = model.objects[place]
        assert (answer["kind"] == "ConfigMap") == entry["held"]
        if dry:
            return
        if entry["held"]:
            entry["going"] = True
        else:
            del model.objects[place]

    @rule(which=worlds, place=PLACES)
    def release(self, which: int, place: Place) -> None:
        world, model, _, _ = self.all[which]
        if place not in model.objects:
            return
        Client(world).patch("configmaps", *place, {"metadata": {"finalizers": None}})
        entry = model.objects[place]
        entry["held"] = False
        if entry["going"]:
            del model.objects[place]

    @rule(which=worlds, space=st.sampled_from(SPACES), colour=COLOURS)
    def delete_some(self, which: int, space: str, colour: str) -> None:
        world, model, _, _ = self.all[which]
        Client(world).delete_collection("configmaps", space, selector=f"colour={colour}")
        for place, entry in list(model.objects.items()):
            if place[0] == space and entry["colour"] == colour:
                entry["going"] = True
                if not entry["held"]:
                    del model.objects[place]

    @rule(which=worlds, colour=COLOURS, size=st.integers(1, 4))
    def lists_agree(self, which: int, colour: str, size: int) -> None:
        world, model, _, _ = self.all[which]
        wanted = sorted(place for place, entry in model.objects.items() if entry["colour"] == colour)
        for limit in (0, size):
            found = list_all(world, label_selector=f"colour={colour}", limit=limit)
            assert [(namespace_of(obj), name_of(obj)) for obj in found] == wanted
        inside = list_all(world, SPACES[0], label_selector=f"colour!={colour}", limit=size)
        assert {name_of(obj) for obj in inside} == {
            place[1]
            for place, entry in model.objects.items()
            if place[0] == SPACES[0] and entry["colour"] != colour
        }

    @rule(which=worlds)
    def watch_replays_to_the_same(self, which: int) -> None:
        world, _, cursor, seen = self.all[which]
        for type_, obj in cursor.poll(world):
            place = (namespace_of(obj), name_of(obj))
            assert (place in seen) == (type_ != "ADDED")
            if type_ == "DELETED":
                del seen[place]
            else:
                seen[place] = obj
        stored = world.cluster.store.list("configmaps")
        assert seen == {(namespace_of(obj), name_of(obj)): obj for obj in stored}

    @rule(target=worlds, which=worlds)
    def fork(self, which: int) -> int:
        world, model, _, _ = self.all[which]
        twin = world.fork()
        assert twin.digest() == world.digest()
        return self._add(twin, model.copy())

    @invariant()
    def every_world_is_as_its_model_says(self) -> None:
        for world, model, _, _ in getattr(self, "all", ()):
            found = {
                (namespace_of(obj), name_of(obj)): {
                    "colour": labels_of(obj)["colour"],
                    "v": obj["data"]["v"],
                    "held": bool(meta(obj).get("finalizers")),
                    "going": "deletionTimestamp" in meta(obj),
                    "owner": next((item["uid"] for item in meta(obj).get("ownerReferences") or ()), None),
                }
                for obj in world.cluster.store.list("configmaps")
            }
            assert found == model.objects

    @invariant()
    def indexes_equal_a_full_scan(self) -> None:
        for world, _, _, _ in getattr(self, "all", ()):
            store = world.cluster.store
            owned: dict[str, set[tuple[str, str, str]]] = {}
            for obj in store.list("configmaps"):
                for reference in meta(obj).get("ownerReferences") or ():
                    ref = ("configmaps", namespace_of(obj), name_of(obj))
                    owned.setdefault(reference["uid"], set()).add(ref)
            assert {uid: set(store.owned_by(uid)) for uid in owned} == owned
            assert all(store.owned_by(uid) for uid in owned)


TestApi = Api.TestCase
TestApi.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


class Pods(RuleBasedStateMachine):
    """The pod indexes of a store, under raw writes and forks."""

    def __init__(self) -> None:
        super().__init__()
        world = World(settings=Settings(freeze=True))
        self.stores = [world.cluster.store]

    @rule(
        which=st.integers(0, 3),
        place=PLACES,
        node=st.sampled_from(["", "n1", "n2"]),
        labels=st.dictionaries(st.sampled_from(["x", "y"]), COLOURS),
        owner=st.sampled_from(["", "u1", "u2"]),
    )
    def put(self, which: int, place: Place, node: str, labels: dict[str, str], owner: str) -> None:
        store = self.stores[which % len(self.stores)]
        given: Obj = {"namespace": place[0], "name": place[1], "labels": labels}
        if owner:
            given["ownerReferences"] = [{"uid": owner}]
        store.put("pods", {"metadata": given, "spec": {"nodeName": node} if node else {}})

    @rule(which=st.integers(0, 3), place=PLACES)
    def remove(self, which: int, place: Place) -> None:
        store = self.stores[which % len(self.stores)]
        there = store.get("pods", *place) is not None
        assert (store.remove("pods", *place) is not None) == there

    @rule(which=st.integers(0, 3))
    def fork(self, which: int) -> None:
        if len(self.stores) < 4:
            self.stores.append(self.stores[which % len(self.stores)].fork())

    @invariant()
    def indexes_equal_a_full_scan(self) -> None:
        for store in self.stores:
            pods = store.list("pods")
            for node in ("n1", "n2"):
                here = sorted((namespace_of(pod), name_of(pod)) for pod in store.pods_on(node))
                assert here == [
                    (namespace_of(pod), name_of(pod)) for pod in pods if pod["spec"].get("nodeName") == node
                ]
            for space in SPACES:
                for key in ("x", "y"):
                    for value in ("red", "blue", "green"):
                        found = sorted(name_of(pod) for pod in store.pods_labelled(space, key, value))
                        assert found == [
                            name_of(pod)
                            for pod in store.list("pods", space)
                            if labels_of(pod).get(key) == value
                        ]
            for uid in ("u1", "u2"):
                refs = sorted(ref[1:] for ref in store.owned_by(uid))
                assert refs == [
                    (namespace_of(pod), name_of(pod))
                    for pod in pods
                    if any(item["uid"] == uid for item in meta(pod).get("ownerReferences") or ())
                ]


TestPods = Pods.TestCase
TestPods.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
