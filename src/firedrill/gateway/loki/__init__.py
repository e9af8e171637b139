"""Loki's HTTP API over the logs of a world."""

from firedrill.gateway.loki.app import Loki
from firedrill.gateway.loki.source import ClusterLogs

__all__ = ["ClusterLogs", "Loki"]
