"""Deploying admission policies in a cluster that is assessed, as `kubectl apply` would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from firedrill.agents.base import Living
from firedrill.agents.clients import Refused, Web
from firedrill.core.documents import read_documents

SETTLE_MS = 60_000
_THERE = 409


def policies_of(text: str) -> list[dict[str, Any]]:
    """The documents of a file of policies.

    Raises:
        InputError: it is no YAML.
    """
    return [item for item in read_documents(text, "policy.yaml") if isinstance(item, dict)]


def place(document: Mapping[str, Any]) -> str:
    """The path of the objects of a document's kind."""
    version, kind = str(document["apiVersion"]), str(document["kind"]).lower()
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    namespace = (document.get("metadata") or {}).get("namespace")
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


async def deploy(living: Living, documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """Create each document, or replace the object of its name; gives what was refused, and why."""
    refused = []
    async with Web(living, "kubernetes") as web:
        for document in documents:
            try:
                await _apply(web, document)
            except Refused as error:
                refused.append(str(error))
    await living.wait(SETTLE_MS)
    return refused


async def _apply(web: Web, document: Mapping[str, Any]) -> None:
    path = place(document)
    try:
        await web.send("POST", path, document)
    except Refused as error:
        if error.code != _THERE:
            raise
        one = f"{path}/{document['metadata']['name']}"
        version = {"resourceVersion": (await web.get(one))["metadata"]["resourceVersion"]}
        await web.send("PUT", one, {**document, "metadata": {**document["metadata"], **version}})


__all__ = ["SETTLE_MS", "deploy", "place", "policies_of"]
