"""What a ``command:`` agent is: read from a command line or from a YAML file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from firedrill.agents.toolbox.serving import PLACE
from firedrill.core.errors import InputError

PREFIX = "command:"
FILES = (".yaml", ".yml", ".json")
AGENT_DIR = "/agent"
"""Where the agent's folder stands inside the sandbox."""
_SIZE_LIMIT = 1_000_000
_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
_OURS = re.compile(r"^(FIREDRILL_.*|HOME|(OPENAI|ANTHROPIC)_(BASE_URL|API_KEY))$")
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
_RESERVED = ("/home", "/proc", "/dev", "/sys", "/usr", "/bin", "/lib", "/lib64", "/sbin", "/etc", "/tmp")  # noqa: S108


class Mount(BaseModel):
    """A host file or folder that stands read-only inside."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    source: str
    target: str

    @field_validator("target")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if not path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
            raise ValueError("must be an absolute path inside the sandbox, such as /opt/model")
        if value == AGENT_DIR or any(
            value == own or value.startswith(f"{own}/") for own in (*_RESERVED, PLACE)
        ):
            raise ValueError(f"{value} belongs to the sandbox; choose another place, such as /opt/model")
        return value


class Description(BaseModel):
    """One agent. Paths are relative to ``base``: the folder of its file, or the current one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["command"] = "command"
    name: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    argv: Annotated[list[Annotated[str, Field(max_length=100_000)]], Field(min_length=1, max_length=1000)]
    dir: str | None = None
    mounts: list[Mount] = []
    env: dict[Annotated[str, Field(pattern=_NAME)], str] = {}
    model: str | None = None
    models: dict[Annotated[str, Field(min_length=1)], str] = {}
    other_models: Literal["map", "refuse"] | None = None
    """What becomes of a name that is in no list: mapped to ``model`` (unless said otherwise), or refused."""
    base_url: str | None = None
    protocol: Literal["chat", "responses", "anthropic"] | None = None
    prices: str | None = None
    minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    toolbox: Literal["shell", "full", "live"] | None = None

    @field_validator("env")
    @classmethod
    def _no_secrets(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if _OURS.match(name):
                raise ValueError(f"{name} is set by Firedrill")
            if _SECRET.search(name):
                raise ValueError(
                    f"{name} looks like a secret, and an agent can read its environment; "
                    "name the model under `model`, and the proxy holds its key"
                )
        return value

    @field_validator("argv")
    @classmethod
    def _program(cls, value: list[str]) -> list[str]:
        if not value[0] or any("\0" in each for each in value):
            raise ValueError("must begin with a program and hold no NUL")
        return value


def read_description(spec: str) -> tuple[Description, Path, str]:
    """The agent that ``command:PROGRAM ARGS…`` or a YAML file describes, its base folder, its source.

    Raises:
        InputError: when it cannot be read, naming the file and the field.
    """
    if spec.endswith(FILES) and not spec.startswith(PREFIX):
        return _validated(read_document(Path(spec)), spec), Path(spec).parent, spec
    line = spec.removeprefix(PREFIX).strip()
    words = _split(line)
    if not words:
        raise InputError("names no program", source=spec, mend="write 'command:python3 agent.py'")
    if words[0].endswith(FILES) and len(words) == 1:
        return read_description(words[0])
    return _validated({"argv": words}, spec), Path(), spec


def read_document(path: Path) -> Mapping[str, Any]:
    """The mapping in a YAML (or JSON) file.

    Raises:
        InputError: when there is none.
    """
    import yaml

    try:
        with path.open("rb") as file:
            data = file.read(_SIZE_LIMIT + 1)
        text = data.decode("utf-8")
    except (OSError, ValueError) as error:
        # a path can hold NUL, and a file anything
        problem = getattr(error, "strerror", None) or "is not UTF-8"
        raise InputError(f"cannot read the agent's file: {problem}", source=str(path)) from None
    if len(data) > _SIZE_LIMIT:
        raise InputError("the agent's file is larger than 1 MB", source=str(path))
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        problem = str(getattr(error, "problem", None) or "is not YAML")
        raise InputError(problem, source=str(path), line=line) from None
    except RecursionError:
        raise InputError("is nested too deep", source=str(path)) from None
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise InputError("expected a mapping with `argv`", source=str(path))
    return document


def _validated(document: Mapping[str, Any], source: str) -> Description:
    try:
        return Description.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"] if part != "[key]")
        problem = first["msg"].removeprefix("Value error, ")
        mend = None
        if first["type"] == "extra_forbidden":
            problem, mend = "no such field", f"use {', '.join(Description.model_fields)}"
        raise InputError(problem, source=source, field=field or None, mend=mend) from None


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise InputError(f"cannot be split into words: {error}", source=f"{PREFIX}{line}") from None
