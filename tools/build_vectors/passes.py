"""Priors with passes, and codec rans with them (model.md, section 10.1; container.md, section 6.1): valid ones, and the coder.

Network and coder are written from the spec alone, one symbol at a time, in Python's own integers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from tools.build_vectors.case import Case
from tools.build_vectors.framing import Chunk
from tools.build_vectors.free_network import FreeNetwork, Group
from tools.build_vectors.free_sizes import good
from tools.build_vectors.network import Tensor, _join
from tools.build_vectors.numbers import Number
from tools.build_vectors.sized import Sized

PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
LOWEST = 65_536
Row = tuple[int, int, Sequence[int]]  # height, width, numbers


def looks(weights: int, bias: int, phase: int, kernel: int = 3) -> dict[str, Any]:
    """A convolution from all positions to those of a phase."""
    y, x = PHASES[phase]
    half = kernel // 2
    padding = [half - y, half, half - x, half]
    return {"kind": "conv2d", "weights": weights, "bias": bias, "strides": [2, 2], "padding": padding}


def _layers() -> tuple[list[dict[str, Any]], list[list[int]]]:
    """Of two groups, of one channel and of two: 24 or more layers, and the pairs of the passes.  Tensors as in PASSES."""
    layers: list[dict[str, Any]] = []
    pairs: list[list[int]] = []

    def add(inputs: list[int], **layer: Any) -> int:
        layers.append({"inputs": inputs, **layer})
        return 9 + len(layers)

    def pair(sums: int, mean: int = 8, pick: int = 9) -> None:
        looked = [add([sums], kind="lookup", multiplier=6, shift=6, table=table) for table in (mean, pick)]
        pairs.append(looked)

    for p in range(4):
        pair(add([p], **looks(4, 5, p)))
    whole = add([4], kind="conv2d", weights=10, bias=5, strides=[1, 1], padding=[2, 2, 0, 0])
    feature = add([whole], kind="lookup", multiplier=6, shift=4, table=8)
    for p in range(4):
        if p == 0:
            pair(add([4], **looks(11, 12, p)))
        elif p == 1:
            joined = add([feature, 6], kind="concat", axis=2)
            pair(add([joined], **looks(13, 12, p)))
        elif p == 2:
            own = add([add([7], kind="slice", start=1, stop=2)], **looks(11, 12, p))
            same = add([add([own], kind="lookup", multiplier=6, shift=5, table=8)], kind="affine", weights=14, bias=12)
            pair(add([own, same, add([4], **looks(11, 12, p))], kind="add"))
        else:
            joined = add([4, 8], kind="concat", axis=2)
            pair(add([joined], **looks(13, 12, p)))
    return layers, pairs


_LAYERS, _PAIRS = _layers()

# Latents from -4 to 3 in two groups; three tables, of which the last is nothing but escapes.
PASSES = FreeNetwork(
    input={"shape": [0, 0, 3], "type": "i8", "range": [-4, 3]},
    output={"shape": [0, 0, 1], "type": "u8"},
    layers=[
        {"kind": "conv2d", "weights": 0, "bias": 1, "strides": [1, 1], "padding": [0] * 4},
        {"kind": "lookup", "multiplier": 2, "shift": 0, "table": 3},
    ],
    tensors=[
        Tensor([1, 1, 3, 1], "i8", [9, -7, 5]),
        Tensor([1], "i32", [128]),
        Tensor([1], "i32", [1]),
        Tensor([256], "u8", list(range(256))),
        Tensor([3, 3, 1, 1], "i8", [5, 9, 5, 9, 0, 9, 5, 9, 5]),
        Tensor([1], "i32", [7]),
        Tensor([1], "i32", [3]),
        Tensor([3, 9], "i32", [200, 20, 0, 0, 0, 0, 0, 20, 16, 100, 50, 30, 10, 6, 10, 20, 30, 0, *[0] * 8, 256]),
        Tensor([16], "i8", [-128, -3, -3, -2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3, 3, 127]),
        Tensor([16], "u8", [2, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2]),
        Tensor([5, 1, 1, 1], "i8", [3, 6, 12, 6, 3]),
        Tensor([3, 3, 1, 2], "i8", [(i * 13) % 31 - 15 for i in range(18)]),
        Tensor([2], "i32", [20, -30]),
        Tensor([3, 3, 3, 2], "i8", [(i * 17) % 29 - 14 for i in range(54)]),
        Tensor([2], "i32", [11, -6]),
    ],
    golden=(),
    groups=[
        Group((1, 1), [[1, -2, 3]], (1, 1)),
        Group((2, 3), [[(i * 5) % 8 - 4 for i in range(18)]], (2, 3)),
    ],
    manifest={"prior": {"bits": 8, "passes": {"groups": [1, 2], "layers": _LAYERS, "outputs": _PAIRS}, "tables": 7}},
)

# One group of bytes: every value of u8, frequencies of 16 bits, means of u8.
BYTES = FreeNetwork(
    input={"shape": [0, 0, 1], "type": "u8"},
    output={"shape": [0, 0, 1], "type": "u8"},
    layers=PASSES.layers,
    tensors=[
        Tensor([1, 1, 1, 1], "i8", [1]),
        *PASSES.tensors[1:4],
        Tensor([3, 3, 1, 1], "i8", [1] * 9),
        *PASSES.tensors[5:7],
        Tensor([2, 257], "i32", [65_281, *[1] * 255, 0, 32_768, *[0] * 255, 32_768]),
        Tensor([2], "u8", [0, 255]),
        Tensor([2], "u8", [1, 0]),
    ],
    golden=(),
    groups=[Group((1, 1), [[200]], (1, 1)), Group((1, 3), [[0, 255, 7]], (1, 3))],
    manifest={
        "prior": {
            "bits": 16,
            "passes": {
                "groups": [1],
                "layers": [
                    layer
                    for p in range(4)
                    for layer in (
                        {"inputs": [p], **looks(4, 5, p)},
                        {"inputs": [5 + 3 * p], "kind": "lookup", "multiplier": 6, "shift": 9, "table": 8},
                        {"inputs": [5 + 3 * p], "kind": "lookup", "multiplier": 6, "shift": 9, "table": 9},
                    )
                ],
                "outputs": [[6 + 3 * p, 7 + 3 * p] for p in range(4)],
            },
            "tables": 7,
        }
    },
)


# As little as there can be: latents of 0 and 1, one group, one value that is mean and pick of its pass.
TINY = FreeNetwork(
    input={"shape": [0, 0, 1], "type": "u8", "range": [0, 1]},
    output={"shape": [0, 0, 1], "type": "u8"},
    layers=[
        {"kind": "conv2d", "weights": 0, "bias": 1, "strides": [1, 1], "padding": [0] * 4},
        {"kind": "lookup", "multiplier": 2, "shift": 0, "table": 3},
    ],
    tensors=[
        Tensor([1, 1, 1, 1], "i8", [1]),
        Tensor([1], "i32", [0]),
        Tensor([1], "i32", [1]),
        Tensor([2], "u8", [0, 1]),
        Tensor([3, 3, 1, 1], "i8", [1, -2, 1, -2, 0, 1, 1, -2, 1]),
        Tensor([2, 3], "i32", [256 - 16, 16, 0, 250, 0, 6]),
    ],
    golden=(),
    groups=[Group((1, 1), [[1]], (1, 1)), Group((1, 2), [[0, 1]], (1, 2))],
    manifest={
        "prior": {
            "bits": 8,
            "passes": {
                "groups": [1],
                "layers": [
                    layer
                    for p in range(4)
                    for layer in (
                        {"inputs": [p], **looks(4, 1, p)},
                        {"inputs": [5 + 2 * p], "kind": "lookup", "multiplier": 2, "shift": 0, "table": 3},
                    )
                ],
                "outputs": [[6 + 2 * p, 6 + 2 * p] for p in range(4)],
            },
            "tables": 5,
        }
    },
)


# --- What the layers make, and the code -------------------------------------------------------------------------------


class Coder:
    """The steps of rows in the order of decoding."""

    def __init__(self, network: FreeNetwork) -> None:
        self.network, prior = network, network.manifest["prior"]
        self.bits, self.passes = prior["bits"], prior["passes"]
        self.lo, hi = network.input.get("range", [0, 255] if network.input["type"] == "u8" else [-128, 127])
        self.n = hi - self.lo + 1
        numbers = [int(x) for x in network.tensors[prior["tables"]].numbers]
        self.tables = [numbers[i : i + self.n + 1] for i in range(0, len(numbers), self.n + 1)]
        whole = 1 << self.bits
        self.equal = [whole * (s + 1) // self.n - whole * s // self.n for s in range(self.n)]

    def value(self, number: int, row: Row) -> tuple[list[int], list[Number]]:
        """Shape and numbers of a value, from the whole row: what is not yet decoded is not looked at."""
        height, width, numbers = row
        groups = self.passes["groups"]
        if number >= 5 * len(groups):
            layer = self.passes["layers"][number - 5 * len(groups)]
            xs = [self.value(i, row) for i in layer["inputs"]]
            return _join(layer, xs) if layer["kind"] in ("add", "concat") else self.network._layer(layer, *xs[0])
        group, stage = divmod(number, 5)
        first, n, channels = sum(groups[:group]), groups[group], sum(groups)
        made: list[Number] = []
        for y in range(height):
            for x in range(width):
                at = (y * width + x) * channels + first
                known = PHASES.index((y % 2, x % 2)) < stage
                made += [z if known else 0 for z in numbers[at : at + n]]
        return [height, width, n], made

    def sequences(self, rows: Sequence[Row], escapes: bool = False) -> Iterator[list[tuple[list[int], int]]]:
        """Frequencies and symbols, twice for each pass.  escapes: take one wherever a table has it."""
        for row in rows:
            height, width, numbers = row
            channels = sum(self.passes["groups"])
            for number, pair in enumerate(self.passes["outputs"]):
                group, (y, x) = number // 4, PHASES[number % 4]
                first, n = sum(self.passes["groups"][:group]), self.passes["groups"][group]
                places = [(i * width + j) * channels + first + c
                          for i in range(y, height, 2) for j in range(x, width, 2) for c in range(n)]  # fmt: skip
                if not places:
                    continue
                means, picks = (self.value(i, row)[1] for i in pair)
                assert len(means) == len(picks) == len(places)
                symbols, behind = [], []
                for place, mean, pick in zip(places, means, picks, strict=True):
                    table, s = self.tables[int(pick)], (numbers[place] - int(mean)) % self.n
                    if table[s] == 0 or (escapes and table[self.n]):
                        behind.append((self.equal, s))
                        s = self.n
                    symbols.append((table, s))
                yield symbols
                yield behind

    def code(self, rows: Sequence[Row], log2: int, *, start: int = LOWEST, escapes: bool = False) -> bytes:
        """The payload of rows in 2^log2 lanes.  start: the state that decoding ends with."""
        lanes, states = 1 << log2, [start] * (1 << log2)
        words: list[int] = []
        for sequence in reversed(list(self.sequences(rows, escapes))):
            for j, (table, s) in reversed(list(enumerate(sequence))):
                f, cum, x = table[s], sum(table[:s]), states[j % lanes]
                if x >= f << 32 - self.bits:
                    words.insert(0, x & 0xFFFF)
                    x >>= 16
                states[j % lanes] = (x // f << self.bits) + x % f + cum
        return bytes([log2]) + struct.pack(f"<{lanes}I", *states) + struct.pack(f"<{len(words)}H", *words)


def row_of(height: int, width: int, seed: int = 0, channels: int = 3) -> Row:
    """Numbers near 0, a few of them far."""
    numbers = [(0, 0, 1, 0, -1, 0, 0, 2, 0, 0, 0, -4, 1, 0, 0, 3, 0)[(i * i + 3 * i + seed) % 17]
               for i in range(height * width * channels)]  # fmt: skip
    return height, width, numbers


ROWS = [
    row_of(1, 1),
    row_of(2, 3, 1),
    row_of(5, 4, 2),
    row_of(1, 7, 3),
    row_of(6, 1, 4),
    row_of(3, 3, 5),
    row_of(3, 3, 6),
]


def file(
    network: FreeNetwork, blocks: Sequence[tuple[Sequence[Row], bytes | None]], *, embed: bool = True, **more: Any
) -> Sized:
    """A file of these rows, each block with its payload (None: as they are), and its decoder inside."""
    front = [Chunk(b"dECo", network.file().build().data)] if embed else []
    fields: dict[str, Any] = {
        "dims": network.input["shape"], "image": [*network.output["shape"], "u8"], "encoding": network.input["type"],
        "decoder": network.model_id, "codec": "rans",
        "frames": {i: payload for i, (_, payload) in enumerate(blocks) if payload is not None}, "before": {0: front},
        "sizes": [[(h, w, h, w) for h, w, _ in rows] for rows, _ in blocks],
    }  # fmt: skip
    return Sized(blocks=[[numbers for _, _, numbers in rows] for rows, _ in blocks], **(fields | more))


BY_HAND: Row = (2, 2, [0, 3, 1, 1, 0, 0, 0, 0, -1, -1, 0, 0])


def cases() -> Iterator[Case]:
    """All that is valid."""
    coder = Coder(PASSES)
    yield good(90, "passes", PASSES, "A prior with passes: two groups, every kind of layer, an escape.",
               "M2-2 M3-9 M10-1 M10-2 M10-4 M10-6 M10-7 M10-8 M10-9 M10-10 M10-11", [])  # fmt: skip
    yield good(91, "passes-bytes", BYTES, "A prior with passes of bytes, whose means are u8.", "M10-4 M10-10", [])
    yield good(
        92, "passes-tiny", TINY, "As little as there can be: one value is mean and pick of its pass.", "M10-10", []
    )
    tiny: list[Row] = [(4, 6, [0, 1] * 12), (3, 3, [1, 1, 0] * 3)]
    yield file(TINY, [(tiny, Coder(TINY).code(tiny, 0))]).good(
        206, "passes-tiny", "Latents of 0 and 1 in four passes each.", "C6-13"
    )
    even = file(PASSES, [(ROWS, coder.code(ROWS, 0))])
    yield even.good(200, "passes", "Rows of seven sizes, coded with passes in one lane, and their decoder.",
                    "C3-16 C3-18 C6-9 C6-11 C6-12 C6-13")  # fmt: skip
    yield file(PASSES, [(ROWS, coder.code(ROWS, 2)), (ROWS[2:4], coder.code(ROWS[2:4], 4))], index=True).good(
        201, "passes-lanes", "Two chunks, of four and of sixteen lanes: passes shorter and longer than that.", "C6-7"
    )
    far = [(4, 5, [(i * 5) % 8 - 4 for i in range(60)])]
    plain = [(2, 2, [-5, 127, *[0] * 10])]
    yield file(PASSES, [(far, coder.code(far, 1)), (plain, None)]).good(
        202,
        "passes-escapes",
        "Many escapes; then rows as they are, with numbers that the decoder does not take.",
        "C6-13",
    )
    yield file(PASSES, [(ROWS[1:3], None)], embed=False).good(
        203, "passes-nothing-coded", "Rows that are stored as they are need no decoder.", "C3-18"
    )
    strips: list[Row] = [(9, 1, [255] * 7 + [7, 0]), (1, 40, [255] * 38 + [0, 254]), (3, 3, [255] * 8 + [128])]
    yield file(BYTES, [(strips, Coder(BYTES).code(strips, 3))]).good(
        204, "passes-bytes", "Strips of bytes in eight lanes, frequencies of 16 bits.", "C6-7"
    )
    yield file(PASSES, [([BY_HAND], coder.code([BY_HAND], 0))]).good(
        205, "passes-by-hand", "The code that section 21 works by hand.", "C6-11 C6-12 C6-13"
    )
