"""What goes wrong with files, and what a program can do about it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import aeformat


def main() -> None:
    """A damaged file, a cut file, and a decoder that is not the file's own."""
    images = np.zeros((300, 28, 28, 1), np.uint8)
    images[:, 8:20, 13:15] = 255
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "good.aef"
        aeformat.pack(images, path, model="mnist-exact")
        data = path.read_bytes()

        damaged = Path(folder) / "damaged.aef"
        damaged.write_bytes(data[:-100] + bytes([data[-100] ^ 1]) + data[-99:])
        for problem in aeformat.validate(damaged).problems:  # all problems, not only the first
            print(f"damaged: rule {problem.rule}, byte {problem.at}")

        cut = Path(folder) / "cut.aef"
        cut.write_bytes(data[:-20])
        try:
            aeformat.decode(cut)
        except aeformat.Truncated as error:
            print(f"cut: {error.hint.value}")
        with aeformat.stream(cut, recover=True) as blocks:  # what is there, checked
            print(f"recovered {sum(len(block.values) for block in blocks)} rows")

        try:
            aeformat.decode(path, decoder="mnist-128-64-128")
        except aeformat.DecoderMismatch as error:
            print(f"wrong decoder: {error.hint.value if error.hint else error.code}")


if __name__ == "__main__":
    main()
