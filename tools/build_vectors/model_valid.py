"""Valid model packages, with rows that go in and what must come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tools.build_vectors.case import Case
from tools.build_vectors.framing import Chunk, Draft
from tools.build_vectors.network import Network, Tensor, single
from tools.build_vectors.numbers import Number
from tools.build_vectors.sample_networks import (
    CONVOLUTIONS,
    ENCODER,
    FLOAT_DECODER,
    FLOAT_ENCODER,
    MANY_PIXELS,
    RAMP,
    TWO_PIXELS,
    WIDE,
)

_EXTREMES = [[0, 255], [255, 0], [1, 1], [77, 200]]


def cases() -> Iterator[Case]:
    """All of them."""
    yield good(
        1, "dense", TWO_PIXELS, "A dense layer, a lookup, a reshape: two pixels.", "M1-1 M1-2 M6-1 M6-2", _EXTREMES
    )
    wide = [[200, 100, 50, 25, 12, 6, 3, 1]]
    yield good(5, "wide", WIDE, "Weights with zeros, a multiplier for every channel.", "M1-4", wide)
    yield good(6, "wide-zstd", WIDE, "The same, compressed and shuffled: the same model id.", "M1-5", wide,
                WIDE.file(codec="zstd"))  # fmt: skip
    yield good(3, "dense-named", TWO_PIXELS, "The same with a name for people.", "M1-2", _EXTREMES,
                TWO_PIXELS.file(ext={"name": "Two pixels 1.0"}))  # fmt: skip
    yield good(4, "unknown-ancillary", TWO_PIXELS, "Chunks to skip between the tensors and after them.", "M1-3",
                _EXTREMES, _with_unknown(TWO_PIXELS.file()))  # fmt: skip
    rows = [[-100, -100, -100, -100], [100, 100, 100, 100], [-1, 0, 1, 99]]
    yield good(10, "convolutions", CONVOLUTIONS, "conv2d and conv2d_transpose, strides, padding, crop, ranges.",
                "M2-5 M3-5 M4-2 M4-6 M4-7 M7-1", rows, refused=[[-101, 0, 0, 0], [0, 0, 0, 101]])  # fmt: skip
    images = [[1, 2, 3, 4], [255, 0, 0, 255]]
    yield good(11, "encoder", ENCODER, "An exact encoder names its decoder.", "M2-3 M2-4", images)
    yield good(12, "float-decoder", FLOAT_DECODER, "A float32 decoder.", "M5-1", [[-1.5, 0.25, 3.0], [0.5, 0.5, 0.5]])
    yield good(13, "float-encoder", FLOAT_ENCODER, "Every activation, half precision weights, float latents.", "M3-6 M5-2",
                [[9, 8, 7, 6, 5, 4, 3, 2, 1]])  # fmt: skip
    yield from _edges()


def _edges() -> Iterator[Case]:
    largest = (
        TWO_PIXELS.tensor(0, numbers=[0] * 4).tensor(1, numbers=[2**31 - 1, 1 - 2**31]).tensor(2, numbers=[2**22, 1])
    )
    yield good(20, "bound-at-the-limit", largest.layer(1, shift=22),
                "Sums of 2^31 - 1, and times the multiplier just below 2^53.", "M4-1 M4-4", _EXTREMES)  # fmt: skip
    steep = TWO_PIXELS.layer(1, shift=40).tensor(2, numbers=[2**24, 2**23])
    yield good(
        21, "shift-40", steep, "The largest shift and multiplier: every sum falls on the middle.", "M4-2", _EXTREMES
    )
    table = Tensor([65_536], "u8", [0] * 32_768 + [255] * 32_768)
    wide = TWO_PIXELS.with_(tensors=[*TWO_PIXELS.tensors[:3], table]).layer(1, shift=0)
    yield good(22, "table-65536", wide, "The largest table.", "M4-3", _EXTREMES, wide.file(codec="zstd"))
    two = TWO_PIXELS.with_(tensors=[*TWO_PIXELS.tensors[:3], Tensor([2], "u8", [3, 250])])
    yield good(23, "table-2", two, "The smallest table: a threshold.", "M4-3", _EXTREMES)
    rows = [[i, 255 - i] for i in range(64)]
    yield good(24, "golden-64", TWO_PIXELS.with_(golden=rows), "The largest golden set.", "M6-1", _EXTREMES)
    shared = Network(
        input={"shape": [2], "type": "u8", "range": [0, 100]},
        output={"shape": [2, 1, 1], "type": "u8"},
        layers=[
            {"kind": "dense", "weights": 0, "bias": 1},
            {"kind": "lookup", "multiplier": 2, "shift": 4, "table": 3},
            {"kind": "dense", "weights": 0, "bias": 1},
            {"kind": "lookup", "multiplier": 2, "shift": 4, "table": 3},
            {"kind": "reshape", "shape": [1, 2]},
            {"kind": "flatten"},
            {"kind": "reshape", "shape": [2, 1, 1]},
        ],
        tensors=[
            Tensor([2, 2], "i8", [1, -2, 3, -1]), Tensor([2], "i32", [-3, 5]), Tensor([1], "i32", [1]), Tensor([18], "u8", RAMP),
        ],
        golden=[[0, 100], [3, 4]],
    )  # fmt: skip
    yield good(25, "shared-tensors", shared, "Two layers with the same tensors; a range; reshape and flatten.", "M3-7 M3-9",
                [[100, 100], [50, 1]], refused=[[101, 0]])  # fmt: skip
    yield from _tolerance()


def _tolerance() -> Iterator[Case]:
    """Golden sets that are not what float64 gives, but within section 5's tolerance."""
    rows = [FLOAT_DECODER.run(row) for row in FLOAT_DECODER.golden]
    near = [[rows[0][0] + 1, *rows[0][1:]], *rows[1:]]
    yield good(30, "golden-off-by-a-level", FLOAT_DECODER.with_(golden_output=near), "One golden pixel is off by one level.",
                "M5-1 M6-2", [[0.5, 0.5, 0.5]])  # fmt: skip
    rows = [MANY_PIXELS.run(row) for row in MANY_PIXELS.golden]
    near = [[x + ((i, j) in ((3, 4), (50, 6))) for j, x in enumerate(row)] for i, row in enumerate(rows)]
    yield good(32, "golden-two-of-1280", MANY_PIXELS.with_(golden_output=near), "Two of 1,280 golden pixels are off by one level.",
                "M5-1 M6-2", [[0.25]])  # fmt: skip
    latents = [FLOAT_ENCODER.run(row) for row in FLOAT_ENCODER.golden]
    close = [[single(x + 2.0**-15 * max(1.0, abs(x))) for x in row] for row in latents]
    yield good(31, "golden-off-by-2-to-minus-15", FLOAT_ENCODER.with_(golden_output=close),
                "Every golden latent is off by half the tolerance.", "M5-2 M6-2", [])  # fmt: skip


def _with_unknown(draft: Draft) -> Draft:
    first, second, *rest = draft.chunks
    return replace(draft, chunks=(first, Chunk(b"teXt", b"between"), second, *rest, Chunk(b"xxZx", b"after", 3, 4)))


def good(
    number: int,
    name: str,
    network: Network,
    about: str,
    rules: str,
    rows: Sequence[Sequence[Number]],
    draft: Draft | None = None,
    refused: Sequence[Sequence[Number]] = (),
) -> Case:
    """A package, what a reader must say of it, and rows.  rules: those whose edge it shows.  refused: rows that M4-7 refuses."""
    draft = draft or network.file()
    expected: dict[str, Any] = {
        "about": about,
        "rules": rules.split(),
        "kind": "model",
        "model_id": network.model_id.hex(),
        "role": network.role,
        "profile": network.profile,
        "decoder": None if network.decoder is None else network.decoder.hex(),
        "input": network.input,
        "output": network.output,
        "n_chunks": len(draft.chunks),
        "n_tensors": len(network.all_tensors),
        "work": network.work,
        "rows_in": [list(row) for row in rows],
        "rows_out": [network.run(row) for row in rows],
        "rows_refused": [list(row) for row in refused],
    }
    return Case("model/valid", number, name, draft.build().data, expected)
