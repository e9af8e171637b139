"""What stands between a request and the store: the admission plugins of an API server, in its order."""

from firedrill.world.kube.admission.base import Attributes, Plugin
from firedrill.world.kube.admission.chain import CHAIN, admit, mutate, validate

__all__ = ["CHAIN", "Attributes", "Plugin", "admit", "mutate", "validate"]
