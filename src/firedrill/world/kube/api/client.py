"""How the components of a cluster use its API: reads from the store as from a cache, writes as requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firedrill.world.kube import selectors
from firedrill.world.kube.api import errors
from firedrill.world.kube.api.request import (
    ADMIN,
    Options,
    PatchType,
    Request,
    Response,
    User,
    Verb,
    service_account,
)
from firedrill.world.kube.objects import Obj, labels_of, name_of, namespace_of

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind
    from firedrill.world.world import World


@dataclass(frozen=True, slots=True)
class Client:
    """One user of the API, inside the process.

    Resources are named as in `deployments.apps`; the namespace of cluster-scoped objects is empty.

    Attributes:
        world: whose API it is.
        user: who asks.
        manager: the field manager of its writes.
        trusted: it writes what it built itself; the schema is not checked again.
    """

    world: World
    user: User = ADMIN
    manager: str = "firedrill"
    trusted: bool = False

    def find(self, resource: str, namespace: str, name: str) -> Obj | None:
        """The object, or None. Read-only."""
        return self.world.cluster.store.get(resource, namespace, name)

    def get(self, resource: str, namespace: str, name: str) -> Obj:
        """The object. Read-only.

        Raises:
            ApiError: it is not there.
        """
        found = self.find(resource, namespace, name)
        if found is None:
            raise errors.not_found(resource, name)
        return found

    def list(self, resource: str, namespace: str | None = None, selector: str = "") -> list[Obj]:
        """The objects, by namespace and name. Read-only."""
        found = self.world.cluster.store.list(resource, namespace)
        if not selector:
            return found
        wanted = selectors.parse(selector)
        return [obj for obj in found if selectors.matches(wanted, labels_of(obj))]

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> Obj:
        """Create an object; its kind says where.

        Raises:
            ApiError: the request is refused.
        """
        kind = self._kind(obj)
        request = self._request("create", kind, namespace_of(obj), "", body=obj, dry_run=dry_run)
        return self._send(request).obj

    def update(self, obj: Mapping[str, Any], subresource: str = "") -> Obj:
        """Replace an object (or its subresource) by this version.

        Raises:
            ApiError: the request is refused.
        """
        kind = self._kind(obj)
        return self._send(
            self._request("update", kind, namespace_of(obj), name_of(obj), subresource, body=obj)
        ).obj

    def update_status(self, obj: Mapping[str, Any], status: Mapping[str, Any]) -> Obj:
        """Set the status of the object, whatever version is stored now.

        Raises:
            ApiError: the request is refused.
        """
        kind = self._kind(obj)
        current = self.get(kind.storage or kind.resource, namespace_of(obj), name_of(obj))
        if current.get("status") == status:
            return current
        return self.update({**current, "status": dict(status)}, "status")

    def patch(
        self,
        resource: str,
        namespace: str,
        name: str,
        body: Any,
        *,
        patch_type: PatchType = "merge",
        subresource: str = "",
        force: bool = False,
    ) -> Obj:
        """Patch an object.

        Raises:
            ApiError: the request is refused.
        """
        kind = self._named(resource)
        request = self._request(
            "patch", kind, namespace, name, subresource, body=body, patch_type=patch_type, force=force
        )
        return self._send(request).obj

    def delete(
        self,
        resource: str,
        namespace: str,
        name: str,
        *,
        grace: int | None = None,
        propagation: str = "",
        uid: str = "",
    ) -> Obj:
        """Delete an object; `grace` in seconds, `uid` as a precondition.

        Raises:
            ApiError: the request is refused.
        """
        options = Options(
            field_manager=self.manager,
            grace_period_seconds=grace,
            propagation_policy=propagation,
            preconditions={"uid": uid} if uid else {},
        )
        kind = self._named(resource)
        return self._send(self._request("delete", kind, namespace, name, options=options)).obj

    def delete_collection(
        self,
        resource: str,
        namespace: str,
        *,
        selector: str = "",
        grace: int | None = None,
        propagation: str = "",
    ) -> None:
        """Delete all objects of the resource in the namespace that the label selector takes.

        Raises:
            ApiError: the request is refused.
        """
        options = Options(
            label_selector=selector,
            field_manager=self.manager,
            grace_period_seconds=grace,
            propagation_policy=propagation,
        )
        self._send(self._request("deletecollection", self._named(resource), namespace, "", options=options))

    def _send(self, request: Request) -> Response:
        from firedrill.world.kube.api.server import handle

        return handle(self.world, request)

    def _kind(self, obj: Mapping[str, Any]) -> Kind:
        kind: Kind | None = self.world.cluster.kinds.of(obj)
        if kind is None:
            raise errors.bad_request(
                f'no matches for kind "{obj.get("kind")}" in version "{obj.get("apiVersion")}"'
            )
        return kind

    def _named(self, resource: str) -> Kind:
        kind: Kind | None = self.world.cluster.kinds.storage(resource)
        if kind is None:
            raise errors.no_such_path()
        return kind

    def _request(
        self,
        verb: Verb,
        kind: Kind,
        namespace: str,
        name: str,
        subresource: str = "",
        *,
        body: Any = None,
        patch_type: PatchType | None = None,
        dry_run: bool = False,
        force: bool = False,
        options: Options | None = None,
    ) -> Request:
        chosen = options or Options(field_manager=self.manager, dry_run=dry_run, force=force)
        return Request(
            verb=verb,
            group=kind.group,
            version=kind.version,
            plural=kind.plural,
            namespace=namespace if kind.namespaced else "",
            name=name,
            subresource=subresource,
            body=body,
            patch_type=patch_type,
            options=chosen,
            user=self.user,
            user_agent=self.manager,
            trusted=self.trusted,
        )


def component_client(world: World, controller: str) -> Client:
    """The client of a controller of kube-controller-manager, under its own service account."""
    user = service_account("kube-system", controller)
    return Client(world, user, manager="kube-controller-manager", trusted=True)
