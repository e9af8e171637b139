"""Hosts of variants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from firedrill.suites.compliance.model import Variant

if TYPE_CHECKING:
    from firedrill.world.host import Host


def host_of(variant: Variant) -> Host:
    """The host of a variant: a fresh one, with the patches of its scenario laid over it in turn."""
    from firedrill.world.host import base_host

    host = base_host()
    for patch in variant.state:
        host = host.patched(patch)
    return host


__all__ = ["host_of"]
