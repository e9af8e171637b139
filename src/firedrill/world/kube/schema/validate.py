"""All rules of an object, as an API server checks them before it stores anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from firedrill.world.kube.kinds import Kind
from firedrill.world.kube.objects import Obj, meta
from firedrill.world.kube.schema.check.fields import Errors, FieldError
from firedrill.world.kube.schema.check.metadata import check_metadata, check_metadata_update
from firedrill.world.kube.schema.check.registry import ALONE, CREATE, UPDATE

Cel = Callable[[dict[str, Any], Any, Any], str | None]
"""Called as `cel(rule, value, old_value)` for one entry of `x-kubernetes-validations`: None where it
holds, else the message. The room that knows the language gives it."""


def validate(kind: Kind, obj: Obj, old: Obj | None = None, cel: Cel | None = None) -> list[FieldError]:
    """The broken rules of an object that was decoded and defaulted, in the order of the API server.

    Args:
        kind: of the object.
        obj: as it shall be stored.
        old: as it is stored; None at creation.
        cel: evaluates the rules that a custom resource's schema holds.
    """
    errors = Errors()
    if old is None:
        check_metadata(errors, kind, meta(obj))
    else:
        check_metadata_update(errors, kind, meta(obj), meta(old))
    if kind.custom:
        from firedrill.world.kube.schema.custom import check_custom

        check_custom(errors, kind, obj, old, cel)
        return errors.found
    rule = CREATE.get(kind.resource)
    if rule is not None and (old is None or kind.resource not in ALONE):
        rule(errors, obj)
    change = UPDATE.get(kind.resource)
    if change is not None and old is not None:
        change(errors, obj, old)
    return errors.found
