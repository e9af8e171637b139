"""ResourceQuota: what a namespace may hold is charged when it is asked for, so that it is never exceeded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from firedrill.world.kube.admission.base import Attributes, Base
from firedrill.world.kube.admission.quota_usage import (
    Usage,
    counts,
    matches_scopes,
    missing,
    resources_of,
    show,
    total_of,
    usage_of,
)
from firedrill.world.kube.objects import Obj, dig, name_of
from firedrill.world.kube.quantity import milli

__all__ = ["ResourceQuota", "resources_of", "show", "total_of", "usage_of"]

_QUOTAS = "resourcequotas"


class ResourceQuota(Base):
    """The last plugin: what it lets through is charged at once."""

    name = "ResourceQuota"

    def validate(self, a: Attributes) -> tuple[str, ...]:
        """Refuse what would exceed a quota; else add it to the status of the quotas."""
        if a.subresource or a.obj is None or a.operation not in ("CREATE", "UPDATE") or not a.namespace:
            return ()
        quotas = a.store.list(_QUOTAS, a.namespace)
        if not quotas:
            return ()
        charges = [(quota, wanted) for quota in quotas if (wanted := self._charge(a, quota))]
        if not a.dry_run:
            for quota, wanted in charges:
                _add(a, quota, wanted)
        return ()

    def _charge(self, a: Attributes, quota: Obj) -> Usage:
        """What the request adds to a quota, in thousandths.

        Raises:
            ApiError: it is more than there is, or a container does not say what it needs.
        """
        assert a.obj is not None
        hard = dig(quota, "status", "hard", default=None) or dig(quota, "spec", "hard", default={})
        if not matches_scopes(quota, a.resource, a.obj):
            return {}
        after = usage_of(a.resource, a.obj)
        if not any(name in hard for name in after) and a.resource != "pods":
            return {}
        if a.resource == "pods" and a.operation == "CREATE":
            lacking = missing(a.obj, hard)
            if lacking:
                raise a.forbidden(f"failed quota: {name_of(quota)}: must specify {'; '.join(lacking)}")
        before: Usage = {}
        if a.old is not None and matches_scopes(quota, a.resource, a.old):
            before = usage_of(a.resource, a.old)
            if a.resource == "pods" and counts(a.old) and not counts(a.obj):
                return {}
        added = {name: after[name] - before.get(name, 0) for name in after if name in hard}
        added = {name: amount for name, amount in added.items() if amount > 0}
        if not added:
            return {}
        used = _used(a, quota, hard)
        over = sorted(name for name, amount in added.items() if used[name] + amount > milli(hard[name]))
        if over:
            raise a.forbidden(
                f"exceeded quota: {name_of(quota)}, requested: {_show(over, added)}, "
                f"used: {_show(over, used)}, limited: {_show(over, {n: milli(hard[n]) for n in over})}"
            )
        return added


def _used(a: Attributes, quota: Obj, hard: Mapping[str, str]) -> Usage:
    """What the status says; counted anew as long as the controller has not filled it in."""
    status = dig(quota, "status", "used", default={})
    if all(name in status for name in hard):
        return {name: milli(status[name]) for name in hard}
    objects = (
        (resource, obj) for resource in resources_of(hard) for obj in a.store.list(resource, a.namespace)
    )
    return total_of(quota, objects)


def _add(a: Attributes, quota: Obj, wanted: Usage) -> None:
    from firedrill.world.kube.api.writing import save

    hard = dig(quota, "spec", "hard", default={})
    used = {name: amount + wanted.get(name, 0) for name, amount in _used(a, quota, hard).items()}
    status = {
        "hard": dict(dig(quota, "status", "hard", default=None) or hard),
        "used": {name: show(name, amount) for name, amount in sorted(used.items())},
    }
    save(a.world, _QUOTAS, {**quota, "status": status})


def _show(names: Iterable[str], amounts: Mapping[str, int]) -> str:
    return ",".join(f"{name}={show(name, amounts[name])}" for name in names)
