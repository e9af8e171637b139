"""Reading applications: those that ship with Firedrill, and manifests of users."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from firedrill.core.errors import InputError
from firedrill.world.kube.objects import Obj

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SUFFIXES = {".yaml", ".yml", ".json"}
_MAX_BYTES = 16 * 1024 * 1024


def application_names() -> list[str]:
    """The applications that ship with Firedrill."""
    root = files("firedrill.world.app").joinpath("data")
    return sorted(item.name for item in root.iterdir() if item.is_dir())


def load_application(name: str) -> list[Obj]:
    """The manifests of an application that ships with Firedrill.

    Raises:
        InputError: there is none of that name.
    """
    if name not in application_names():
        raise InputError(
            f"there is no application {name!r}",
            mend=f"name one of {', '.join(application_names())}, or files with manifests",
        )
    text = files("firedrill.world.app").joinpath("data", name, "manifests.yaml").read_text("utf-8")
    return list(_documents(text, name))


def read_manifests(paths: list[Path]) -> list[Obj]:
    """The objects in files of manifests (YAML with any number of documents, or JSON) and in folders of them.

    Raises:
        InputError: a file is missing, too large, no YAML, or holds something else than objects.
    """
    out: list[Obj] = []
    for path in paths:
        for file in _files(path):
            if file.stat().st_size > _MAX_BYTES:
                raise InputError("the file is larger than 16 MiB", source=str(file), mend="split it")
            try:
                text = file.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as problem:
                raise InputError(f"cannot be read: {problem}", source=str(file)) from None
            out += _documents(text, str(file))
    return out


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        if any((path / name).exists() for name in ("kustomization.yaml", "kustomization.yml")):
            raise InputError(
                "the folder is a kustomization",
                source=str(path),
                mend="render it first: kubectl kustomize FOLDER > manifests.yaml",
            )
        return sorted(item for item in path.iterdir() if item.suffix in _SUFFIXES and item.is_file())
    if not path.is_file():
        raise InputError("there is no such file or folder", source=str(path), mend="correct the path")
    return [path]


def _documents(text: str, source: str) -> Iterator[Obj]:
    try:
        documents = list(yaml.load_all(text, Loader=_LOADER))
    except (yaml.YAMLError, RecursionError) as problem:
        mark = getattr(problem, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        raise InputError(
            f"no YAML: {getattr(problem, 'problem', None) or problem}",
            source=source,
            line=line,
            mend="correct the file",
        ) from None
    for number, document in enumerate(documents, start=1):
        if document is None:
            continue
        here = document.get("metadata") if isinstance(document, dict) else None
        is_list = isinstance(document, dict) and isinstance(document.get("items"), list)
        if not isinstance(document, dict) or not document.get("kind") or not document.get("apiVersion"):
            raise InputError(
                "is no object: it needs apiVersion and kind",
                source=source,
                field=f"document {number}",
                mend="give it both",
            )
        if not is_list and not (isinstance(here, dict) and isinstance(here.get("name"), str)):
            raise InputError(
                "has no name", source=source, field=f"document {number}: metadata.name", mend="give it one"
            )
        yield document
