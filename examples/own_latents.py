"""A file of latents that you have as an array: write it with row names, then read any part of it."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import numpy as np

import aeformat

DECODER = hashlib.sha256(b"the decoder of this example, which is not at hand").digest()


def main() -> None:
    """Write 1,000 latents of 16 float32 numbers, and pick rows."""
    latents = np.random.default_rng(0).standard_normal((1000, 16)).astype(np.float32)
    names = [f"images/{number:04}.png" for number in range(1000)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.aef"
        with aeformat.create(path, decoder=DECODER, dims=(16,), image=(28, 28, 1), encoding="f32le") as file:
            file.append(latents[:600], names[:600])  # in as many pieces as you like
            file.append(latents[600:], names[600:])
        with aeformat.open(path) as rows:
            print(f"{rows.n_rows} rows of dims {rows.header.dims}, encoding {rows.header.encoding}")
            print("one row:", rows[7].shape)
            print("a slice:", rows[100:200:2].shape)
            print("a list:", rows[[5, 3, 999]].shape)
            print("a mask:", rows[latents[:, 0] > 2].shape)
        problems = aeformat.validate(path).problems
        print("problems:", len(problems))


if __name__ == "__main__":
    main()
