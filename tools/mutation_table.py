"""Flip every byte and cut at every byte of 30 varied files, and see that nothing is silently different.

    python tools/mutation_table.py [--quick]

Each byte is inverted, and changed once by another mask; each is a file of its own.  It counts as refused if reading it
forward raises an error of the format, and as reported if it reads but the validator finds a problem.  It is *silently
different* if it is read, forward or by seeking, without an error, and values, names, labels, fields, receipts, header, embedded decoder,
manifest or tensors are not those of the good file.  Every cut must be refused as truncated.  --quick takes a sample of the
bytes.  The exit code is 1 if a row of the table is not as it must be.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.container.assigned import VALUE_TYPES
from aeformat.container.columns import RowFields
from aeformat.container.described import Described
from aeformat.container.encodings import array_type
from aeformat.container.field_types import FieldType
from aeformat.container.header import LatentsHeader
from aeformat.container.names import RowNames
from aeformat.container.ragged import RaggedRows
from aeformat.container.receipts import digests_of
from aeformat.container.writer import LatentsWriter
from aeformat.errors import FormatError, Truncated
from aeformat.model.builder import PackageBuilder
from aeformat.model.file_io import package_bytes, read_package
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from aeformat.model.reference import golden_output
from aeformat.reader import Latents, stream_latents
from aeformat.validator import validate

_ROWS: Final = 5
_QUICK_STEP: Final = 17  # --quick: one byte in so many
_SEED: Final = 3

Content = tuple[object, ...]


def exact_decoder() -> ModelPackage:
    """u8 [3] -> dense, lookup -> u8 [1, 2, 1]."""
    builder = PackageBuilder(
        role="decoder", profile="exact", input=Endpoint((3,), "u8"), output=Endpoint((1, 2, 1), "u8")
    )
    weights = np.array([[1, -2], [3, 4], [-5, 6]], np.int8)
    builder.layer("dense", weights=builder.tensor(weights), bias=builder.tensor(np.array([7, -8], np.int32)))
    table = builder.tensor(np.arange(0, 256, 16, dtype=np.uint8))
    builder.layer("lookup", multiplier=builder.tensor(np.array([3], np.int32)), shift=9, table=table)
    builder.layer("reshape", shape=(1, 2, 1))
    return builder.build(
        golden_input=np.array([[1, 2, 3]], np.uint8), golden_output=np.full((1, 1, 2, 1), 128, np.uint8)
    )


def float_encoder() -> ModelPackage:
    """u8 [2, 2, 1] -> scale, flatten, dense of f16, tanh -> f32 [3]."""
    builder = PackageBuilder(
        role="encoder",
        profile="float32",
        input=Endpoint((2, 2, 1), "u8"),
        output=Endpoint((3,), "f32"),
        decoder=bytes(32),
    )
    builder.layer("scale", num=1, den=255)
    builder.layer("flatten")
    weights = builder.tensor(np.linspace(-1, 1, 12).reshape(4, 3).astype(np.float16))
    builder.layer("dense", weights=weights, bias=builder.tensor(np.zeros(3, np.float32)))
    builder.layer("tanh")
    golden = np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1)
    return builder.build(golden_input=golden, golden_output=np.zeros((2, 3), np.float32), name="a float one")


def free_decoder() -> ModelPackage:
    """i8 [0, 0, 2] -> slice, upsample, affine, lookup -> u8 [0, 0, 1]."""
    builder = PackageBuilder(
        role="decoder", profile="exact", input=Endpoint((0, 0, 2), "i8"), output=Endpoint((0, 0, 1), "u8")
    )
    builder.layer("slice", start=1, stop=2)
    builder.layer("upsample", factors=(2, 1))
    builder.layer(
        "affine", weights=builder.tensor(np.array([5], np.int32)), bias=builder.tensor(np.array([9], np.int32))
    )
    table = builder.tensor(np.arange(0, 256, 16, dtype=np.uint8))
    builder.layer("lookup", multiplier=builder.tensor(np.array([3], np.int32)), shift=8, table=table)
    golden = [np.array([[[[1, 2]]]], np.int8), np.arange(12, dtype=np.int8).reshape(2, 1, 3, 2)]
    return builder.build(
        golden_input=golden, golden_output=lambda draft: [golden_output(draft, rows) for rows in golden]
    )


def latents(encoding: str, codec: str = "none", filter: str = "none", *, values: str = "", **more: Any) -> bytes:
    """A small latents file.  more: dims, chunk_rows, names ("all", "labels" or ""), decoder, receipts."""
    decoder: ModelPackage | None = more.pop("decoder", None)
    names, dims, chunk_rows = more.pop("names", ""), more.pop("dims", (3,)), more.pop("chunk_rows", None)
    receipts, fields = more.pop("receipts", False), _fields() if more.pop("fields", False) else None
    header = LatentsHeader(
        decoder=decoder.model_id if decoder else bytes(range(32)), dims=dims, image=(1, 2, 1), encoding=encoding,
        codec=codec, filter=filter, values=values, ext=more,
    )  # fmt: skip
    is_float = VALUE_TYPES[header.values].is_float
    count = _ROWS * header.n_values
    made = (
        np.linspace(-1, 1, count) if is_float and header.values == "f64" else np.arange(count) / (8 if is_float else 1)
    )
    rows = made.astype(array_type(header.values)).reshape(_ROWS, *dims)
    sink = io.BytesIO()
    embedded = package_bytes(decoder) if decoder else None
    with LatentsWriter(sink, header, chunk_rows=chunk_rows, decoder=embedded) as writer:
        if receipts:
            _write_proved(writer, rows, _names(names))
        else:
            writer.write(rows, _names(names), fields=fields)
    return sink.getvalue()


def sized(
    encoding: str,
    dims: tuple[int, ...] = (0,),
    image: tuple[int, int, int] = (1, 2, 1),
    *,
    codec: str = "none",
    values: str = "",
    names: str = "",
) -> bytes:
    """A small file whose rows have sizes of their own, in three chunks."""
    header = LatentsHeader(bytes(range(32)), dims, image, encoding, codec=codec, values=values)
    shapes = [tuple(size or 1 + (row * axis) % 3 for axis, size in enumerate(dims, 1)) for row in (1, 1, 2, 0, 4)]
    rows = [np.arange(np.prod(shape), dtype=array_type(header.values)).reshape(shape) for shape in shapes]
    images = [(8, 1 + row) for row in range(_ROWS)] if header.form.has_free_image else None
    sink = io.BytesIO()
    with LatentsWriter(sink, header, chunk_rows=2) as writer:
        writer.write(RaggedRows.of(header.form, rows, images), _names(names))
    return sink.getvalue()


def foreign(dims: tuple[int, ...]) -> bytes:
    """A small file of a decoder that is no package, which says what its rows are."""
    described = Described(
        kind="sample", seed=7, scale=(2.0, 0.5, 1.0), shift=(0.0, 1.0, -1.0), axis=0, step=0.125, resize="cover", crop="other: left",
        resize_filter="lanczos", size=(8, 9), colour="srgb", value_range="-1..1", foreign_encoder=bytes(32), software="x",
    )  # fmt: skip
    header = LatentsHeader(b"", dims, (), "bf16le", foreign_decoder=bytes(range(32)), described=described)
    rows = [np.full([size or 1 + row for size in dims], row / 8, np.float32) for row in range(_ROWS)]
    sink = io.BytesIO()
    with LatentsWriter(sink, header, chunk_rows=2) as writer:
        writer.write(RaggedRows.of(header.form, rows, None) if header.has_free_sizes else np.stack(rows))
    return sink.getvalue()


def _write_proved(writer: LatentsWriter, rows: NDArray[Any], names: RowNames | None) -> None:
    """In two chunks, with the receipts of what exact_decoder() makes of them."""
    network = NumpyBackend().load(exact_decoder())
    for start, stop in ((0, 3), (3, len(rows))):
        block = rows[start:stop]
        writer.write(block, None if names is None else names.slice(start, stop), digests_of(network.run(block)))


def _names(kind: str) -> RowNames | None:
    labels = tuple(range(_ROWS))
    if kind == "all":
        names = tuple(f"digits/{row}.png" for row in labels)
        return RowNames(names=names, labels=labels, sources=tuple(bytes([row]) * 32 for row in labels))
    return RowNames(labels=labels) if kind == "labels" else None


def _fields() -> RowFields:
    types = {"caption": FieldType("text"), "crop": FieldType("int32", (2,)), "good": FieldType("bool")}
    values = {
        "caption": ["a", None, "", "\u732b", "a"],
        "crop": [[row, -row] for row in range(5)],
        "good": [True, False] * 2 + [True],
    }
    return RowFields.of(types, values, _ROWS)


def files() -> dict[str, bytes]:
    """The 30 files."""
    decoder = exact_decoder()
    return {
        "u8": latents("u8"),
        "i8, labels": latents("i8", names="labels"),
        "u16le, 3 chunks, index": latents("u16le", chunk_rows=2),
        "f16le": latents("f16le"),
        "bf16le, names": latents("bf16le", names="all"),
        "f32le, 3 chunks, names, index": latents("f32le", chunk_rows=2, names="all"),
        "f64le": latents("f64le"),
        "f64le of u8": latents("f64le", values="u8"),
        "f32le of bf16": latents("f32le", values="bf16"),
        "text19": latents("text19"),
        "text19 of f32, 2 chunks, index": latents("text19", values="f32", chunk_rows=3),
        "u8, embedded decoder": latents("u8", decoder=decoder),
        "u8, embedded decoder, names, zstd": latents("u8", "zstd", decoder=decoder, names="all", chunk_rows=2),
        "u8, receipts, embedded decoder": latents("u8", decoder=decoder, receipts=True),
        "u8, receipts, names, index, zstd": latents("u8", "zstd", decoder=decoder, receipts=True, names="all"),
        "f64le, zstd, shuffle": latents("f64le", "zstd", "shuffle", dims=(2, 8)),
        "f32le of f16, zstd": latents("f32le", "zstd", values="f16", dims=(16,)),
        "text19, zstd, 3 chunks": latents("text19", "zstd", chunk_rows=2),
        "i8, dims of 4 axes, ext": latents("i8", dims=(1, 2, 1, 2), note="made for a table", numbers=[1, {"a": True}]),
        "u8, rows of their own size": sized("u8"),
        "f32le, rows and images of their own size, names": sized("f32le", (0, 0, 2), (0, 0, 3), names="all"),
        "text19, rows of their own size, zstd": sized("text19", (2, 0), codec="zstd", values="f32"),
        "u8, fields": latents("u8", fields=True),
        "f32le, fields, names, 3 chunks, zstd": latents("f32le", "zstd", chunk_rows=2, names="all", fields=True),
        "bf16le, a foreign decoder, described": foreign((3,)),
        "bf16le, the same, rows of their own size": foreign((3, 0)),
        "exact decoder": package_bytes(decoder, codec="none"),
        "exact decoder, zstd": package_bytes(decoder),
        "float32 encoder, zstd": package_bytes(float_encoder()),
        "exact decoder of any size": package_bytes(free_decoder(), codec="none"),
    }


def read_forward(path: Path) -> Content:
    """All that a latents file says.  Raises FormatError."""
    with path.open("rb") as file:
        stream = stream_latents(file)
        blocks = [
            (b.first_row, b.values.dtype.str, shape(b.values), b.values.tobytes(), b.names, b.receipts, b.fields)
            for b in stream
        ]
        return stream.header, stream.embedded_decoder, blocks


def read_by_seeking(path: Path) -> Content:
    """The same.  Raises FormatError."""
    with Latents(path) as seen:
        values = seen.rows(0, seen.n_rows)
        names = [seen.names(row) for row in range(seen.n_rows)]
        receipts = [block.receipts for block in seen.blocks(0, seen.n_rows)]
        fields = [seen.field(name) for name in seen.fields]
        fields = [field if isinstance(field, list) else field.tolist() for field in fields]
        rest = shape(values), values.tobytes(), names, receipts, fields
        return seen.header, seen.embedded_decoder, values.dtype.str, *rest


def shape(values: Any) -> object:
    """The sizes of the rows."""
    return values.shapes + values.image_sizes if isinstance(values, RaggedRows) else values.shape


def read_model(path: Path) -> Content:
    """All that a package says.  Raises FormatError."""
    package = read_package(path)
    return package.manifest_bytes, package.name, [(t.dtype.str, t.shape, t.tobytes()) for t in package.tensors]


@dataclass
class Counts:
    """One row of the table."""

    n_bytes: int
    n_flips: int = 0
    n_refused: int = 0
    n_reported: int = 0
    n_same: int = 0  # read without an error, and the same
    n_silent: int = 0
    n_cuts: int = 0
    n_truncated: int = 0

    @property
    def is_good(self) -> bool:
        """Nothing is silent, and all cuts are refused as truncated."""
        return (
            not self.n_silent and self.n_refused + self.n_reported == self.n_flips and self.n_truncated == self.n_cuts
        )


def flips(data: bytes, rng: Random, step: int) -> Iterator[bytes]:
    """Each byte inverted, then changed by another mask."""
    for at in range(rng.randrange(step), len(data), step):
        for mask in (0xFF, rng.randrange(1, 0xFF)):
            yield data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def count(data: bytes, path: Path, *, step: int) -> Counts:
    """Try one file."""
    path.write_bytes(data)
    is_model = b"\xa4kind\xa5model" in data[:200]
    readers: list[Callable[[Path], Content]] = [read_model] if is_model else [read_forward, read_by_seeking]
    good = [read(path) for read in readers]
    counts, rng = Counts(len(data)), Random(_SEED)
    for damaged in flips(data, rng, step):
        path.write_bytes(damaged)
        counts.n_flips += 1
        found = [_outcome(read, path) for read in readers]
        if any(content is not None and content != was for content, was in zip(found, good, strict=True)):
            counts.n_silent += 1
        elif found[0] is None:
            counts.n_refused += 1
        elif validate(io.BytesIO(damaged)).problems:
            counts.n_reported += 1
        else:
            counts.n_same += 1
    for n_bytes in range(0, len(data), step):
        path.write_bytes(data[:n_bytes])
        counts.n_cuts += 1
        counts.n_truncated += all(_is_truncated(read, path) for read in readers)
    return counts


def _outcome(read: Callable[[Path], Content], path: Path) -> Content | None:
    try:
        return read(path)
    except FormatError:
        return None


def _is_truncated(read: Callable[[Path], Content], path: Path) -> bool:
    try:
        read(path)
    except Truncated:
        return True
    except FormatError:
        return False
    return False


def main(arguments: list[str] | None = None) -> int:
    """0 if every row is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"one byte in {_QUICK_STEP}")
    step = _QUICK_STEP if parser.parse_args(arguments).quick else 1
    print(f"{'file':36}  bytes  flips  refused  reported  same  silent   cuts  truncated")
    total, is_good = Counts(0), True
    with tempfile.TemporaryDirectory(prefix="aeformat-mutations-") as folder:
        for name, data in files().items():
            counts = count(data, Path(folder) / "input.aef", step=step)
            _print(name, counts)
            is_good &= counts.is_good
            for field in Counts.__dataclass_fields__:
                setattr(total, field, getattr(total, field) + getattr(counts, field))
    _print("all", total)
    return 0 if is_good else 1


def _print(name: str, c: Counts) -> None:
    print(
        f"{name:36} {c.n_bytes:>6,} {c.n_flips:>6,} {c.n_refused:>8,} {c.n_reported:>9,} {c.n_same:>5,} {c.n_silent:>7,} "
        f"{c.n_cuts:>6,} {c.n_truncated:>10,}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
