"""Promise: the lines of docs/caches.md work as they stand, on caches as those tools write them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from aeformat.cli.main import main
from tests.exchange.needs import need
from tools.adapter_matrix import ROWS
from tools.adapter_matrix import line as line_of
from tools.caches.writers import NEEDS, WRITERS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "caches.md"
BLOCK = re.compile(r"^```(sh|py)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FOLDERS = {"kohya": "kohya sd, sdxl", "musubi": "musubi-tuner", "ai-toolkit": "ai-toolkit", "tars": "WebDataset"}


def test_all_lines_run(tmp_path, monkeypatch, capsys):
    """Five for each tool, one after another; the Python in between sees the sets."""
    monkeypatch.chdir(tmp_path)
    for folder, tool in FOLDERS.items():
        WRITERS[tool][1](tmp_path / folder, 4)
    (tmp_path / "kohya-texts").mkdir()
    np.savez(
        tmp_path / "kohya-texts" / "img0_te_outputs.npz", hidden_state1=np.ones((77, 8), np.float32), pool2=np.ones(4)
    )
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert [kind for kind, _ in blocks].count("sh") == len(FOLDERS)

    for kind, text in blocks:
        if kind == "py":
            exec(compile(text, str(PAGE), "exec"), {})
            continue
        lines = text.splitlines()
        assert len(lines) == 5
        for line in lines:
            program, *arguments = shlex.split(line)
            assert program == "aeformat"
            assert main(arguments) == 0, line
    assert "not kept" in capsys.readouterr().err


@pytest.mark.parametrize("tool", WRITERS)
def test_the_table_is_what_the_tool_prints(tmp_path, tool):
    if tool in NEEDS:
        need(NEEDS[tool])
    text, bits = line_of(tool, tmp_path, ROWS)

    assert bits == 0
    assert text in PAGE.read_text(encoding="utf-8").splitlines()


def test_the_table_is_of_these_caches():
    """Each that the tool writes stands in it, with no differing bit."""
    table = [row for row in PAGE.read_text(encoding="utf-8").splitlines() if row.endswith("| 0 |")]
    assert {row.split(" | ")[0][2:] for row in table} == {*WRITERS, ".pt", "SimpleTuner", "diffusion-pipe"}
