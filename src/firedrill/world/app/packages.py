"""Reading applications: those that ship with Firedrill, and those of users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from firedrill.core.documents import read_documents
from firedrill.core.errors import InputError
from firedrill.world.app.model import Application
from firedrill.world.app.reading import read_application
from firedrill.world.kube.objects import Obj

_SUFFIXES = {".yaml", ".yml", ".json"}
_MAX_BYTES = 16 * 1024 * 1024
_GRAPH, _LOAD = "graph.yaml", "load.yaml"


@dataclass(frozen=True, slots=True)
class Package:
    """An application: what is deployed, and what it does.

    Attributes:
        name: of the package.
        application: its services, and who uses them.
        manifests: its objects, those of the load generator among them.
    """

    name: str
    application: Application
    manifests: tuple[Obj, ...]


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


def load_package(name: str) -> Package:
    """An application that ships with Firedrill, with its graph.

    Raises:
        InputError: there is none of that name, or it has no graph.
    """
    known = [item for item in application_names() if _inside(item, _GRAPH) is not None]
    if name not in known:
        raise InputError(
            f"there is no application {name!r} with a graph",
            mend=f"name one of {', '.join(known)}, or a folder with {_GRAPH}, {_LOAD} and manifests",
        )
    folder = files("firedrill.world.app").joinpath("data", name)
    application = read_application(_inside(name, _GRAPH) or "", _inside(name, _LOAD) or "", name)
    texts = sorted(item.name for item in folder.iterdir() if item.name not in (_GRAPH, _LOAD))
    manifests = [obj for text in texts for obj in _documents(_inside(name, text) or "", f"{name}/{text}")]
    return Package(name, application, tuple(manifests))


def _inside(name: str, file: str) -> str | None:
    found = files("firedrill.world.app").joinpath("data", name, file)
    return found.read_text("utf-8") if found.is_file() else None


def read_package(folder: Path) -> Package:
    """The application in a folder: `graph.yaml`, `load.yaml`, and manifests in all other files.

    Raises:
        InputError: a file is missing or wrong.
    """
    for name in (_GRAPH, _LOAD):
        if not (folder / name).is_file():
            raise InputError(f"the folder has no {name}", source=str(folder), mend="add it")
    texts = [_text(folder / name) for name in (_GRAPH, _LOAD)]
    application = read_application(texts[0], texts[1], str(folder))
    rest = [item for item in _files(folder) if item.name not in (_GRAPH, _LOAD)]
    manifests = read_manifests(rest)
    if not manifests:
        raise InputError("the folder has no manifests", source=str(folder), mend="add them in further files")
    return Package(application.name, application, tuple(manifests))


def read_manifests(paths: list[Path]) -> list[Obj]:
    """The objects in files of manifests (YAML with any number of documents, or JSON) and in folders of them.

    Raises:
        InputError: a file is missing, too large, no YAML, or holds something else than objects.
    """
    out: list[Obj] = []
    for path in paths:
        for file in _files(path):
            out += _documents(_text(file), str(file))
    return out


def _text(file: Path) -> str:
    if file.stat().st_size > _MAX_BYTES:
        raise InputError("the file is larger than 16 MiB", source=str(file), mend="split it")
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"cannot be read: {problem}", source=str(file)) from None


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
    documents = read_documents(text, source)
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
