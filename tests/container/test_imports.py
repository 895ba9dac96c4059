"""What others embed stays small: msgpack, zstandard, the standard library, and NumPy with the first array."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import aeformat

from .files import edges, header, write

_NEEDED = {"msgpack", "zstandard", "_cffi_backend"}  # the last for PyPy's zstandard
_ROOT = Path(aeformat.__file__).parents[1]
_PRELUDE = f"""
import sys, json
sys.path.insert(0, {str(_ROOT)!r})
before = set(sys.modules)
def tell():  # Cython leaves modules that were never imported from anywhere: they have no spec
    new = [name for name in set(sys.modules) - before if getattr(sys.modules[name], "__spec__", None)]
    print(json.dumps(new))
"""


def _loaded(code: str, *arguments: str) -> set[str]:
    """The modules that a fresh process has loaded after running the code."""
    made = subprocess.run(
        [sys.executable, "-I", "-c", _PRELUDE + code + "\ntell()", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert made.returncode == 0, made.stderr
    return set(json.loads(made.stdout.splitlines()[-1]))


def _strangers(modules: set[str]) -> set[str]:
    """Top-level packages that are neither this one nor the standard library."""
    return {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - {"aeformat"}


OPEN = """
from aeformat.reader import open_latents, stream_latents
with open_latents(sys.argv[1]) as latents:
    assert (latents.n_rows, latents.header.dims, len(latents)) == (5, (3,), 5)
    assert latents.trailer.content_id and latents.embedded_decoder == b"decoder"
with open(sys.argv[1], "rb") as file:
    stream = stream_latents(file)
    assert stream.header.encoding == "f32le" and stream.embedded_decoder == b"decoder"
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A small file."""
    made = tmp_path_factory.mktemp("imports") / "x.aef"
    made.write_bytes(write(edges("f32", 5), header(), chunk_rows=2, decoder=b"decoder"))
    return str(made)


@pytest.mark.parametrize("code", ["import aeformat.reader", OPEN], ids=["import", "open"])
def test_the_reader_loads_neither_numpy_nor_tensorflow(code, path):
    """Importing it, opening a file, reading header, counts and the embedded decoder."""
    modules = _loaded(code, path)

    assert _strangers(modules) <= _NEEDED
    packages = {name.split(".")[1] for name in modules if name.startswith("aeformat.")}
    assert not packages & {"images", "model", "backends", "pipeline", "training", "cli", "net", "writer"}
    assert "aeformat.container.writer" not in modules


def test_the_first_array_brings_numpy_and_nothing_else(path):
    """That is all it takes to read rows."""
    modules = _loaded(OPEN + "assert open_latents(sys.argv[1])[0].shape == (3,)", path)

    assert "numpy" in modules
    assert _strangers(modules) <= _NEEDED | {"numpy"}


def test_the_package_itself_loads_nothing():
    """`import aeformat` is for its version."""
    assert not _strangers(_loaded("import aeformat"))


@pytest.mark.parametrize(
    "module", ["reader", "container.writer", "container.parser", "container.payloads", "validator"]
)
def test_the_container_never_loads_tensorflow_or_pillow(module):
    """Nor anything else that is optional."""
    assert _strangers(_loaded(f"import aeformat.{module}")) <= _NEEDED
