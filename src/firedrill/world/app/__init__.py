"""Applications that a world can start with: what is deployed, what its services do, and who uses them.

`load_package` and `read_package` read one; `traffic.start` lets its requests flow over what a cluster has.
"""

from firedrill.world.app.packages import (
    Package,
    application_names,
    load_application,
    load_package,
    read_manifests,
    read_package,
)

__all__ = [
    "Package",
    "application_names",
    "load_application",
    "load_package",
    "read_manifests",
    "read_package",
]
