"""The Kubernetes API over HTTP: any `kubectl` from 1.30 on, and any client, works on a world through it."""

from firedrill.gateway.kubernetes.app import Gateway
from firedrill.gateway.kubernetes.guarding import Asked, Decision, Guard
from firedrill.gateway.kubernetes.host import Host, Identity, Pace
from firedrill.gateway.kubernetes.transport import transport

__all__ = ["Asked", "Decision", "Gateway", "Guard", "Host", "Identity", "Pace", "transport"]
