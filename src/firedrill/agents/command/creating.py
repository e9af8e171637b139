"""From a description to an agent: everything that can be wrong is said here, before the first episode."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from firedrill.agents.base import Agent
from firedrill.agents.command.agent import CommandAgent
from firedrill.agents.command.description import (
    AGENT_DIR,
    FILES,
    PREFIX,
    Description,
    read_description,
    read_document,
)
from firedrill.agents.command.folder import Copy, check_mount, digest_folder, list_mount, locate
from firedrill.agents.models.endpoint import resolve
from firedrill.agents.models.prices import PriceTable
from firedrill.agents.proxy.settings import ProxySettings, Upstream
from firedrill.agents.toolbox import read_toolbox
from firedrill.core.errors import InputError

_SUFFIX = {"shell": "", "full": "+tools", "live": "+live"}
"""What the name says of the toolbox."""


def create(spec: str, options: Mapping[str, Any]) -> Agent:
    """See :func:`firedrill.agents.command.create`."""
    given = {
        key.replace("-", "_"): value for key, value in options.items() if value is not None and value != ""
    }
    if spec.endswith(FILES) and not spec.startswith(PREFIX):
        document = read_document(Path(spec))
        if document.get("kind") == "react":
            return _react(document, given, spec)
    description, base, source = read_description(spec)
    folder = str(given["agent_dir"]) if "agent_dir" in given else description.dir
    program_base = Path() if "agent_dir" in given else base
    # In a file, words are relative to the agent's folder, which is the file's own unless it says otherwise.
    if folder is None and source != spec:
        folder = "."
    program = locate(description.argv, program_base, folder, source)
    digests = {}
    if program.folder is not None:
        digests[AGENT_DIR] = digest_folder(program.folder, source)
    mounts = _mounts(description, base, source)
    digests |= {target: list_mount(path) for target, path in mounts.items()}
    proxy = _proxy(description, given, base, source)
    toolbox = read_toolbox({"toolbox": given.get("toolbox", description.toolbox)}, ("shell", "full", "live"))
    return CommandAgent(
        name=_name(description, program.argv, given, proxy) + _SUFFIX[toolbox],
        argv=program.argv,
        env=description.env,
        mounts=mounts,
        copy=Copy(program.folder, source) if program.folder is not None else None,
        digests=digests,
        proxy=proxy,
        toolbox=toolbox,
        minutes=_minutes(given) if "minutes" in given else description.minutes,
    )


def _react(document: Mapping[str, Any], given: Mapping[str, Any], source: str) -> Agent:
    from firedrill.agents import react

    options = {key: value for key, value in document.items() if key != "kind"}
    try:
        return react.create({**options, **given})
    except InputError as error:
        raise InputError(error.problem, source=source, field=error.field, mend=error.mend) from None


def _name(
    description: Description, argv: tuple[str, ...], given: Mapping[str, Any], proxy: ProxySettings | None
) -> str:
    if description.name is not None:
        return f"{description.name}:{given['model']}" if "model" in given else description.name
    own = next((word for word in argv if word.startswith(f"{AGENT_DIR}/")), argv[0])
    name = f"command:{own.rpartition('/')[2]}"
    if proxy is None or proxy.default is None:
        return name
    return f"{name}:{proxy.models[proxy.default].label}"


def _mounts(description: Description, base: Path, source: str) -> dict[str, Path]:
    mounts: dict[str, Path] = {}
    for index, mount in enumerate(description.mounts):
        field = f"mounts.{index}"
        path = Path(os.path.realpath(base / Path(mount.source).expanduser()))
        check_mount(path, source, f"{field}.source")
        if mount.target in mounts:
            raise InputError(f"{mount.target} is mounted twice", source=source, field=f"{field}.target")
        mounts[mount.target] = path
    return mounts


def _proxy(
    description: Description, given: Mapping[str, Any], base: Path, source: str
) -> ProxySettings | None:
    model = str(given["model"]) if "model" in given else description.model
    if model is None and not description.models:
        if description.other_models is not None:
            raise InputError("there is no model", source=source, field="other_models", mend="name a `model`")
        return None
    models: dict[str, Upstream] = {}
    for alias, name in description.models.items():
        models[alias] = Upstream(_resolved(name, f"models.{alias}", source))
    default = None
    if model is not None:
        url, protocol = (
            given.get("base_url", description.base_url),
            given.get("protocol", description.protocol),
        )
        main = Upstream(_resolved(model, "model", source, base_url=url, protocol=protocol))
        default = next((alias for alias, each in models.items() if each == main), None)
        if default is None:
            default = main.label if main.endpoint.name in models else main.endpoint.name
            models = {default: main, **models}
    if description.other_models == "map" and default is None:
        raise InputError("needs `model`, which is mapped to", source=source, field="other_models")
    prices = given.get("prices")
    if prices is None and description.prices is not None:
        prices = base / Path(description.prices).expanduser()
    return ProxySettings(
        models, default, PriceTable.load(prices), map_others=description.other_models != "refuse"
    )


def _resolved(
    name: str, field: str, source: str, *, base_url: str | None = None, protocol: str | None = None
) -> Any:
    try:
        return resolve(name, base_url=base_url, protocol=protocol)
    except InputError as error:
        raise InputError(error.problem, source=source, field=field, mend=error.mend) from None


def _minutes(given: Mapping[str, Any]) -> float:
    try:
        minutes = float(given["minutes"])
    except (TypeError, ValueError):
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise InputError("expected a number of minutes above 0", field="minutes")
    return minutes
