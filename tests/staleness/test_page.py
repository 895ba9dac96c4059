"""Promise: docs/checking.md shows what `aeformat check` does: its table, and its lines, as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from aeformat.cli.main import main
from aeformat.images import demo_digits
from aeformat.images.files import save_png
from tools import staleness_table

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "checking.md").read_text(encoding="utf-8")
VAE = ROOT / "spec" / "vectors" / "network" / "valid" / "001-by-hand.safetensors"


def code(language: str) -> str:
    """The one block in that language."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(block)


def test_the_table_is_what_is_said(capsys):
    """Each case, what was said of it, and the exit code."""
    assert staleness_table.main() == 0

    table = capsys.readouterr().out
    assert len(table.splitlines()) > 20
    assert table in PAGE


def test_the_lines_run(tmp_path):
    """All five, where the block of Python has run; nothing is stale after the last."""
    (tmp_path / "photos").mkdir()
    for number, digit in enumerate(demo_digits()[:6]):
        save_png(tmp_path / "photos" / f"{number}.png", digit)
    (tmp_path / "vae.safetensors").write_bytes(VAE.read_bytes())
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    block = code("python")
    subprocess.run([sys.executable, "-c", block], cwd=tmp_path, env=environment, check=True)
    (tmp_path / "encode_images.py").write_text(block.partition("\npaths = ")[0])
    (tmp_path / "photos" / "0.png").unlink()
    lines, codes = code("sh").splitlines(), []
    assert len(lines) == 5
    for line in lines:
        arguments, _, target = line.partition(" > ")
        done = subprocess.run(
            [sys.executable, "-m", *arguments.split()], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert not done.stderr, line
        codes.append(done.returncode)
        if target:
            (tmp_path / target).write_text(done.stdout)

    assert codes == [1, 1, 0, 1, 0]
    assert main(["check", str(tmp_path / "cache.aef"), "--images", str(tmp_path / "photos")]) == 0
