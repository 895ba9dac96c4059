"""models/exactness.json holds: the exact models give its digests here too, in both backends and at every batch size.

All 10,000 images, thread counts, oneDNN and the big-endian machine are `python -m tools.exactness`'s business; here are the
first 300 images, and tests/test_big_endian.py has them on the big-endian machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aeformat.model import store
from aeformat.model.values import EXACT
from tests.model.with_passes import pair_with_passes
from tools.exactness import results
from tools.exactness.__main__ import batches
from tools.exactness.drawn import N_DRAWN
from tools.exactness.work import BATCHES, N_FEW, N_IMAGES, compute, compute_drawn, exact_pairs, loader
from tools.exactness.work import test_images as mnist_images

PAIRS = exact_pairs()
FOUND = results.load()
THREADS = {1, 2, 4}


def few(name: str) -> str:
    """The key of the digests that are quick to compute."""
    return min(FOUND[name]["digests"], key=int)


FEW_BATCHES = [*(batch for batch in BATCHES if batch < N_FEW), N_FEW]

# Tiles of one pixel take a hundred times as long as others.  photo-1 to photo-3 have the same layers, and so have photo-4 and photo-5.
NOT_BY_PIXELS = {"photo-1", "photo-2", "photo-4"}


def cases(batches: list[int]) -> list[tuple[str, int]]:
    """(model, batch): all, but for tiles of one pixel of NOT_BY_PIXELS."""
    return [(name, batch) for name in PAIRS for batch in batches if not (batch == 1 and name in NOT_BY_PIXELS)]


@pytest.fixture(scope="module")
def mnist(mnist_dir: Path) -> None:
    """MNIST, where `mnist:test` looks for it."""
    before = os.environ.get("AEFORMAT_DATA")
    os.environ["AEFORMAT_DATA"] = str(mnist_dir.parent)
    yield
    if before is None:
        del os.environ["AEFORMAT_DATA"]
    else:
        os.environ["AEFORMAT_DATA"] = before


def test_the_file_is_of_the_models_that_are_here():
    """Every shipped exact pair for images of one size and no other, by model id; run `python -m tools.exactness` where this fails."""
    here = {name for name in store.shipped_names() if {half.profile for half in store.find_pair(name)} == {EXACT}}

    assert FOUND.keys() == PAIRS.keys() == here and here
    for name, pair in PAIRS.items():
        assert [FOUND[name]["encoder"], FOUND[name]["decoder"]] == [half.model_id.hex() for half in pair], name


@pytest.mark.parametrize("name", PAIRS)
def test_the_stored_bounds_are_those_of_the_weights(name):
    """Every layer that makes sums has its bound in the file, and every bound lets floats be exact."""
    for half, package in zip(("encoder", "decoder"), PAIRS[name], strict=True):
        stored = FOUND[name]["bounds"][half]
        assert stored == results.bounds(package)
        assert len(stored) == sum(step.bounds is not None for step in package.plan) > 0
        for layer in stored:
            assert layer["bound"] < (2**24 if layer["floats"] == "f32" else 2**31)


@pytest.mark.parametrize("name", PAIRS)
def test_nothing_was_left_out(name):
    """All images, batch sizes (more threads: those that share), thread counts, oneDNN on and off, both byte orders."""
    runs = FOUND[name]["runs"]

    is_free = PAIRS[name][0].has_free_sizes
    assert FOUND[name]["digests"].keys() == ({str(N_DRAWN)} if is_free else {str(N_FEW), str(N_IMAGES)})
    for run in runs:
        if run["byte_order"] == "little" and "sums" not in run["settings"]:
            assert set(run["batches"]) >= set(batches(run["settings"]["threads"]))
    tensorflow = [run["settings"] for run in runs if run["software"].startswith("TensorFlow")]
    assert {(s["threads"], s["onednn"]) for s in tensorflow} == {(n, on) for n in THREADS for on in ("on", "off")}
    numpy = [run for run in runs if run["software"].startswith("NumPy")]
    floats = [run for run in numpy if "sums" not in run["settings"]]
    assert {run["settings"]["threads"] for run in floats if run["byte_order"] == "little"} == THREADS
    assert "big" in {run["byte_order"] for run in numpy}


@pytest.fixture(scope="module")
def by_tensorflow(mnist, tensorflow) -> dict[tuple[str, int], dict[str, str]]:
    """(model, batch) -> digests of what TensorFlow computes so many rows at a time.

    In a process of its own: TensorFlow does not give back the memory of its graphs, nor that of large batches.
    """
    words = [sys.executable, "-m", "tools.exactness.work", "--backend", "tensorflow", "--images", str(N_FEW)]
    found = {}
    for names, sizes in ((PAIRS.keys() - NOT_BY_PIXELS, BATCHES), (NOT_BY_PIXELS, BATCHES[1:])):
        more = ["--models", *sorted(names), "--batches", *map(str, sizes)]
        ran = subprocess.run(
            [*words, *more], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        for line in map(json.loads, ran.stdout.splitlines()[1:]):
            found[line["model"], line["batch"]] = line["digests"][few(line["model"])]
    return found


@pytest.mark.parametrize(("name", "batch"), cases(list(BATCHES)))
def test_tensorflow_gives_the_latents_and_pixels_of_the_file(name, batch, by_tensorflow):
    """Of the first 300 test images."""
    assert by_tensorflow[name, batch] == FOUND[name]["digests"][few(name)]


@pytest.mark.parametrize(("name", "batch"), cases(FEW_BATCHES))
@pytest.mark.parametrize("backend", ["numpy", "integers"])
def test_latents_and_pixels_are_those_of_the_file(name, backend, batch, mnist):
    """Of the first 300 test images.  NumPy does not fill its batches up: all that are larger compute the same 300 rows."""
    if PAIRS[name][0].has_free_sizes:
        made = compute_drawn(PAIRS[name], backend, batch)
    else:
        made = compute(PAIRS[name], mnist_images(PAIRS[name][0].input.shape, N_FEW), loader(backend), batch)

    assert made == {int(few(name)): FOUND[name]["digests"][few(name)]}


@pytest.mark.parametrize("backend", ["numpy", "integers", "tensorflow"])
def test_a_model_of_any_size_computes_the_same_in_every_tile(backend, request):
    """Latents, pixels and passes of drawn images; TensorFlow computes the passes by its own layers."""
    if backend == "tensorflow":
        request.getfixturevalue("tensorflow")
    pair = pair_with_passes()
    expected = compute_drawn(pair, "numpy", 4096)

    assert [compute_drawn(pair, backend, tile) for tile in (7, 64)] == [expected] * 2
    assert expected[N_DRAWN].keys() == {"latents", "pixels", "passes"}
    assert len(set(expected[N_DRAWN].values())) == 3


def test_the_readme_shows_the_file():
    """models/README.md has the table, line for line: `python -m tools.exactness --table` prints it."""
    page = (results.FILE.parent / "README.md").read_text("utf-8")
    section = page.partition("\n## Exactness\n")[2].partition("\n## ")[0]

    assert [line for line in section.splitlines() if line.startswith("|")] == results.table(FOUND)


def test_a_run_that_differs_is_named():
    """One other pixel somewhere: which model, of how many images, and how it was computed."""
    about = {"software": "NumPy 2", "machine": "x86_64", "settings": {"threads": 2}}
    good = {**about, "batch": 1, "digests": {"300": {"latents": "aa", "pixels": "bb"}}}
    bad = {**about, "batch": 7, "digests": {"300": {"latents": "aa", "pixels": "bc"}}}

    assert results.disagreements("m", [good, good]) == []
    assert results.disagreements("m", [good, bad]) == [
        "m: pixels of 300 images differ: NumPy 2 on x86_64, threads=2, batch 7 and NumPy 2 on x86_64, threads=2, batch 1"
    ]


def test_runs_add_up_while_the_model_is_the_same():
    """Another batch size joins the run of its settings, once; what the file has of other model ids is left behind."""
    (name, pair), *_ = PAIRS.items()
    run = {"software": "NumPy 2", "machine": "x86_64", "settings": {"threads": 2}, "digests": {"300": {"pixels": "bb"}}}
    once = results.merged([{**run, "batch": 1}, {**run, "batch": 64}, {**run, "batch": 1}])
    stored = results.entry(pair, once)

    assert [entry["batches"] for entry in once] == [[1, 64]]
    assert results.runs_of(stored, pair) == once
    assert results.merged([*results.runs_of(stored, pair), {**run, "batch": 7}])[0]["batches"] == [1, 64, 7]
    assert results.runs_of({**stored, "decoder": name}, pair) == []
