"""pack --refine: closer images or fewer bits, the same file on every backend, and refusals where it means nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aeformat.backends.runtime import tensorflow_installed

Run = Callable[..., Any]
PRICE = 2.0


@pytest.fixture
def few(folder: Path) -> Path:
    """Eight of the digits: each costs many decodings."""
    np.save("few.npy", np.load("digits.npy")[::13])
    return folder / "few.npy"


def total(aeformat: Run, few: Path, name: str) -> float:
    """Bits of the file plus priced error, over all images."""
    assert aeformat("unpack", name, "-o", f"{name}.npy", "--decoder", "m.decoder.aef").code == 0
    error = np.square(np.load(f"{name}.npy").reshape(-1) - np.load(few).reshape(-1).astype(float)).sum() / 255**2
    return 8 * Path(name).stat().st_size + PRICE * float(error)


def test_refining_pays(aeformat: Run, few: Path, model: Path):
    """Bits plus priced error fall well below what the encoder alone gives, and no further round loses any of it."""
    assert aeformat("pack", few, "-o", "plain.aef", "--model", model).code == 0
    assert aeformat("pack", few, "-o", "once.aef", "--model", model, "--refine", PRICE, "--refine-rounds", 1).code == 0
    twice = ("--refine", PRICE, "--refine-rounds", 2)
    assert aeformat("pack", few, "-o", "twice.aef", "--model", model, *twice).code == 0

    plain, once, both = (total(aeformat, few, name) for name in ("plain.aef", "once.aef", "twice.aef"))
    assert once < plain - 16  # beyond what the last word of the coder can be
    assert both <= once + 16
    assert Path("twice.aef").read_bytes() != Path("once.aef").read_bytes()


def test_refining_gives_the_same_file_everywhere(aeformat: Run, few: Path, model: Path):
    """Whatever computes it, and however many rows are read at once."""
    backends = ("numpy", "tensorflow") if tensorflow_installed() else ("numpy",)
    for backend in backends:
        for batch_rows in (1, 4096):
            done = aeformat(
                "pack", few, "-o", f"out-{backend}{batch_rows}.aef", "--model", model, "--refine", PRICE, "--backend", backend,
                "--batch-rows", batch_rows,
            )  # fmt: skip
            assert done.code == 0
    assert len({path.read_bytes() for path in Path().glob("out-*.aef")}) == 1


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--model", "mnist-exact", "--refine", 5), "prior"),
        (("--model", "mnist-128-64-128", "--refine", 5), "prior"),
        (("--model", "m", "--refine", 5, "--codec", "zstd"), "--codec rans"),
        (("--model", "m", "--refine", 5, "--codec", "none"), "--codec rans"),
        (("--model", "m", "--refine", 5, "--encoding", "f32le"), "--codec rans"),
        (("--model", "m", "--refine", 0), "price"),
        (("--model", "m", "--refine", -1), "price"),
        (("--model", "m", "--refine", "nan"), "price"),
        (("--model", "m", "--refine", "inf"), "price"),
        (("--model", "m", "--refine", "auto"), "a number"),
        (("--model", "m", "--refine", "much"), "auto"),
        (("--model", "m", "--refine-rounds", 2), "--refine PRICE"),
    ],
    ids=str,
)
def test_refining_is_refused_where_it_means_nothing(
    aeformat: Run, few: Path, model: Path, options: tuple[Any, ...], word: str
):
    """Exit 2, one line, and no file."""
    done = aeformat("pack", few, "-o", "out.aef", *options)
    assert done.code == 2
    assert word in done.err
    assert done.err.count("\n") == 1
    assert not Path("out.aef").exists()
