"""Reading a file in another program: `aeformat.reader` needs msgpack and zstandard, and NumPy once an array is wanted.

`python tools/bundle_reader.py aeformat_reader.py` makes one file of it, to be copied into a project.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import aeformat
from aeformat.errors import FormatError
from aeformat.reader import open_latents, stream_latents


def sample(path: Path) -> None:
    """A file to read."""
    with aeformat.create(path, decoder=bytes(32), dims=(4,), image=(8, 8, 1), encoding="u8") as file:
        file.append(np.arange(40, dtype=np.uint8).reshape(10, 4))


def main() -> None:
    """Forward, then by rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.aef"
        sample(path)
        with path.open("rb") as pipe:  # any binary stream; every byte is checked
            for block in stream_latents(pipe):
                print(f"rows from {block.first_row}: {block.values.shape} {block.values.dtype}")
        with open_latents(path) as latents:  # header, trailer, then only the chunk that is asked for
            print(f"row 3: {latents[3]}")
        broken = path.read_bytes()[:-9]
        path.write_bytes(broken)
        try:
            open_latents(path)
        except FormatError as error:
            print(f"refused: code {error.code}, rule {error.rule}, byte {error.at}")


if __name__ == "__main__":
    main()
