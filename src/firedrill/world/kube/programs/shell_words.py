"""Shell scripts as words, operators and redirections."""

from __future__ import annotations

Part = tuple[str, str, bool]
"""(`text`, `name`, `command` or `sum`; its text; whether it was quoted)."""
Word = tuple[Part, ...]
Token = tuple[str, object]
"""(`word`, Word), (`operator`, text) or (`redirect`, (file descriptor, operator))."""

_OPERATORS = (";;", "&&", "||", ";", "&", "|", "(", ")", "\n")


def tokens(text: str) -> list[Token]:
    """The tokens of a script, in order."""
    out: list[Token] = []
    at, size = 0, len(text)
    while at < size:
        char = text[at]
        if char in " \t\r":
            at += 1
        elif text.startswith("\\\n", at):
            at += 2
        elif char == "#":
            end = text.find("\n", at)
            at = size if end < 0 else end
        elif text.startswith("((", at):
            end = _closing(text, at + 1)
            out.append(("word", (("text", "((", False), ("sum", text[at + 2 : end - 1], False))))
            at = end + 1 if text[end : end + 2] != "))" else end + 2
        elif (found := _redirect(text, at)) is not None:
            out.append(("redirect", found[:2]))
            at = found[2]
        elif (operator := next((item for item in _OPERATORS if text.startswith(item, at)), "")) != "":
            out.append(("operator", operator))
            at += len(operator)
        else:
            word, end = _word(text, at)
            out.append(("word", word))
            at = max(end, at + 1)
    return out


def _redirect(text: str, at: int) -> tuple[str, str, int] | None:
    start, number = at, ""
    if text.startswith("&>", at):
        return "&", ">", at + 2
    if text[at].isdigit():
        number, start = text[at], at + 1
    for operator in (">>", ">&", "<<<", "<<-", "<<", "<&", ">|", ">", "<"):
        if text.startswith(operator, start):
            return number or ("0" if operator[0] == "<" else "1"), operator, start + len(operator)
    return None


def _word(text: str, at: int) -> tuple[Word, int]:
    parts: list[Part] = []
    buffer = ""
    while at < len(text) and text[at] not in " \t\r\n;&|()<>":
        char = text[at]
        if char in "'\"$`\\":
            if buffer:
                parts.append(("text", buffer, False))
                buffer = ""
            found, at = _special(text, at)
            parts += found
        else:
            buffer += char
            at += 1
    if buffer:
        parts.append(("text", buffer, False))
    return tuple(parts), at


def _special(text: str, at: int) -> tuple[list[Part], int]:
    char = text[at]
    if char == "'":
        end = text.find("'", at + 1)
        end = len(text) if end < 0 else end
        return [("text", text[at + 1 : end], True)], end + 1
    if char == "\\":
        return [("text", text[at + 1 : at + 2].replace("\n", ""), True)], at + 2
    if char == '"':
        return _quoted(text, at + 1)
    part, at = _dollar(text, at, False)
    return [part], at


def _quoted(text: str, at: int) -> tuple[list[Part], int]:
    parts: list[Part] = []
    buffer = ""
    while at < len(text) and text[at] != '"':
        char = text[at]
        if char == "\\" and text[at + 1 : at + 2] in ("$", "`", '"', "\\", "\n"):
            buffer += text[at + 1].replace("\n", "")
            at += 2
        elif char in "$`":
            parts.append(("text", buffer, True))
            buffer = ""
            part, at = _dollar(text, at, True)
            parts.append(part)
        else:
            buffer += char
            at += 1
    parts.append(("text", buffer, True))
    return parts, at + 1


def _dollar(text: str, at: int, quoted: bool) -> tuple[Part, int]:
    if text[at] == "`":
        end = text.find("`", at + 1)
        end = len(text) if end < 0 else end
        return ("command", text[at + 1 : end], quoted), end + 1
    if text.startswith("$((", at):
        end = _closing(text, at + 2)
        return ("sum", text[at + 3 : end], quoted), end + 2
    if text.startswith("$(", at):
        end = _closing(text, at + 1)
        return ("command", text[at + 2 : end], quoted), end + 1
    if text.startswith("${", at):
        end = text.find("}", at)
        end = len(text) if end < 0 else end
        return ("name", text[at + 2 : end], quoted), end + 1
    end = at + 1
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    if end == at + 1 and text[end : end + 1] in ("?", "#", "@", "*", "$", "!"):
        end += 1
    if end == at + 1:
        return ("text", "$", quoted), end
    return ("name", text[at + 1 : end], quoted), end


def _closing(text: str, at: int) -> int:
    """Where the bracket that opens at `at` is closed."""
    depth, quote = 0, ""
    for number in range(at, len(text)):
        char = text[number]
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
            if depth == 0:
                return number
    return len(text)
