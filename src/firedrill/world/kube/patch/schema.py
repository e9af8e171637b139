"""What the merges need to know of a type: a small view on an OpenAPI schema."""

from __future__ import annotations

from typing import Any, Protocol


class SchemaView(Protocol):
    """A place in an OpenAPI schema; references are already followed."""

    def property(self, name: str) -> SchemaView | None:
        """The schema of a named property, or None where it is not declared."""
        ...

    def items(self) -> SchemaView | None:
        """The schema of a list's elements."""
        ...

    def additional(self) -> SchemaView | None:
        """The schema of a map's values."""
        ...

    def extension(self, name: str) -> Any:
        """The value of an `x-kubernetes-…` key, or None."""
        ...


def child(schema: SchemaView | None, name: str) -> SchemaView | None:
    """The schema of what a dict holds under that name."""
    if schema is None:
        return None
    return schema.property(name) or schema.additional()


def element(schema: SchemaView | None) -> SchemaView | None:
    """The schema of a list's elements."""
    return None if schema is None else schema.items()


def extension(schema: SchemaView | None, name: str) -> Any:
    """An extension's value, or None."""
    return None if schema is None else schema.extension(name)
