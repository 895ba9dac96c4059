"""Coded on one machine, decoded on another: floats differ, and decisions that hang on them; integers do not.

People lose images to this: InterDigitalInc/CompressAI #279.  docs/pytorch.md has the figures.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.exchange.exact_import import make_exact
from aeformat.exchange.imports import Options
from aeformat.exchange.onnx_import import import_onnx
from aeformat.exchange.onnx_write import onnx_bytes
from aeformat.exchange.pixels import numbers_of
from aeformat.exchange.samples import patterns
from aeformat.model.file_io import package_bytes
from exchange.needs import need, needed

needed("onnx")
from exchange import onnx_nets as nets  # noqa: E402
from exchange.across_machines import in_float32  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (48, 48, 3)
N_IMAGES, N_SLOW = 64, 4  # N_SLOW: that an emulated machine computes
STEPS = 1024  # of a decision for each unit of a latent: which table, or which symbol


def wide() -> nets.Net:
    """Enough channels for sums whose order shows: 4 x 4 pixels to 8 numbers."""
    net = nets.Net(shape=(1, 3, 48, 48))
    conv = lambda x, c, d, k, s, made=None: net.op(  # noqa: E731
        "Conv", x, net.random(d, c, k, k, scale=1.4 / (c * k * k) ** 0.5), net.random(d), made=made, strides=[s, s], pads=[k // 2] * 4
    )  # fmt: skip
    x = net.op("Relu", conv(net.op("Relu", conv("x", 3, 64, 5, 2)), 64, 96, 3, 2))
    z = conv(net.op("Relu", conv(x, 96, 96, 3, 1)), 96, 8, 3, 1, made="z")
    x = net.op("Relu", net.up(net.op("Relu", net.up(z, 8, 16)), 16, 8))
    net.op("Sigmoid", net.conv(x, 8, 3), made="y")
    return net


Results = dict[str, np.ndarray]


class Machines:
    """The network in files, and what machines make of it: floats, codes (exact latents) and pixels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.onnx = wide().save(folder / "net.onnx", "y", "z")
        made = import_onnx(Options(self.onnx, "z", "net"))
        self.images = patterns(SHAPE, N_IMAGES)
        self.float_encoder, self.pair = made.encoder, make_exact(made.graphs, self.images[:32], "net")
        for name, package in zip(("float", "encoder", "decoder"), (self.float_encoder, *self.pair), strict=True):
            (folder / f"{name}.aef").write_bytes(package_bytes(package))
        self.here = self._results(in_float32(self.float_encoder, self.images), NumpyBackend())

    def _results(self, floats: np.ndarray, backend) -> Results:
        codes = backend.load(self.pair[0]).run(self.images)
        return {"floats": floats, "codes": codes, "pixels": backend.load(self.pair[1]).run(codes)}

    def elsewhere(self, command: str, n: int, **environment: str) -> Results:
        """Another process, or another machine."""
        np.save(self.folder / "images.npy", self.images[:n])
        files = [
            str(self.folder / name) for name in ("float.aef", "encoder.aef", "decoder.aef", "images.npy", "made.npz")
        ]
        paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(
            [command, str(Path(__file__).parent / "across_machines.py"), *files],
            env={**os.environ, "PYTHONPATH": paths, **environment}, capture_output=True, text=True, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        with np.load(self.folder / "made.npz") as made:
            return dict(made)

    def kernels(self, core: str) -> Results:
        """OpenBLAS as it would compute on another processor."""
        return self.elsewhere(sys.executable, N_IMAGES, OPENBLAS_CORETYPE=core)

    def tensorflow(self) -> Results:
        from aeformat.backends.runtime import load_tensorflow
        from aeformat.backends.tensorflow_backend import TensorflowBackend

        tf, x = load_tensorflow(), None
        for step in self.float_encoder.plan:
            if step.kind == "scale":
                x = tf.constant(self.images.astype(np.float32) / np.float32(255))
            elif step.kind == "relu":
                x = tf.nn.relu(x)
            else:
                around = [[0, 0], *([n, n] for n in step.integers("padding")[::2]), [0, 0]]
                x = (
                    tf.nn.conv2d(tf.pad(x, around), step.arrays["weights"], step.integers("strides"), "VALID")
                    + step.arrays["bias"]
                )
        return self._results(np.asarray(x), TensorflowBackend())

    def onnxruntime(self) -> Results:
        import onnxruntime

        def run(data: bytes, rows: np.ndarray, *names: str) -> list[np.ndarray]:
            session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
            made = [
                session.run(list(names) or None, {session.get_inputs()[0].name: rows[i : i + 1]})
                for i in range(len(rows))
            ]
            return [np.concatenate(parts) for parts in zip(*made, strict=True)]

        (floats,) = run(self.onnx.read_bytes(), numbers_of(self.images, "unit").transpose(0, 3, 1, 2), "z")
        codes, pixels = run(onnx_bytes(self.pair), self.images)
        return {"floats": floats.transpose(0, 2, 3, 1), "codes": codes, "pixels": pixels}

    def counts(self, other: Results) -> dict[str, int]:
        """How many numbers differ from those that were made here."""
        n = len(other["codes"])
        mine, theirs = self.here["floats"][:n], other["floats"]
        return {
            "floats": int((mine != theirs).sum()),
            "decisions": int((np.floor(mine * STEPS) != np.floor(theirs * STEPS)).sum()),
            "exact latents": int((self.here["codes"][:n] != other["codes"]).sum()),
            "exact pixels": int((self.here["pixels"][:n] != other["pixels"]).sum()),
        }


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Machines:
    return Machines(tmp_path_factory.mktemp("machines"))


def assert_integers_agree(machines: Machines, made: Results, *, floats_differ: bool) -> None:
    counts = machines.counts(made)
    assert (counts["exact latents"], counts["exact pixels"]) == (0, 0), counts
    assert (
        np.ptp(made["codes"].astype(int)) > 100 and np.ptp(made["pixels"]) > 50
    )  # it is no blank image that they agree on
    np.testing.assert_allclose(made["floats"], machines.here["floats"][: len(made["codes"])], rtol=1e-3, atol=1e-3)
    if floats_differ:
        assert counts["floats"] > 0, counts


X86 = platform.machine() in ("x86_64", "AMD64")
MADE_BY: dict[str, Callable[[Machines], Results]] = {
    "Nehalem": lambda machines: machines.kernels("Nehalem"),
    "Haswell": lambda machines: machines.kernels("Haswell"),
}


@pytest.mark.skipif(not X86, reason="these kernels are those of x86-64")
def test_other_kernels(machines: Machines) -> None:
    """The floats of the two differ from each other, and a decision somewhere; the integers do not."""
    results = [made(machines) for made in MADE_BY.values()]
    for made in results:
        assert_integers_agree(machines, made, floats_differ=False)

    assert (results[0]["floats"] != results[1]["floats"]).any()
    assert (np.floor(results[0]["floats"] * STEPS) != np.floor(results[1]["floats"] * STEPS)).any()


def test_tensorflow(machines: Machines, tensorflow: object) -> None:
    assert_integers_agree(machines, machines.tensorflow(), floats_differ=True)


def test_onnxruntime(machines: Machines) -> None:
    need("onnxruntime")
    assert_integers_agree(machines, machines.onnxruntime(), floats_differ=True)


def test_the_other_byte_order(machines: Machines, python_be: str) -> None:
    """An emulated s390x computes the first images."""
    made = machines.elsewhere(python_be, N_SLOW, BE_PYTHONPATH=str(ROOT))
    assert_integers_agree(machines, made, floats_differ=True)
