"""Big-endian: the same vectors, the same exact pixels, the same bytes written, on an emulated s390x."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.exactness import results
from tools.exactness.work import N_FEW

ROOT = Path(__file__).resolve().parent.parent

# What the emulated machine computes: pixels and latents of both halves, and a file written there.
SCRIPT = """
import hashlib, io, sys
import numpy as np
from aeformat.backends.golden_check import check
from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.container.header import LatentsHeader
from aeformat.images import demo_digits
from aeformat.model import store
from aeformat.container.decoder_prior import DecoderPrior
from aeformat.container.prior import Prior
from aeformat.container.ragged import RaggedRows
from aeformat.container.text19 import format_rows, parse_rows
from aeformat.reader import stream_latents
from aeformat.container.writer import LatentsWriter
for name in sys.argv[1:]:
    for package in store.find_pair(name):
        check(package)
encoder, decoder = (NumpyBackend().load(half) for half in store.find_pair("mnist-exact"))
latents = encoder.run(demo_digits())
digest = hashlib.sha256(latents.tobytes() + decoder.run(latents).tobytes())
for encoding, values in (("text19", "f64"), ("f64le", "f32"), ("f32le", "f32"), ("u16le", "u16"), ("bf16le", "bf16")):
    rows = np.arange(600).reshape(60, 10).astype({"f64": "f8", "u16": "u2"}.get(values, "f4"))
    sink = io.BytesIO()
    header = LatentsHeader(decoder=bytes(32), dims=(10,), image=(28, 28, 1), encoding=encoding, values=values)
    with LatentsWriter(sink, header, chunk_rows=7) as writer:
        writer.write(rows if values != "bf16" else rows % 256)
    digest.update(sink.getvalue())
spread = (np.arange(4000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)).view(np.float64)  # bits of every kind
spread = spread[np.isfinite(spread)]
text = format_rows(spread, 1)
assert parse_rows(text, 1).tobytes() == spread.tobytes() and spread.size > 3900
digest.update(text)
free = LatentsHeader(decoder=bytes(32), dims=(0, 0, 2), image=(0, 0, 3), encoding="u16le")
shapes = [(1, 2, 2), (1, 2, 2), (3, 1, 2), (2, 2, 2)]
rows = [np.arange(np.prod(shape), dtype="u2").reshape(shape) * 301 for shape in shapes]
sink = io.BytesIO()
with LatentsWriter(sink, free, chunk_rows=3) as writer:
    writer.write(RaggedRows.of(free.form, rows, [(8, 16 + len(row)) for row in rows]))
read = [(block.values.shapes, block.values.image_sizes) for block in stream_latents(io.BytesIO(sink.getvalue()))]
digest.update(sink.getvalue() + str(read).encode())
prior = Prior(
    bits=9, lo=-4, hi=3, classes=np.array([300, 212]), tables=np.array([[100, 60, 30, 10, 2, 4, 10, 296], [64] * 8]),
    means=np.arange(20).reshape(2, 10) % 8, picks=np.arange(20).reshape(2, 10) % 2,
)
coded = DecoderPrior(bytes(32), "i8", (10,), (28, 28, 1), prior)
header = LatentsHeader(decoder=bytes(32), dims=(10,), image=(28, 28, 1), encoding="i8", codec="rans")
rows = (np.arange(6000).reshape(600, 10) % 8 - 4).astype(np.int8)
sink = io.BytesIO()
with LatentsWriter(sink, header, prior=coded) as writer:
    writer.write(rows)
stream = stream_latents(io.BytesIO(sink.getvalue()))
stream.give_prior(coded)
assert all((block.values == rows[block.first_row :][: len(block.values)]).all() for block in stream)
digest.update(sink.getvalue())
print(sys.byteorder, digest.hexdigest())
"""


# The exact models, and one float32 model of each family: its widths have no byte order, and emulated floats are slow.
CHECKED = [*sorted(results.load()), "mnist-128-22-128", "mnist-best-22"]


def run_be(python_be: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BE_PYTHONPATH": str(ROOT)}
    return subprocess.run([python_be, *arguments], capture_output=True, text=True, env=environment, cwd=ROOT)


def test_exact_models_and_written_files_are_the_same(python_be):
    """The golden sets hold there; latents, pixels and files have the digest that they have here."""
    there = run_be(python_be, "-c", SCRIPT, *CHECKED)
    assert there.returncode == 0, there.stderr
    here = subprocess.run(
        [sys.executable, "-c", SCRIPT, *CHECKED], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert there.stdout.split()[0] == "big"
    assert there.stdout.split()[1] == here.stdout.split()[1]
    assert len(here.stdout.split()[1]) == hashlib.sha256().digest_size * 2


@pytest.mark.parametrize(
    ("backend", "models"),
    [("integers", sorted(results.load())), ("numpy", ["mnist-exact"])],  # floats are emulated ten times slower
    ids=["integers", "floats"],
)
def test_exact_models_give_the_digests_of_the_test_images(python_be, mnist_dir, monkeypatch, backend, models):
    """The first 300 MNIST images through every exact model: latents and pixels are those of models/exactness.json."""
    monkeypatch.setenv("AEFORMAT_DATA", str(mnist_dir.parent))
    few = str(N_FEW)
    ran = run_be(
        python_be, "-m", "tools.exactness.work", "--backend", backend, "--images", few, "--batches", "64", "--models", *models
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    about, *said = map(json.loads, ran.stdout.splitlines())
    assert about["byte_order"] == "big"
    found = results.load()
    key = {name: min(found[name]["digests"], key=int) for name in models}  # of a model of any size: drawn images
    assert {line["model"]: line["digests"][key[line["model"]]] for line in said} == {
        name: found[name]["digests"][key[name]] for name in models
    }


def test_every_vector_reads_the_same(python_be):
    """The vectors' own tests pass on the big-endian machine: the reader forward and by random access, and models."""
    ran = run_be(
        python_be, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={ROOT}",
        "-k", "not bytes and not halves",  # how a file arrives has no byte order
        "tests/spec/test_container_vectors.py", "tests/spec/test_model_vectors.py", "tests/model/test_bounds.py",
        "tests/container/test_sizes.py", "tests/container/test_ragged.py", "tests/container/test_sized_files.py",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]
