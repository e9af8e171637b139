"""Kubeconfig files: where a world is, and who one is there."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from firedrill.core.errors import InputError
from firedrill.gateway.kubernetes.host import Identity


def document(
    server: str, ca: bytes, identities: Sequence[Identity], namespace: str = "default"
) -> dict[str, Any]:
    """A kubeconfig with a context for each identity; the first one is current.

    Args:
        server: as in `https://127.0.0.1:6443`.
        ca: the certificate of its authority, as PEM.
        identities: who may be used; their tokens are in the file.
        namespace: of the contexts.
    """
    cluster = "firedrill"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": cluster,
                "cluster": {"certificate-authority-data": base64.b64encode(ca).decode(), "server": server},
            }
        ],
        "contexts": [
            {
                "name": f"{item.name}@{cluster}",
                "context": {"cluster": cluster, "namespace": namespace, "user": item.name},
            }
            for item in identities
        ],
        "current-context": f"{identities[0].name}@{cluster}",
        "preferences": {},
        "users": [{"name": item.name, "user": {"token": item.token}} for item in identities],
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a kubeconfig that only its owner can read; readers see the old file or the whole new one.

    Raises:
        InputError: the file cannot be written there.
    """
    text = yaml.safe_dump(content, sort_keys=False)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".kubeconfig-")  # mode 0600
        staged = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            staged.replace(path)
        except BaseException:  # whatever happens, no half file stays behind
            staged.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(
            error.strerror or str(error), source=str(path), mend="choose another file with --kubeconfig"
        ) from error
