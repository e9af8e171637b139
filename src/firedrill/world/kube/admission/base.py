"""What an admission plugin sees and does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from firedrill.world.kube.api.errors import ApiError, forbidden
from firedrill.world.kube.api.request import User
from firedrill.world.kube.objects import Obj, meta, name_of

if TYPE_CHECKING:
    from firedrill.world.kube.kinds import Kind
    from firedrill.world.kube.store import Store

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


@dataclass(frozen=True, slots=True)
class Attributes:
    """One request as admission sees it.

    Attributes:
        world: plugins read it; only the quota plugin writes, and only the status of quotas.
        operation: what is done.
        kind: of the object.
        namespace: empty for cluster-scoped objects.
        name: of the object; may be empty or still to be generated.
        subresource: empty for the object itself.
        obj: the new object; None for a deletion.
        old: the stored object; None for a creation.
        user: who asks.
        dry_run: nothing will be stored.
        options: further options of the request.
        notes: annotations of the request's audit event; what is noted first stays.
    """

    world: Any
    operation: Operation
    kind: Kind
    namespace: str
    name: str
    subresource: str
    obj: Obj | None
    old: Obj | None
    user: User
    dry_run: bool = False
    options: Mapping[str, Any] | None = None
    notes: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def store(self) -> Store:
        """The objects of the cluster."""
        found: Store = self.world.cluster.store
        return found

    @property
    def resource(self) -> str:
        """As in `deployments.apps`."""
        return self.kind.resource

    def creates(self, *resources: str) -> bool:
        """Whether this creates an object (not a subresource) of one of the resources."""
        return self.operation == "CREATE" and not self.subresource and self.kind.resource in resources

    def forbidden(self, detail: str, *, generated: bool = False) -> ApiError:
        """The 403 of a plugin.

        Args:
            detail: what follows `is forbidden:`.
            generated: the request was refused before a name was generated, so the prefix stands for it.
        """
        here = meta(self.obj or {})
        name = self.name or name_of(self.obj or self.old or {})
        if generated and here.get("generateName") and self.operation == "CREATE":
            name = str(here["generateName"])
        return forbidden(self.kind.resource, name, detail)


class Plugin(Protocol):
    """One step of admission. Plugins have no state."""

    name: str

    def admit(self, a: Attributes) -> Obj | None:
        """A changed object, or None where it stays as it is.

        Raises:
            ApiError: the request is refused.
        """
        ...

    def validate(self, a: Attributes) -> Sequence[str]:
        """Warnings.

        Raises:
            ApiError: the request is refused.
        """
        ...


class Base:
    """A plugin that does nothing: the others say only what they do."""

    name = ""

    def admit(self, a: Attributes) -> Obj | None:
        """Leave the object as it is."""
        return None

    def validate(self, a: Attributes) -> Sequence[str]:
        """No objection."""
        return ()


def mutate_through(chain: Sequence[Plugin], a: Attributes) -> tuple[Obj, list[str]]:
    """The object after every plugin that changes what comes in.

    Raises:
        ApiError: a plugin refuses the request.
    """
    for plugin in chain:
        changed = plugin.admit(a)
        if changed is not None:
            a = replace(a, obj=changed)
    return a.obj or {}, []


def validate_through(chain: Sequence[Plugin], a: Attributes) -> list[str]:
    """The warnings of every plugin that only judges.

    Raises:
        ApiError: a plugin refuses the request.
    """
    out: list[str] = []
    for plugin in chain:
        out.extend(plugin.validate(a))
    return out
