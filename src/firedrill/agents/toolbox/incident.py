#!/usr/bin/python3 -IS
"""The command ``incident`` as it stands in a sandbox: asks the tools of its episode, and nothing else.

It runs by itself, with nothing but the standard library; ``tools.json`` beside its folder says what can
be asked. Exit codes: 0 an answer, 2 a call that makes no sense, 3 no tools to be reached.
"""

from __future__ import annotations

import difflib
import http.client
import json
import os
import signal
import sys
import urllib.parse
from typing import Any

DEFAULT = "http://127.0.0.1:8643/tools"
SECONDS = 300
VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Of the Model Context Protocol, as far as it is about tools alone."""
_KINDS = {"integer": "N", "number": "N", "array": "A,B", "boolean": ""}


def load() -> list[dict[str, Any]]:
    """Every tool: name, description, inputSchema."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - starts faster than pathlib
    with open(os.path.join(here, "..", "tools.json"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
        listed: list[dict[str, Any]] = json.load(file)
    return listed


def overview(tools: list[dict[str, Any]]) -> str:
    """What ``incident --help`` prints."""
    width = max(len(tool["name"]) for tool in tools)
    lines = [f"  {tool['name']:<{width}}  {_first(tool['description'])}" for tool in tools]
    return "\n".join(
        [
            "usage: incident TOOL [ARGUMENTS] [--json]",
            "       incident mcp",
            "",
            "Asks the tools of this incident. `incident mcp` serves them over the Model Context Protocol, on",
            "standard input and output, to a program that starts it.",
            "",
            *lines,
            "",
            "`incident TOOL --help` tells a tool's parameters. --json prints columns and rows for programs.",
            "Exit codes: 0 an answer, 2 a call that makes no sense, 3 no tools to be reached.",
        ]
    )


def help_text(tool: dict[str, Any]) -> str:
    """What ``incident TOOL --help`` prints."""
    schema = tool["inputSchema"]
    required = schema.get("required", [])
    words = "".join(f" {name.upper()}" for name in required)
    lines = [f"usage: incident {tool['name']}{words} [--NAME VALUE]... [--json]", "", tool["description"], ""]
    for name, about in schema["properties"].items():
        label = name.upper() if name in required else f"--{name.replace('_', '-')} {_kind(about)}".rstrip()
        default = about.get("default")
        more = f" [default: {default}]" if default not in (None, [], "", False) else ""
        lines.append(f"  {label}\n      {about.get('description', '')}{more}")
    lines.append("  --json\n      Print columns and rows as JSON, and more of them at once.")
    return "\n".join(lines)


def read(tool: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """The arguments that a command line means; values stay text, the tool reads them.

    Required parameters may stand alone, in their order. A list is given with commas or by repeating.

    Raises:
        ValueError: a word that means nothing; the text says what would.
    """
    schema = tool["inputSchema"]
    known = schema["properties"]
    alone = list(schema.get("required", []))
    found: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            free = [name for name in alone if name not in found]
            if not free:
                raise ValueError(f"{word!r} belongs to no parameter; write --NAME {word}")
            found[free[0]] = word
            continue
        flag, equals, value = word[2:].partition("=")
        name = flag.replace("-", "_")
        if name not in known and name.startswith("no_") and known.get(name[3:], {}).get("type") == "boolean":
            found[name[3:]] = "false"
            continue
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean --{close[0].replace('_', '-')}?" if close else ""
            raise ValueError(f"no parameter {word.partition('=')[0]}{hint}")
        if not equals:
            if known[name].get("type") == "boolean" and (not rest or rest[0] not in ("true", "false")):
                value = "true"
            elif not rest:
                raise ValueError(f"--{flag} needs a value")
            else:
                value = rest.pop(0)
        if known[name].get("type") == "array" and not value.lstrip().startswith(("[", "{")):
            found.setdefault(name, []).extend(item for item in value.split(",") if item)
        else:
            found[name] = value
    return found


def ask(url: str, name: str, body: dict[str, Any], *, wide: bool) -> dict[str, Any]:
    """The answer of a tool.

    Raises:
        OSError, http.client.HTTPException, ValueError: there was none.
    """
    place = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "127.0.0.1", place.port or 80, timeout=SECONDS)
    try:
        path = f"{place.path}/{urllib.parse.quote(name, safe='')}" + ("?wide=1" if wide else "")
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status >= 500:
            raise ValueError(answer.get("text", "the toolbox failed"))
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise ValueError("the answer cannot be read")
    return answer


def reply(tools: list[dict[str, Any]], message: dict[str, Any]) -> dict[str, Any] | None:
    """The answer to one message of the Model Context Protocol; None where none is due."""
    method, number = message.get("method"), message.get("id")
    if number is None:
        return None
    params = message.get("params")
    params = params if isinstance(params, dict) else {}
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": number}
    if method == "initialize":
        wanted = str(params.get("protocolVersion"))
        answer["result"] = {
            "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[-1],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "incident", "version": "1"},
        }
    elif method == "ping":
        answer["result"] = {}
    elif method == "tools/list":
        answer["result"] = {"tools": tools}
    elif method == "tools/call":
        answer["result"] = _called(params)
    else:
        answer["error"] = {"code": -32601, "message": f"there is no method {str(method)[:60]!r} here"}
    return answer


def _called(params: dict[str, Any]) -> dict[str, Any]:
    given = params.get("arguments")
    try:
        found = ask(
            os.environ.get("FIREDRILL_TOOLS", DEFAULT),
            str(params.get("name")),
            given if isinstance(given, dict) else {},
            wide=False,
        )
    except (OSError, http.client.HTTPException, ValueError) as error:
        return {"content": [{"type": "text", "text": f"no tools to be reached: {error}"}], "isError": True}
    wrong = bool(found.get("error"))
    text = str(found.pop("text", ""))
    result: dict[str, Any] = {"content": [{"type": "text", "text": text}], "isError": wrong}
    return result if wrong else {**result, "structuredContent": found}


def serve(tools: list[dict[str, Any]]) -> int:
    """Answer messages, one a line, until they end."""
    for line in sys.stdin:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            answer: dict[str, Any] | None = {
                "jsonrpc": "2.0",
                "id": None,
                "error": {"code": -32700, "message": "no message of JSON-RPC"},
            }
        else:
            answer = reply(tools, message)
        if answer is not None:
            sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
            sys.stdout.flush()
    return 0


def main(argv: list[str]) -> int:
    """Ask what the command line says, print the answer and give the exit code."""
    tools = load()
    if argv == ["mcp"]:
        return serve(tools)
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview(tools) + "\n")
        return 0 if argv else 2
    name = argv[0].replace("-", "_")
    tool = next((tool for tool in tools if tool["name"] == name), None)
    if tool is None:
        names = ", ".join(tool["name"] for tool in tools)
        sys.stderr.write(f"incident: there is no tool {argv[0]!r}; there are {names}\n")
        return 2
    words = argv[1:]
    if "-h" in words or "--help" in words:
        sys.stdout.write(help_text(tool) + "\n")
        return 0
    as_json = "--json" in words
    try:
        given = read(tool, [word for word in words if word != "--json"])
    except ValueError as error:
        sys.stderr.write(f"incident: {error}; `incident {argv[0]} --help` lists the parameters\n")
        return 2
    try:
        answer = ask(os.environ.get("FIREDRILL_TOOLS", DEFAULT), name, given, wide=as_json)
    except (OSError, http.client.HTTPException, ValueError) as error:
        sys.stderr.write(f"incident: no tools to be reached: {error}\n")
        return 3
    text = answer.pop("text", "")
    if answer.get("error"):
        sys.stderr.write(f"incident: {text.removeprefix('error: ')}\n")
        return 2
    sys.stdout.write((json.dumps(answer, ensure_ascii=False) if as_json else text) + "\n")
    return 0


def _first(text: str) -> str:
    return text.partition(". ")[0].rstrip(".")


def _kind(about: dict[str, Any]) -> str:
    if "enum" in about:
        return "|".join(map(str, about["enum"]))
    return _KINDS.get(about.get("type", ""), "TEXT")


if __name__ == "__main__":
    # a reader that has seen enough, such as `head`, ends this program quietly
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]  # a real stream
    sys.exit(main(sys.argv[1:]))
