"""Changing a host: a patch is data, and what it names must be there.

A patch has the members of a host. Each is merged into what stands there:

- ``os``, ``kernel``, ``hostname``, ``selinux``: replaced.
- ``files``: by path. ``null`` removes (a folder with all below it). A mapping changes only the members it
  gives; a path that is new gets the usual defaults. ``target`` makes it a link, ``content`` replaces all
  text, ``edit`` is a list of changes by line, each of which must find its line:
  ``{line: old, with: new}``, ``{delete: line}``, ``{after: line, add: text}``, ``{before: line, add: text}``,
  ``{append: text}``, ``{prepend: text}``. Lines are compared without blanks at the end.
- ``sysctl``: key to value, ``null`` removes.
- ``mounts``, ``units``, ``packages``: by target or name, merged member by member, ``null`` removes.
- ``modules``, ``modules_built``, ``listen``: a list replaces; ``{add: [...], remove: [...]}`` changes.
- ``audit``: ``enabled``, and ``rules`` as above. ``firewalld``: members, ``zones`` by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from firedrill.core.errors import InputError
from firedrill.world.host.records import KEYS, Host, HostFile, Listen, Zone, refusal

_LISTS = ("modules", "modules_built", "listen")
_PLAIN = ("kernel", "hostname", "selinux")


def patched(host: Host, patch: Mapping[str, Any], source: str) -> Host:
    """``host`` with ``patch`` applied.

    Raises:
        InputError: names the field that is wrong, or that changes nothing there is.
    """
    _mapping(patch, source, None)
    changes: dict[str, Any] = {}
    for field, change in patch.items():
        if field not in Host.model_fields:
            raise InputError("is no member of a host", source=source, field=str(field))
        if field in _PLAIN:
            changes[field] = change
        elif field == "files":
            changes[field] = _files(host, change, source)
        elif field in KEYS:
            changes[field] = _records(getattr(host, field), change, KEYS[field], source, field)
        elif field == "sysctl":
            changes[field] = _settings(host.sysctl, change, source)
        elif field in _LISTS:
            changes[field] = _list(_dumped(getattr(host, field)), change, source, field)
        elif field == "audit":
            changes[field] = _audit(host, change, source)
        elif field == "firewalld":
            changes[field] = _firewalld(host, change, source)
        else:
            changes[field] = {**getattr(host, field).model_dump(), **_mapping(change, source, field)}
    untouched = {name: getattr(host, name) for name in Host.model_fields if name not in changes}
    try:
        return Host.model_validate({**untouched, **changes})
    except ValidationError as error:
        raise refusal(error, source) from None


def _mapping(value: Any, source: str, field: str | None) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError("must be a mapping", source=source, field=field)
    return value


def _files(host: Host, change: Any, source: str) -> dict[str, Any]:
    files: dict[str, HostFile] = dict(host.files)
    for path, members in _mapping(change, source, "files").items():
        field = f"files.{path}"
        if members is None:
            gone = [known for known in files if known == path or known.startswith(f"{path}/")]
            if not gone:
                raise InputError("there is no such file to remove", source=source, field=field)
            for known in gone:
                del files[known]
            continue
        given = dict(_mapping(members, source, field))
        edits = given.pop("edit", None)
        before = files.get(path)
        try:
            files[path] = _file(str(path), before, given)
        except ValidationError as error:
            raise refusal(error, source, field) from None
        if edits is not None:
            if before is None or files[path].type != "file":
                raise InputError("there is no such file to edit", source=source, field=field)
            text = _edited(files[path].content, edits, source, f"{field}.edit")
            files[path] = files[path].model_copy(update={"content": text})
    return {path: files[path] for path in sorted(files)}


def _file(path: str, before: HostFile | None, given: dict[str, Any]) -> HostFile:
    if "path" in given and given["path"] != path:
        given = {**given, "path": given["path"]}
    kind = given.get("type") or ("link" if "target" in given else "file" if "content" in given else None)
    if before is None or (kind is not None and kind != before.type):
        owners = {} if before is None else {"owner": before.owner, "group": before.group}
        return HostFile.model_validate({**owners, "path": path, **given})
    kept = before.model_dump(exclude={"target"} if before.type != "link" else {"content"})
    return HostFile.model_validate({**kept, **given})


def _edited(text: str, edits: Any, source: str, field: str) -> str:
    if not isinstance(edits, list):
        raise InputError("must be a list of changes", source=source, field=field)
    for number, edit in enumerate(edits):
        place = f"{field}[{number}]"
        _mapping(edit, source, place)
        kinds = {
            ("append",), ("prepend",), ("delete",), ("line", "with"), ("add", "after"), ("add", "before")
        }  # fmt: skip
        if tuple(sorted(edit)) not in kinds or not all(isinstance(word, str) for word in edit.values()):
            raise InputError("is none of the changes by line", source=source, field=place)
        text = _change(text, edit, source, place)
    return text


def _change(text: str, edit: Mapping[str, str], source: str, field: str) -> str:
    if "append" in edit:
        return _ended(text) + _ended(edit["append"])
    if "prepend" in edit:
        return _ended(edit["prepend"]) + text
    wanted = next(edit[key] for key in ("line", "delete", "after", "before") if key in edit)
    lines = text.split("\n")
    places = [number for number, line in enumerate(lines) if line.rstrip() == wanted.rstrip()]
    if not places:
        raise InputError(f"there is no line {wanted!r}", source=source, field=field)
    for place in reversed(places if "line" in edit or "delete" in edit else places[:1]):
        if "line" in edit:
            lines[place : place + 1] = [edit["with"]]
        elif "delete" in edit:
            del lines[place]
        else:
            lines.insert(place + ("after" in edit), edit["add"].removesuffix("\n"))
    return "\n".join(lines)


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _records(items: Mapping[str, Any], change: Any, key: str, source: str, field: str) -> dict[str, Any]:
    found: dict[str, Any] = dict(items)
    for name, given in _mapping(change, source, field).items():
        place = f"{field}.{name}"
        if given is None:
            if name not in found:
                raise InputError("there is none to remove", source=source, field=place)
            del found[name]
            continue
        before = found[name].model_dump() if name in found else {key: name}
        found[name] = {**before, **_mapping(given, source, place)}
    return found


def _settings(items: Mapping[str, str], change: Any, source: str) -> dict[str, Any]:
    found: dict[str, Any] = dict(items)
    for key, value in _mapping(change, source, "sysctl").items():
        if value is None:
            if key not in found:
                raise InputError("there is none to remove", source=source, field=f"sysctl.{key}")
            del found[key]
        else:
            found[key] = value
    return {key: found[key] for key in sorted(found)}


def _dumped(items: tuple[Any, ...]) -> list[Any]:
    return [item.model_dump() if isinstance(item, Listen) else item for item in items]


def _list(items: list[Any], change: Any, source: str, field: str) -> list[Any]:
    if isinstance(change, list | tuple):
        return list(change)
    wrong = set(_mapping(change, source, field)) - {"add", "remove"}
    if wrong:
        raise InputError("only add and remove are known", source=source, field=f"{field}.{min(wrong)}")
    for number, item in enumerate(change.get("remove") or ()):
        matching = [known for known in items if _same(known, item)]
        if not matching:
            raise InputError(f"there is no {item!r}", source=source, field=f"{field}.remove[{number}]")
        items = [known for known in items if known not in matching]
    return [*items, *(change.get("add") or ())]


def _same(known: Any, item: Any) -> bool:
    if isinstance(known, dict) and isinstance(item, Mapping):
        return all(known.get(key) == value for key, value in item.items())
    return bool(known == item)


def _audit(host: Host, change: Any, source: str) -> dict[str, Any]:
    found = {**host.audit.model_dump(), **_mapping(change, source, "audit")}
    if "rules" in change:
        found["rules"] = _list(list(host.audit.rules), change["rules"], source, "audit.rules")
    return found


def _firewalld(host: Host, change: Any, source: str) -> dict[str, Any]:
    given = dict(_mapping(change, source, "firewalld"))
    zones: dict[str, Any] = dict(host.firewalld.zones)
    for name, zone in _mapping(given.pop("zones", {}), source, "firewalld.zones").items():
        if zone is None:
            if zones.pop(name, None) is None:
                raise InputError("there is none to remove", source=source, field=f"firewalld.zones.{name}")
            continue
        place = f"firewalld.zones.{name}"
        before: dict[str, Any] = (zones[name] if name in zones else Zone()).model_dump()
        for member, value in _mapping(zone, source, place).items():
            known = isinstance(before.get(member), tuple)
            before[member] = (
                _list(list(before[member]), value, source, f"{place}.{member}") if known else value
            )
        zones[name] = before
    plain = {"running": host.firewalld.running, "default_zone": host.firewalld.default_zone}
    return {**plain, **given, "zones": zones}
