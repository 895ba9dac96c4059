"""Promise: aeformat.torch gives the batches of aeformat.batches as tensors, through any number of workers and ranks.

Each check of torch_checks.py runs in a Python that has torch.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aeformat
from loading import made

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("torch")
    made.write_file(folder / "a.aef")
    made.write_set(folder / "set")
    made.write_shapes(folder / "shapes.aef")
    made.write_file(folder / "bad.aef", codec="none")
    made.damage(folder / "bad.aef", 300)
    with aeformat.create(folder / "taken.aef", dims=1, encoding="u8", fields={"row": int}) as file:
        file.write(np.zeros((2, 1), np.uint8), row=[1, 2])
    return folder


@pytest.fixture
def check(torch_command, environment, sources):
    """Runs one check; returns what it prints."""

    def run(name: str, folder: Path = sources) -> object:
        script = str(ROOT / "tests" / "loading" / "torch_checks.py")
        done = subprocess.run(
            [*torch_command, script, name, str(folder)], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.mark.parametrize("name", ["workers", "ranks", "tensors", "rows", "shapes", "resume", "stateful", "pickle"])
def test_with_torch(check, name):
    """What it promises stands in its docstring in torch_checks.py."""
    assert check(name)


def test_ranks_of_torch_distributed(check, sources, tmp_path):
    """Two processes that know one another."""
    shutil.copy(sources / "a.aef", tmp_path)

    assert check("distributed", tmp_path) == 2


def test_a_damaged_chunk_is_one_clear_line_also_in_a_worker(check):
    alone, in_worker = check("damage")

    for line in (alone, in_worker):
        assert re.search(
            r"bad\.aef: the checksum of chunk \d+'s payload does not match \(rule C4-11, byte \d+\)$", line
        )


def test_mistakes_are_refused_in_words(check):
    assert check("refusals") == [
        "give rank and world_size together",
        "rank is 2, and must be below world_size, 2",
        "a batch has 'row' of its own; leave the field of that name out: fields=...",
        "batch_size is 0, and must be a whole number of 1 or more",
    ]


def test_without_torch_the_import_says_what_to_install():
    code = "import sys; sys.modules['torch'] = None; import aeformat.torch"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    last = done.stderr.strip().splitlines()[-1]
    assert last == 'aeformat.errors.BackendUnavailable: PyTorch is not installed: pip install "aeformat[torch]"'


def test_the_page_on_loading_runs(torch_command, environment, tmp_path):
    """docs/loading.md, the blocks for PyTorch, in a folder with the file that the page speaks of."""
    page = (ROOT / "docs" / "loading.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python torch\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    made.write_file(tmp_path / "cache.aef")
    made.write_shapes(tmp_path / "buckets.aef")

    for code in blocks:
        done = subprocess.run(
            [*torch_command, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{code}\n{done.stderr[-3000:]}"
