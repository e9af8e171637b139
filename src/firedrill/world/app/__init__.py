"""Applications that a world can start with: manifests as a team would deploy them."""

from firedrill.world.app.packages import application_names, load_application, read_manifests

__all__ = ["application_names", "load_application", "read_manifests"]
