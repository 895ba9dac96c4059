"""Tests may import tools; tools import no test, so that each can be understood, and moved, without the other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
TOOLS = TESTS.parent / "tools"
NAMES = {"tests"} | {path.stem for path in TESTS.iterdir() if path.is_dir() or path.suffix == ".py"}


def imported(source: str) -> set[str]:
    """The top-level names that a module imports, wherever in it; a relative import has none."""
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    from_ = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in plain | from_}


def test_no_tool_imports_a_test():
    """By no name under which pytest knows one: `tests.net`, `net`, `conftest`."""
    found = {
        path.relative_to(TOOLS).as_posix(): imported(path.read_text(encoding="utf-8")) & NAMES
        for path in TOOLS.rglob("*.py")
    }

    assert {path: names for path, names in found.items() if names} == {}


def test_such_an_import_is_seen():
    assert imported("def f():\n    from net.running import running\n    import tests.conftest as c") == {"net", "tests"}
    assert {"net", "conftest", "test_tools_alone", "tests"} <= NAMES


def test_the_readme_of_the_tools_names_each():
    text = (TOOLS / "README.md").read_text(encoding="utf-8")
    tools = {path.name for path in TOOLS.iterdir() if path.name not in ("README.md", "__pycache__")}

    assert {name for name in tools if not re.search(rf"\b{re.escape(name.removesuffix('.py'))}\b", text)} == set()
