"""Emit the reader as one self-contained Python file, for tools that want to embed it instead of depending on aeformat.

    python tools/bundle_reader.py aeformat_reader.py

The file needs the standard library, msgpack and zstandard, and NumPy once an array is wanted.  It has the public names of
aeformat.reader and of aeformat.errors.  It is made from the package's own modules, in import order: their imports of one another are
dropped, `module.name` goes to a namespace of that name, and private names get their module's name, so that none collide.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "aeformat"
ENTRY = "container.reader"
PUBLIC = "reader"  # whose docstring tells how to use it


def modules_in_order(entry: str) -> list[str]:
    """The entry module and all of the package's modules it needs, each after those it imports itself."""
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        for needed in imports_of(name):
            visit(needed)
        order.append(name)

    visit(entry)
    return order


def source_of(name: str) -> str:
    """The text of one module, `container.reader` say."""
    return (ROOT / PACKAGE / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")


def last_part(name: str) -> str:
    """What other modules call a module once they have imported it."""
    return name.rpartition(".")[2]


def imports_of(name: str) -> list[str]:
    """The package's modules that a module imports at its top level."""
    found = []
    for node in ast.parse(source_of(name)).body:
        if not isinstance(node, ast.ImportFrom) or (node.module or "").partition(".")[0] != PACKAGE:
            continue
        assert node.module is not None
        inside = node.module.removeprefix(PACKAGE).removeprefix(".")
        if (ROOT / PACKAGE / inside).is_dir():  # `from aeformat.container import wire`
            found += [f"{inside}.{alias.name}".removeprefix(".") for alias in node.names]
        else:
            found.append(inside)
    return found


def top_level_names(tree: ast.Module) -> list[str]:
    """What a module defines, imports left out."""
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names += [target.id for target in targets if isinstance(target, ast.Name)]
    return names


def imported_names(tree: ast.Module) -> list[str]:
    """What a module's imports from outside the package bind, `typing.TYPE_CHECKING` blocks left out."""
    return [
        (alias.asname or alias.name).partition(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import)
        or (isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] != PACKAGE)
        for alias in node.names
    ]


def without_imports(source: str, tree: ast.Module) -> str:
    """The module's text without its docstring, its __future__ import and its imports of the package."""
    drop: set[int] = set()
    for number, node in enumerate(tree.body):
        is_docstring = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_dropped = isinstance(node, ast.ImportFrom) and (
            node.module == "__future__" or (node.module or "").split(".")[0] == PACKAGE
        )
        if is_docstring or is_dropped:
            assert node.end_lineno is not None
            drop.update(range(node.lineno, node.end_lineno + 1))
    lines = source.splitlines(keepends=True)
    return "".join(line for number, line in enumerate(lines, 1) if number not in drop)


def renamed(source: str, names: dict[str, str]) -> str:
    """The text with names replaced, but not attributes (after a dot) nor what strings and comments say."""
    pieces: list[tuple[int, int, str]] = []
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    previous = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and previous != "." and token.string in names:
            at = starts[token.start[0] - 1] + token.start[1]
            pieces.append((at, at + len(token.string), names[token.string]))
        elif token.type == tokenize.STRING and "f" in token.string[: token.string.index(token.string[-1])].lower():
            at = starts[token.start[0] - 1] + token.start[1]  # before Python 3.12 an f-string is one token
            text = re.sub(r"(?<![.\w])\w+", lambda match: names.get(match[0], match[0]), token.string)
            pieces.append((at, at + len(token.string), text))
        previous = token.string
    for start, end, text in reversed(pieces):
        source = source[:start] + text + source[end:]
    return source


def section(name: str) -> str:
    """One module of the bundle, and its namespace if others speak of `name.something`."""
    source = source_of(name)
    tree = ast.parse(source)
    names = top_level_names(tree)
    private = {own: f"_{last_part(name)}{own}" for own in names if own.startswith("_")}
    body = renamed(without_imports(source, tree), private).strip("\n")
    docstring = ast.get_docstring(tree) or ""
    comment = "\n".join(f"# {line}".rstrip() for line in docstring.splitlines())
    public = [own for own in names if not own.startswith("_")]
    fields = ", ".join(f"{own}={own}" for own in public)
    return f"\n\n# ---- {PACKAGE}.{name}\n{comment}\n\n{body}\n\n\n{last_part(name)} = _Namespace({fields})\n"


def bundle(entry: str = ENTRY) -> str:
    """The whole file."""
    order = modules_in_order(entry)
    public = [own for name in order for own in top_level_names(ast.parse(source_of(name))) if not own.startswith("_")]
    spoken = [*public, *map(last_part, order)]
    outside = {own for name in order for own in imported_names(ast.parse(source_of(name)))}
    twice = sorted({own for own in spoken if spoken.count(own) > 1 or own in outside})
    if twice:
        raise ValueError(f"two modules of the bundle define {', '.join(twice)}")
    version = re.search(r'__version__ = "(.+?)"', (ROOT / PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    assert version is not None
    head = (
        f'"""The reader of aeformat {version[1]} in one file.  Made by tools/bundle_reader.py; do not edit.\n\n'
        "Licence: Apache-2.0.  Needs msgpack and zstandard, and numpy once an array is wanted.\n"
        f'{ast.get_docstring(ast.parse(source_of(PUBLIC)))}\n"""\n\n'
        "from __future__ import annotations\n\n"
        "from types import SimpleNamespace as _Namespace\n"
    )
    return head + "".join(section(name) for name in order)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("output", type=Path, metavar="OUT.py")
    output = arguments.parse_args().output
    output.write_text(bundle(), encoding="utf-8")
    print(f"{output}: {len(bundle().splitlines())} lines, modules {', '.join(modules_in_order(ENTRY))}")
