"""All stubs by name."""

from __future__ import annotations

from firedrill.world.host.stubs.answering import Stub
from firedrill.world.host.stubs.becoming import su, sudo

STUBS: dict[str, Stub] = {"sudo": sudo, "su": su, "runuser": su}
