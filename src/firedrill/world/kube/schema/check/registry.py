"""Which rules hold for which resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from firedrill.world.kube.objects import Obj
from firedrill.world.kube.schema.check.fields import Errors

Rule = Callable[[Errors, Obj], None]
Change = Callable[[Errors, Obj, Obj], None]

CREATE: Mapping[str, Rule] = {}
UPDATE: Mapping[str, Change] = {}
