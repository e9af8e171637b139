"""The rules of the house, checked on the code itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # nothing of it runs our code here, so that coverage would follow in vain
REPO = Path(__file__).resolve().parents[2]
FORBIDDEN = {"eval", "exec", "compile", "os.system", "pickle.load", "pickle.loads", "marshal.loads"}
SOURCES = sorted((REPO / "src" / "firedrill").rglob("*.py"))


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, capture_output=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [REPO / name for name in listing.stdout.decode().split("\0") if name and (REPO / name).is_file()]


def ids(path: Path) -> str:
    return str(path.relative_to(REPO))


def test_import_rules_hold() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def offences() -> dict[str, dict[str, list[str]]]:
    """What each rule has to say of each module; every module is parsed once."""
    assert SOURCES
    found: dict[str, dict[str, list[str]]] = {"readable": {}, "dangerous": {}}
    for path in SOURCES:
        text = path.read_text()
        tree = ast.parse(text)
        for rule, said in (("readable", list(readable(text, tree))), ("dangerous", list(dangerous(tree)))):
            if said:
                found[rule][ids(path)] = said
    return found


def dotted(node: ast.expr) -> str:
    """``yaml.load`` of a call's function; nothing of what is no plain name."""
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def readable(text: str, tree: ast.Module) -> Iterator[str]:
    """What makes a module hard to read."""
    if (lines := len(text.splitlines())) > 500:
        yield f"{lines} lines"
    if not ast.get_docstring(tree):
        yield "a module says what it is for"
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        # a command's options are its signature: only what it does counts
        if (node.end_lineno or 0) - node.body[0].lineno >= 80:
            yield f"{node.name} is too long"


def dangerous(tree: ast.Module) -> Iterator[str]:
    """Calls that run foreign text as code, or by a shell."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = dotted(node.func)
        if called in FORBIDDEN:
            yield f"line {node.lineno}: {called}"
        if called == "yaml.load":
            loader = [dotted(word.value) for word in node.keywords if word.arg == "Loader"]
            if not loader:
                yield f"line {node.lineno}: no loader named"
            elif any(unsafe in loader[0] for unsafe in ("Unsafe", "Full")):
                yield f"line {node.lineno}: {loader[0]}"
        if any(word.arg == "shell" for word in node.keywords):
            yield f"line {node.lineno}: no shell on the host"


def test_modules_stay_readable(offences: dict[str, dict[str, list[str]]]) -> None:
    assert not offences["readable"]


def test_no_dangerous_calls(offences: dict[str, dict[str, list[str]]]) -> None:
    assert not offences["dangerous"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"""x"""\n' + "a = 1\n" * 500, "501 lines"),
        ("a = 1", "what it is for"),
        ('"""x"""\ndef f():\n' + "    a()\n" * 81, "f is too long"),
    ],
)
def test_what_is_hard_to_read_is_told(text: str, said: str) -> None:
    assert [said in told for told in readable(text, ast.parse(text))] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "eval(x)",
        "os.system('ls')",
        "yaml.load(x)",
        "yaml.load(x, Loader=yaml.UnsafeLoader)",
        "subprocess.run(x, shell=False)",
    ],
)
def test_what_is_dangerous_is_told(text: str) -> None:
    assert len(list(dangerous(ast.parse(text)))) == 1


def test_no_registry_host_is_named_anywhere() -> None:
    hosts = re.compile(rb"pypi\.(org|python)|pythonhosted|deb\.debian|registry\.npm|crates\.io", re.I)
    named = [ids(p) for p in tracked() if p.name != Path(__file__).name and hosts.search(p.read_bytes())]
    assert not named


def test_lock_files_name_no_address_and_pin_by_hash() -> None:
    locks = [path for path in tracked() if path.suffix == ".lock"]
    assert locks
    for path in locks:
        text = path.read_text()
        assert "://" not in text, path
        for block in re.split(r"\n(?=\S)", text.strip()):
            if not block.startswith("#"):
                assert "--hash=sha256:" in block, f"{path}: {block.splitlines()[0]}"


def test_no_path_of_a_machine_is_committed() -> None:
    # spelled in pieces, so that this file passes its own rule
    paths = re.compile(rb"/wo" rb"rk/(main|shared)|/tmp/d/(real|itb)|/tmp/br" rb"ief")
    named = [ids(p) for p in tracked() if paths.search(p.read_bytes())]
    assert not named


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, firedrill.cli; firedrill.cli.main(['--help']);"
        "heavy = {'duckdb', 'numpy', 'networkx', 'pydantic', 'httpx', 'starlette', 'altair', 'typer', 'rich'};"
        "found = sorted(heavy & set(sys.modules)); sys.exit(','.join(found) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_verb_has_a_module_and_answers_help() -> None:
    from firedrill.cli.app import VERBS, main

    for verb in VERBS:
        assert (REPO / "src" / "firedrill" / "cli" / f"{verb}.py").is_file(), verb
        assert main([verb, "--help"]) == 0, verb
