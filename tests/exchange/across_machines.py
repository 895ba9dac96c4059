"""One network on one machine, in floats and in integers: across_machines.py FLOAT.aef ENCODER.aef DECODER.aef IMAGES.npy OUT.npz.

Run under other kernels, and by an emulated machine of the other byte order.  Needs no more than NumPy, msgpack and zstandard.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.model import plain
from aeformat.model.file_io import read_package
from aeformat.model.package import ModelPackage
from aeformat.model.reference import value_of


def in_float32(package: ModelPackage, rows: np.ndarray) -> np.ndarray:
    """As a network is computed where nobody takes care of the order of sums: float32, by this machine's BLAS."""
    values = [rows.astype(np.float32)]
    for step in package.plan:
        x = values[step.inputs[0]]
        if step.kind == "conv2d":
            top, bottom, left, right = step.integers("padding")
            sh, sw = step.integers("strides")
            made = plain.conv2d(x, step.arrays["weights"], (sh, sw), (top, bottom, left, right)) + step.arrays["bias"]
        else:
            made = value_of(step, [values[i] for i in step.inputs])
        values.append(made.astype(np.float32))
    return values[-1]


def main() -> None:
    network, encoder, decoder = (read_package(Path(name).read_bytes()) for name in sys.argv[1:4])
    images = np.load(sys.argv[4])
    codes = NumpyBackend().load(encoder).run(images)
    pixels = NumpyBackend().load(decoder).run(codes)
    np.savez(sys.argv[5], floats=in_float32(network, images), codes=codes, pixels=pixels)


if __name__ == "__main__":
    main()
