"""Promise: what tools/c/README.md shows compiles and runs; file(1) names our files; the fuzz target holds for the vectors."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .compiled import ROOT, VECTORS, C, compile_c, program, with_zstd

EXAMPLE = ROOT / "examples" / "show_rows.c"
NAMED = {
    "container/valid/001-small": "aeformat container version 1.0, latents u8, codec none",
    "container/valid/014-twin-text19-zstd": "aeformat container version 1.0, latents text19, codec zstd",
    "container/valid/130-rans": "aeformat container version 1.0, latents i8, codec rans",
    "container/valid/160-sized-small": "aeformat container version 1.1, latents u8, codec none, rows of their own size",
    "model/valid/001-dense": "aeformat container version 1.0, model package (decoder), codec none",
    "model/valid/011-encoder": "aeformat container version 1.0, model package (encoder), codec none",
}


def test_example_of_the_page_compiles_and_prints_rows(tmp_path: Path) -> None:
    """The block of the README is the example, and compiles as it is pasted; a broken file has its line and exit code."""
    blocks = re.findall(r"^```c\n(.*?)^```", (C / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert EXAMPLE.read_text("utf-8") in blocks
    pasted = tmp_path / "show_rows.c"
    pasted.write_text(blocks[0], "utf-8")
    show = compile_c(pasted, tmp_path / "show_rows")

    def run(name: str) -> tuple[int, str, str]:
        done = subprocess.run([show, VECTORS / f"{name}.aef"], capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr.partition(": ")[2]

    assert run("container/valid/001-small") == (0, "7 42 255\n", "")
    assert run("container/valid/149-rans-by-hand") == (0, "0 1 1 0\n-4 3 -2 2\n", "")
    assert run("container/invalid/386-compressed-nan")[0] == 1  # no zstd in it
    code, rows, said = run("model/invalid/007-content-id-wrong")
    assert (code, rows, said.split(" at ")[0]) == (1, "", "content M1-2")


@pytest.mark.parametrize("name", NAMED)
def test_file_names_our_files(name: str) -> None:
    """Version, kind, encoding, codec and flags, by tools/c/aef.magic alone; and the media type."""
    command = [program("file"), "-b", "-m", str(C / "aef.magic")]
    path = str(VECTORS / f"{name}.aef")

    assert subprocess.check_output([*command, path], text=True).strip() == NAMED[name]
    assert subprocess.check_output([*command, "--mime-type", path], text=True).strip() == "application/vnd.aeformat"


def test_fuzz_target_holds_for_vectors(tmp_path: Path) -> None:
    """It compiles with libFuzzer, and runs the vectors and a few changed ones."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for path in sorted(VECTORS.glob("*/valid/*.aef"))[::8]:
        shutil.copy(path, corpus / f"{path.parts[-3]}-{path.name}")
    options = ("-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=undefined", *with_zstd())
    fuzz = compile_c(C / "fuzz.c", tmp_path / "fuzz", *options, compiler="clang")

    done = subprocess.run(
        [fuzz, "-runs=200", "-seed=1", "-max_len=4096", corpus], capture_output=True, text=True, cwd=tmp_path
    )

    assert done.returncode == 0, done.stderr[-3000:]
