"""Promise: the lines of docs/tools/ work as they stand, on caches as those tools write them, and the tables are what the tools print."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from aeformat.cli.main import main
from tests.exchange.needs import need
from tools.adapter_matrix import ROWS
from tools.adapter_matrix import line as line_of
from tools.caches.writers import NEEDS, WRITERS
from tools.move_costs import sentence

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "caches.md").read_text(encoding="utf-8")
TOOLS = ROOT / "docs" / "tools"
BLOCK = re.compile(r"^```(sh|py)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FOLDERS = {
    "kohya": {"kohya": "kohya sd, sdxl"},
    "musubi-tuner": {"musubi": "musubi-tuner"},
    "ai-toolkit": {"ai-toolkit": "ai-toolkit"},
    "folders": {"npz": "npz", "npy": "npy", "safetensors": "safetensors"},
    "webdataset": {"tars": "WebDataset"},
    "parquet-arrow": {"parquet": "Parquet", "arrow": "Arrow"},
    "hdf5": {"hdf5": "HDF5"},
    "numpy-text": {"text": "NumPy text"},
}
WITH_TORCH = {"simpletuner": "SimpleTuner", "diffusion-pipe": "diffusion-pipe", "pt": ".pt"}


def five_lines(page: str) -> list[list[str]]:
    """The arguments of the five commands of a page."""
    (text,) = [code for kind, code in BLOCK.findall((TOOLS / f"{page}.md").read_text(encoding="utf-8")) if kind == "sh"]
    lines = [shlex.split(line) for line in text.splitlines()]
    assert len(lines) == 5 and {line[0] for line in lines} == {"aeformat"}
    return [line[1:] for line in lines]


@pytest.mark.parametrize("page", FOLDERS)
def test_all_lines_run(tmp_path, monkeypatch, page):
    """Five for each tool, one after another; the Python behind them sees the sets."""
    monkeypatch.chdir(tmp_path)
    for folder, tool in FOLDERS[page].items():
        if tool in NEEDS:
            need(NEEDS[tool])
        WRITERS[tool][1](tmp_path / folder, 4)
    if page == "kohya":
        texts = {"hidden_state1": np.ones((77, 8), np.float32), "pool2": np.ones(4)}
        (tmp_path / "kohya-texts").mkdir()
        np.savez(tmp_path / "kohya-texts" / "img0_te_outputs.npz", **texts)

    for arguments in five_lines(page):
        assert main(arguments) == 0, arguments
    for kind, text in BLOCK.findall((TOOLS / f"{page}.md").read_text(encoding="utf-8")):
        if kind == "py":
            exec(compile(text, page, "exec"), {})


WRITE = "import sys; from pathlib import Path; from tools.caches.torch_files import CASES; CASES[sys.argv[1]][1](Path(sys.argv[2]), 4)"
RUN = "import sys, json; from aeformat.cli.main import main; sys.exit(any(main(line) for line in json.loads(sys.argv[1])))"


@pytest.mark.parametrize("page", WITH_TORCH)
def test_all_lines_run_with_torch(tmp_path, torch_command, torch_environment, page):
    paths = os.pathsep.join(filter(None, [str(ROOT), torch_environment.get("PYTHONPATH")]))
    for code, *arguments in ((WRITE, WITH_TORCH[page], page), (RUN, json.dumps(five_lines(page)))):
        done = subprocess.run(
            [*torch_command, "-c", code, *arguments], cwd=tmp_path, env={**torch_environment, "PYTHONPATH": paths},
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_each_page_is_run_and_listed():
    pages = {path.stem for path in TOOLS.glob("*.md")} - {"README"}

    assert pages == {*FOLDERS, *WITH_TORCH}
    listed = re.findall(r"\(([\w-]+)\.md\)", (TOOLS / "README.md").read_text(encoding="utf-8"))
    assert pages <= set(listed)


def test_the_pages_quote_what_was_measured():
    """docs/tools/costs.json, as tools/move_costs.py wrote it; each cache of it stands on one page."""
    found = json.loads((TOOLS / "costs.json").read_text(encoding="utf-8"))
    text = "".join(path.read_text(encoding="utf-8") for path in TOOLS.glob("*.md"))
    pages = {
        **{tool: page for page, tools in FOLDERS.items() for tool in tools.values()},
        **{tool: page for page, tool in WITH_TORCH.items()},
    }

    assert text.count(" s to import, ") == len(pages)
    for tool, page in pages.items():
        assert sentence(found[tool]) in (TOOLS / f"{page}.md").read_text(encoding="utf-8"), tool


@pytest.mark.parametrize("tool", WRITERS)
def test_the_table_is_what_the_tool_prints(tmp_path, tool):
    if tool in NEEDS:
        need(NEEDS[tool])
    text, bits = line_of(tool, tmp_path, ROWS)

    assert bits == 0
    assert text in PAGE.splitlines()


def test_the_table_is_of_these_caches():
    """Each that the tool writes stands in it, with no differing bit."""
    table = [row for row in PAGE.splitlines() if row.endswith("| 0 |")]
    assert {row.split(" | ")[0][2:] for row in table} == {*WRITERS, *WITH_TORCH.values()}
