"""Jaeger's query API over the traces of a world."""

from firedrill.gateway.jaeger.app import Jaeger

__all__ = ["Jaeger"]
