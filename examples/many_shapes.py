"""A cache of latents of many shapes, of a network that is no model of aeformat: written, picked, cut into batches."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

import aeformat

SHAPES = [(4, 64, 64), (4, 56, 72), (4, 72, 56), (4, 64, 64)]


def main() -> None:
    """Write 40 latents of three shapes, look at the shapes alone, and read batches of one shape each."""
    rng = np.random.default_rng(0)
    latents = [rng.standard_normal(SHAPES[number % 4]).astype(np.float16) for number in range(40)]
    images = [(8 * height, 8 * width) for _, height, width in (row.shape for row in latents)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cache.aef"
        with aeformat.create(path, dims=(4, None, None), image=(None, None, 3), encoding="f16le") as file:
            file.append(latents, [f"{number:02}.png" for number in range(40)], images=images)
        with aeformat.open(path) as rows:
            print(
                f"{rows.n_rows} rows; one of them: {rows[5].shape}, {rows.names(5).names[0]}, of {rows.sizes().image(5)}"
            )
            buckets: dict[tuple[int, ...], list[int]] = defaultdict(list)
            for number, shape in enumerate(rows.sizes().shapes()):  # no row is read for this
                buckets[shape].append(number)
            for shape, numbers in buckets.items():
                print(f"{len(numbers)} rows of {shape}; a batch: {np.stack(rows[numbers[:8]]).shape}")


if __name__ == "__main__":
    main()
