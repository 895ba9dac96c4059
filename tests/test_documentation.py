"""Promise: what README, docs/, the pages at the top and the docstrings show is so: their code runs, and what they name is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aeformat
from aeformat.images import demo_digits

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "SECURITY")),
    ROOT / "tools" / "README.md", ROOT / "examples" / "README.md", *sorted((ROOT / "docs").rglob("*.md")),
]  # fmt: skip
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_OF_OTHERS = re.compile(r"`npm [^`]*`")  # its options are its own
_PLACE = re.compile(
    r"`((?:aeformat|spec|models|tests|tools|docs|examples|\.github|\.ci)/[\w./-]*|[\w/]+\.(?:py|toml|yaml|sh))`"
)


def page_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return [code for kind, code in _BLOCK.findall(page.read_text(encoding="utf-8")) if kind == language]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with what the pages speak of: photos/, images.npy, digits.aef; a network and its latents."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "spec" / "vectors" / "network" / "valid" / "001-by-hand.safetensors", "vae.safetensors")
    np.save("latents.npy", np.linspace(-1, 1, 8 * 4 * 8 * 8, dtype=np.float32).reshape(8, 4, 8, 8))
    digits = demo_digits()
    np.save("images.npy", digits)
    aeformat.pack(digits, "first.aef")
    aeformat.unpack("first.aef", "photos")
    aeformat.pack("photos", "digits.aef")
    Path("first.aef").unlink()
    return tmp_path


def names_in(folder: Path) -> list[str]:
    """The names of the files in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def run(arguments: list[str], folder: Path, **more: object) -> subprocess.CompletedProcess[str]:
    """A child process that uses this checkout's package."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "AEFORMAT_CACHE": str(folder / "cache")}
    return subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, **more)


# Pages whose code needs more than this project: tests/exchange/test_onnx_torch.py runs that one.
RUN_ELSEWHERE = (ROOT / "docs" / "pytorch.md",)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in RUN_ELSEWHERE], ids=page_id)
def test_python_blocks_run(page, folder):
    """As they stand, one after another."""
    for code in blocks(page, "python"):
        done = run([sys.executable, "-c", code], folder)
        assert done.returncode == 0, f"{code}\n{done.stderr}"


def test_the_front_doors_docstring_runs(folder):
    """The code in it, from the first line to the last."""
    code = "\n".join(line[4:] for line in (aeformat.__doc__ or "").splitlines() if line.startswith("    ") or not line)
    assert "aeformat.decode" in code and "aeformat.validate" in code

    done = run([sys.executable, "-c", code], folder)

    assert done.returncode == 0, done.stderr


def test_the_readers_docstring_runs(folder):
    import aeformat.reader

    code = "\n".join(
        line[4:] for line in (aeformat.reader.__doc__ or "").splitlines() if line.startswith("    ") or not line
    )
    assert "open_latents" in code

    done = run([sys.executable, "-c", code], folder)

    assert done.returncode == 0, done.stderr


def test_the_shell_lines_at_the_top_of_the_readme_run(folder):
    """What a newcomer types first; the images come back under their names."""
    (folder / "digits.aef").unlink()
    (lines,) = [
        code.strip().splitlines() for code in blocks(ROOT / "README.md", "sh") if code.startswith("aeformat pack")
    ]
    assert len(lines) == 5
    for image in (folder / "photos").iterdir():
        image.unlink()
    drawn = run([sys.executable, str(ROOT / "examples" / "draw_photos.py"), "photos"], folder)
    assert drawn.returncode == 0, drawn.stderr

    for line in lines:
        arguments = line.partition("#")[0].split()
        assert arguments[0] == "aeformat"
        done = run([sys.executable, "-m", "aeformat", *arguments[1:]], folder)
        assert done.returncode == 0, f"{line}\n{done.stderr}"

    assert names_in(folder / "restored") == names_in(folder / "photos") != []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(example, tmp_path):
    """Offline, in a folder of their own; each prints something, and nothing on stderr."""
    done = run([sys.executable, str(example)], tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_every_example_is_on_the_page():
    page = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")

    assert EXAMPLES
    assert set(re.findall(r"\((\w+\.py)\)", page)) == {path.name for path in EXAMPLES}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_what_a_page_names_is_there(page):
    """Links, and paths in code marks; a short path counts from aeformat/, from the place of its part, or stands for many."""
    text = page.read_text(encoding="utf-8")
    missing = [
        target for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", text) if not (page.parent / target).exists()
    ]
    for name in _PLACE.findall(text):
        places = [ROOT, ROOT / "aeformat", ROOT / "tools", ROOT / "aeformat" / "container", page.parent]
        if "NAME" in name or "VERSION" in name or any(list(place.glob(name)) for place in places):
            continue
        if "/" not in name and any(list((ROOT / top).rglob(name)) for top in ("aeformat", "tools", "tests")):
            continue
        missing.append(name)
    assert missing == []


def test_options_that_pages_name_are_options():
    """Each --option in README and docs/ is one that the command line has, or where a line names one of tools/, that tool's kind."""
    known, of_tools = (options_in(ROOT / place) for place in ("aeformat/cli", "tools"))
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "SECURITY.md"):
        for line in _OF_OTHERS.sub("", page.read_text(encoding="utf-8")).splitlines():
            named = set(re.findall(r"(?<![\w-])(--[a-z][\w-]+)", line))
            assert named <= (known | of_tools if "tools" in line else known), (page_id(page), line)


def options_in(folder: Path) -> set[str]:
    """Options of the programs in a folder."""
    sources = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    return set(re.findall(r'"(--[\w-]+)"', sources))


def test_public_names_in_the_change_log_are_public():
    """CHANGELOG.md names the front door as it is."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    line = re.search(r"`import aeformat` is the front door: (.*?) and the\s+errors", text, re.DOTALL)
    assert line is not None
    assert set(re.findall(r"`(\w+)`", line[1])) <= set(aeformat.__all__)
