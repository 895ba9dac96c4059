"""Names that change on the way: rows with other lists of them, with none, or with a name once more, begin a new chunk."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from aeformat.container.header import LatentsHeader
from aeformat.container.names import RowNames
from aeformat.container.writer import LatentsWriter
from aeformat.errors import NamesInvalid
from aeformat.pipeline.convert import convert
from aeformat.reader import open_latents, stream_latents

HEADER = LatentsHeader(
    decoder=bytes(32), dims=(2,), image=(4, 4, 1), encoding="u8", codec="none", filter="none", values="u8", encoder=None
)
VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "container" / "valid"


def written(*parts: RowNames | None) -> list[tuple[int, RowNames | None]]:
    """Two rows for each part; what is read back, chunk by chunk."""
    sink = io.BytesIO()
    with LatentsWriter(sink, HEADER) as writer:
        for part in parts:
            writer.write(np.zeros((2, 2), np.uint8), part)
    sink.seek(0)
    return [(len(block.values), block.names) for block in stream_latents(sink)]


A, B = RowNames(names=("a", "b")), RowNames(names=("c", "d"))
LABELS = RowNames(labels=(1, 2))


@pytest.mark.parametrize(
    ("parts", "n_rows"),
    [
        ((A, B), [4]),
        ((None, None), [4]),
        ((A, None), [2, 2]),
        ((None, A, B), [2, 4]),
        ((A, LABELS), [2, 2]),
        ((A, A), [2, 2]),
        ((A, B, RowNames(names=("x", "a")), RowNames(names=("b", "c"))), [4, 4]),
    ],
    ids=str,
)
def test_every_row_keeps_its_names(parts, n_rows):
    """Nothing is refused, nothing lost, and chunks end only where they must."""
    chunks = written(*parts)

    assert [n for n, _ in chunks] == n_rows
    for column in ("names", "labels"):
        expected = [item for part in parts for item in (getattr(part, column, None) or (None, None))]
        found = [item for n, names in chunks for item in (getattr(names, column, None) or (None,) * n)]
        assert found == expected


def test_a_name_twice_among_rows_given_at_once_is_refused():
    """They could not all be in one chunk, and whoever gives them did not mean it (C7-3)."""
    with pytest.raises(NamesInvalid):
        written(RowNames(names=("a", "a")))


@pytest.mark.parametrize("path", sorted(VECTORS.glob("11*.aef")), ids=lambda path: path.stem)
def test_valid_names_are_converted(path):
    """Each valid vector with names comes out with the same rows and the same names."""

    def rows(data: bytes) -> list[object]:
        found = []
        for block in stream_latents(io.BytesIO(data)):
            names = (block.names.names if block.names else None) or (None,) * len(block.values)
            found += [(name, values.tobytes()) for name, values in zip(names, block.values, strict=True)]
        return found

    sink = io.BytesIO()
    convert(stream_latents(io.BytesIO(path.read_bytes())), sink, encoding=None, codec="none")
    assert rows(sink.getvalue()) == rows(path.read_bytes())


def test_all_names_are_had_without_a_row(tmp_path):
    """Chunk by chunk, sources among them; None where a chunk has none."""
    sourced = RowNames(("e", "f"), None, (bytes(32), bytes([1]) * 32))
    with (tmp_path / "some.aef").open("wb") as file, LatentsWriter(file, HEADER) as writer:
        for part in (A, None, sourced):
            writer.write(np.zeros((2, 2), np.uint8), part)
    with open_latents(tmp_path / "some.aef") as latents:
        latents._read_block = None  # rows cannot be read now

        assert list(latents.all_names()) == [(0, 2, A), (2, 2, None), (4, 2, sourced)]
