"""A host of Red Hat Enterprise Linux 9 as data, what it would do, and what its commands would answer."""

from __future__ import annotations

from firedrill.world.host.base import base_host
from firedrill.world.host.records import (
    Audit,
    Firewalld,
    Host,
    HostFile,
    Listen,
    Mount,
    Package,
    Unit,
    Zone,
    host_from,
    read_host,
)

__all__ = [
    "Audit",
    "Firewalld",
    "Host",
    "HostFile",
    "Listen",
    "Mount",
    "Package",
    "Unit",
    "Zone",
    "base_host",
    "host_from",
    "read_host",
]
