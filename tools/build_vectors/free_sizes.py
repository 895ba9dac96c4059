"""Model packages of version 1.1, valid and invalid: free sizes, slices, bounds by phase (spec/model.md, sections 3.1 and 12)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from tools.build_vectors.case import Case, bad
from tools.build_vectors.framing import Chunk
from tools.build_vectors.free_network import NEW_MANIFEST, FreeNetwork, Group, announced
from tools.build_vectors.latents import SMALL
from tools.build_vectors.network import Network, Tensor
from tools.build_vectors.numbers import Number
from tools.build_vectors.sample_networks import TWO_PIXELS
from tools.build_vectors.sized import Sized

_TABLE = Tensor([256], "u8", list(range(256)))
_SIGNED = Tensor([256], "i8", list(range(-128, 128)))


def _row(n: int, seed: int, lo: int = -128) -> list[Number]:
    return [(i * i * 31 + i * 17 + seed * 77) % 256 + lo for i in range(n)]


# Two latents a position -> pixels at twice the rows and three times the columns: channels apart, joined, then a 3 x 3.
DECODER = FreeNetwork(
    input={"shape": [0, 0, 2], "type": "i8"},
    output={"shape": [0, 0, 2], "type": "u8"},
    layers=[
        {"kind": "slice", "start": 0, "stop": 1},
        {"kind": "conv2d_transpose", "weights": 0, "bias": 1, "strides": [2, 3], "crop": [1, 1, 2, 0]},
        {"kind": "lookup", "multiplier": 2, "shift": 7, "table": 3},
        {"kind": "slice", "inputs": [0], "start": 1, "stop": 2},
        {"kind": "affine", "weights": 4, "bias": 4},
        {"kind": "lookup", "multiplier": 2, "shift": 3, "table": 3},
        {"kind": "upsample", "factors": [2, 3]},
        {"kind": "concat", "inputs": [3, 7], "axis": 2},
        {"kind": "conv2d", "weights": 5, "bias": 6, "strides": [1, 1], "padding": [0, 2, 1, 1]},
        {"kind": "add", "inputs": [9, 8]},
        {"kind": "lookup", "multiplier": 2, "shift": 5, "table": 3},
    ],
    tensors=[
        Tensor([4, 5, 1, 1], "i8", [(i * 37 + 11) % 255 - 127 for i in range(20)]),
        Tensor([1], "i32", [-300]),
        Tensor([1], "i32", [1]),
        _TABLE,
        Tensor([1], "i32", [5]),
        Tensor([3, 3, 2, 2], "i8", [(i * 29 + 3) % 21 - 10 for i in range(36)]),
        Tensor([2], "i32", [500, -700]),
    ],
    golden=(),
    scale=(2, 3),
    groups=[Group((1, 1), [[100, -100]], (1, 2)), Group((2, 3), [_row(12, 1), _row(12, 2)], (3, 8))],
)

# Pixels -> latents at half the rows: a stride of 2 x 1 with an uneven padding.
ENCODER = FreeNetwork(
    role="encoder",
    decoder=DECODER.model_id,
    input={"shape": [0, 0, 1], "type": "u8"},
    output={"shape": [0, 0, 2], "type": "i8"},
    layers=[
        {"kind": "conv2d", "weights": 0, "bias": 1, "strides": [2, 1], "padding": [1, 2, 0, 2]},
        {"kind": "lookup", "multiplier": 2, "shift": 8, "table": 3},
    ],
    tensors=[
        Tensor([4, 3, 1, 2], "i8", [(i * 41 + 7) % 255 - 127 for i in range(24)]),
        Tensor([2], "i32", [2_000, -3_000]),
        Tensor([1], "i32", [1]),
        _SIGNED,
    ],
    golden=(),
    scale=(2, 1),
    groups=[Group((1, 1), [[200], [0]]), Group((5, 3), [_row(15, 3, 0)])],
)

# The same in floats.
FLOAT = FreeNetwork(
    profile="float32",
    input={"shape": [0, 0, 1], "type": "f32"},
    output={"shape": [0, 0, 1], "type": "u8"},
    layers=[
        {"kind": "conv2d_transpose", "weights": 0, "bias": 1, "strides": [2, 2], "crop": [0, 0, 0, 0]},
        {"kind": "sigmoid"},
        {"kind": "to_u8"},
    ],
    tensors=[Tensor([2, 2, 1, 1], "f32", [0.5, -1.25, 2.0, 0.75]), Tensor([1], "f32", [0.25])],
    golden=(),
    scale=(2, 2),
    groups=[Group((1, 1), [[1.0]], (2, 1)), Group((2, 2), [[0.5, -2.0, 0.0, 1.5]], (3, 3))],
)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _valid()
    yield from _announced()
    yield from _forms()
    yield from _layers()
    yield from _golden()
    yield from _bounds()
    yield from _files()


def _valid() -> Iterator[Case]:
    sliced = _sliced()
    strips = [Group((1, 1), [[7, -7]]), Group((1, 5), [_row(10, 4)], (1, 14)), Group((4, 1), [_row(8, 5)], (8, 1)),
              Group((3, 3), [_row(18, 6)], (6, 9))]  # fmt: skip
    yield good(80, "free-decoder", DECODER, "Any height and width: branches of different reach.",
               "M1-7 M2-8 M3-10 M3-11 M3-12 M6-1", strips)  # fmt: skip
    pixels = [Group((1, 1), [[9]]), Group((1, 4), [_row(4, 7, 0)]), Group((7, 1), [_row(7, 8, 0)]),
              Group((4, 2), [_row(8, 9, 0)])]  # fmt: skip
    yield good(81, "free-encoder", ENCODER, "An image is continued by its last row and column.", "M3-11 M3-12", pixels)
    yield good(
        82,
        "free-float32",
        FLOAT,
        "Free sizes in profile float32.",
        "M3-10 M5-1",
        [Group((1, 3), [[0.5, 1.0, -3.0]], (2, 5))],
    )
    eight = [Group((1, n), [_row(2 * n, n)], (1, 3 * n - 2)) for n in range(1, 9)]
    yield good(
        83, "free-eight-golden-sizes", DECODER.with_(groups=eight), "The most sizes that a golden set has.", "M2-2", []
    )
    full = Tensor([1], "i32", [2**31 - 1 - 20 * 128])
    by_phase = PHASES.with_(tensors=[PHASES.tensors[0], full, *PHASES.tensors[2:]])
    yield good(84, "bound-by-phase", by_phase, "8 of 32 weights meet in a pixel; all of them would reach 2^31.", "M4-1",
               [Group((1, 2), [_row(4, 1)])])  # fmt: skip
    expected: dict[str, Any] = {
        "about": "A slice, where sizes are fixed.", "rules": ["M1-7"], "format": "1.1", "kind": "model",
        "model_id": sliced.model_id.hex(), "role": "decoder", "profile": "exact", "decoder": None, "input": sliced.input,
        "output": sliced.output, "n_chunks": 7, "n_tensors": 6, "work": sliced.work,
        "rows_in": [[0, 255], [3, 4]], "rows_out": [sliced.run(row) for row in ([0, 255], [3, 4])], "rows_refused": [],
    }  # fmt: skip
    yield Case("model/valid", 85, "slice", announced(sliced.file()).build().data, expected)


# Two latents -> four pixels each, by a kernel twice the stride: of its 32 weights 8 meet in a pixel.
PHASES = FreeNetwork(
    input={"shape": [0, 0, 2], "type": "i8"},
    output={"shape": [0, 0, 1], "type": "u8"},
    layers=[
        {"kind": "conv2d_transpose", "weights": 0, "bias": 1, "strides": [2, 2], "crop": [1, 1, 1, 1]},
        {"kind": "lookup", "multiplier": 2, "shift": 24, "table": 3},
    ],
    tensors=[Tensor([4, 4, 1, 2], "i8", [1] * 32), Tensor([1], "i32", [0]), Tensor([1], "i32", [1]), _TABLE],
    golden=(),
    scale=(2, 2),
    groups=[Group((1, 1), [[1, 2]]), Group((1, 2), [[1, 2, 3, 4]])],
)


def _sliced() -> Network:
    """Two latents, of which a slice takes one at a time; then they change places."""
    return TWO_PIXELS.with_(
        layers=[
            {"kind": "slice", "start": 1, "stop": 2},
            {"kind": "slice", "inputs": [0], "start": 0, "stop": 1},
            {"kind": "concat", "inputs": [1, 2], "axis": 0},
            {"kind": "dense", "weights": 0, "bias": 1},
            {"kind": "lookup", "multiplier": 2, "shift": 8, "table": 3},
            {"kind": "reshape", "shape": [1, 2, 1]},
        ]
    )


def good(number: int, name: str, network: FreeNetwork, about: str, rules: str, groups: Sequence[Group]) -> Case:
    """A package, what a reader must say of it, and rows of several sizes."""
    draft = network.file()
    rows = [(group, row) for group in groups for row in group.rows]
    made = [network.run_at(group, row) for group, row in rows]
    expected: dict[str, Any] = {
        "about": about,
        "rules": rules.split(),
        "format": "1.1",
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
        "sizes_in": [list(group.size) for group, _ in rows],
        "sizes_out": [list(size) for size, _ in made],
        "rows_in": [list(row) for _, row in rows],
        "rows_out": [row for _, row in made],
        "rows_refused": [],
    }
    if network.role == "encoder":
        expected["file_work"] = _work_of(network)
    return Case("model/valid", number, name, draft.build().data, expected)


def _work_of(network: FreeNetwork) -> int:
    """C13-1: each golden row by its own size, here of a network without transposed convolutions."""
    total: int = sum(4 * len(raw) for raw in (network.manifest_bytes, *(tensor.raw for tensor in network.all_tensors)))
    for group in network.groups:
        tall, wide = (-(-n // of) * of for n, of in zip(group.size, network.scale, strict=True))
        row = [0] * (tall * wide * network.input["shape"][2])
        sized = network.at((tall, wide)).with_(golden=[row])
        made = sum(len(numbers) for _, numbers in sized._values(row)[1:])
        total += len(group.rows) * (sized.work + 7 * made + 10_000 * len(network.layers))
    return total + 2_048 * 2 * int(network.output["shape"][2])  # the sums and the lookup of the one layer


def refused(number: int, name: str, network: Network, rule: str, why: str, code: str | None = None) -> Case:
    """A package that breaks a rule of the manifest."""
    file = (network.file() if isinstance(network, FreeNetwork) else announced(network.file())).build()
    return bad(number, name, file, rule, file.payload_at[0], why, folder="model", code=code)


def _announced() -> Iterator[Case]:
    yield bad(1000, "new-manifest-flag-in-latents", replace(SMALL.draft, minor=1, flags=NEW_MANIFEST).build(), "C3-17", 24,
              "Flag bit 2 is for model packages.")  # fmt: skip
    free = DECODER.file()
    old = replace(free, minor=0, flags=0).build()
    yield bad(500, "free-not-announced", old, "M1-7", old.payload_at[0], "Free sizes in a file that does not say so.",
              folder="model")  # fmt: skip
    yield refused(501, "old-but-announced", TWO_PIXELS, "M1-7", "A manifest of version 1.0 with flag bit 2.")
    slices = _sliced().file().build()
    yield bad(502, "slice-not-announced", slices, "M1-7", slices.payload_at[0], "A slice in a file of version 1.0.",
              folder="model")  # fmt: skip
    sized = replace(free, flags=NEW_MANIFEST | 1).build()
    yield bad(503, "free-with-both-flags", sized, "C3-17", 24, "Flag bit 0 is for latents.", folder="model")


def _forms() -> Iterator[Case]:
    for number, name, ends in (
        (510, "height-alone", ([0, 4, 2], [0, 0, 2])), (511, "width-alone", ([0, 0, 2], [4, 0, 2])),
        (512, "channels", ([0, 0, 0], [0, 0, 2])), (513, "output-fixed", ([0, 0, 2], [2, 3, 2])),
        (514, "input-fixed", ([1, 1, 2], [0, 0, 2])), (515, "two-axes", ([0, 0], [0, 0, 2])),
    ):  # fmt: skip
        network = _with_ends(DECODER, *ends)
        yield refused(number, f"free-{name}", network, "M2-8", f"Endpoints {ends[0]} and {ends[1]}.")
    one = {"input": 7, "output": 8}
    yield refused(520, "free-golden-map", _manifest(DECODER, golden=one), "M2-2",
                  "With free sizes the golden set is a list.")  # fmt: skip
    yield refused(521, "free-golden-one-size", _manifest(DECODER, golden=[one]), "M2-2", "One size is too few.")
    nine = [one] * 9
    yield refused(522, "free-golden-nine-sizes", _manifest(DECODER, golden=nine), "M2-2", "Nine sizes are too many.")
    key = [{"input": 7, "output": 8, "size": 1}, {"input": 9, "output": 10}]
    yield refused(523, "free-golden-key", _manifest(DECODER, golden=key), "M2-2", "A key that is not assigned.")
    yield refused(524, "fixed-golden-list", _sliced().with_(manifest={"golden": [one]}), "M2-2",
                  "A list where sizes are fixed.")  # fmt: skip
    prior = {"bits": 8, "classes": 1, "means": 1, "picks": 1, "tables": 1}
    yield refused(525, "free-prior", _manifest(DECODER, prior=prior), "M10-6", "A prior of one shape.")


def _layers() -> Iterator[Case]:
    last: dict[str, Any]
    for number, kind, last in (
        (530, "flatten", {}), (531, "reshape", {"shape": [2, 3, 2]}), (532, "dense", {"weights": 0, "bias": 1}),
        (533, "max_pool", {"size": [1, 1], "strides": [1, 1], "padding": [0] * 4}),
        (534, "pad", {"padding": [0] * 4, "value": 0}), (535, "crop", {"crop": [0] * 4}),
    ):  # fmt: skip
        network = DECODER.with_(layers=[*DECODER.layers, {"kind": kind, **last}])
        yield refused(number, f"free-{kind}", _unrun(network), "M3-10", f"Free sizes and {kind}.")
    down = {"kind": "conv2d", "weights": 0, "bias": 1, "strides": [2, 1], "padding": [1, 2, 0, 2]}
    shrinks = ENCODER.with_(role="decoder", decoder=None, input={"shape": [0, 0, 1], "type": "i8"},
                            output={"shape": [0, 0, 2], "type": "u8"}, layers=[down, ENCODER.layers[1]])  # fmt: skip
    yield refused(536, "free-decoder-shrinks", _unrun(shrinks), "M3-10", "A decoder whose scale is 1/2.")
    grows = PHASES.with_(role="encoder", decoder=bytes(32), input={"shape": [0, 0, 2], "type": "u8"})
    yield refused(537, "free-encoder-grows", _unrun(grows), "M3-10", "An encoder whose scale is 1/2.")
    for number, name, network, why in (
        (540, "crop-too-small", DECODER.layer(1, crop=[1, 0, 2, 0]), "A crop of 1, kernel minus stride are 2."),
        (541, "crop-too-large", DECODER.layer(1, crop=[1, 1, 2, 1]), "A crop of 3, kernel minus stride are 2."),
        (542, "padding-too-small", DECODER.layer(8, padding=[0, 1, 1, 1]), "A row less than there was."),
        (543, "padding-too-large", DECODER.layer(8, padding=[0, 2, 2, 1]), "A column more than there was."),
        (544, "concat-axis-0", DECODER.layer(7, axis=0), "Only channels are joined."),
    ):  # fmt: skip
        yield refused(number, f"free-{name}", _unrun(network), "M3-11", why)
    third = Tensor([3, 1, 2, 2], "i8", [1] * 12)
    there = [
        {"kind": "conv2d", "weights": 7, "bias": 6, "strides": [3, 1], "padding": [0, 1, 0, 0]},
        {"kind": "lookup", "multiplier": 2, "shift": 5, "table": 3},
        {"kind": "conv2d_transpose", "weights": 7, "bias": 6, "strides": [3, 1], "crop": [0, 0, 0, 0]},
        {"kind": "lookup", "multiplier": 2, "shift": 5, "table": 3},
    ]
    thirds = DECODER.with_(layers=[*DECODER.layers, *there], tensors=[*DECODER.tensors, third])
    yield refused(545, "free-stride-does-not-divide", _unrun(thirds), "M3-11", "Two rows a latent, and a stride of 3.")
    yield refused(546, "free-branches-differ", _unrun(DECODER.layer(6, factors=[2, 2])), "M3-5",
                  "Branches of another number of columns.")  # fmt: skip
    yield refused(547, "free-channels-differ", _with_ends(DECODER, [0, 0, 2], [0, 0, 3]), "M3-8",
                  "Three channels in the output, two in the last value.")  # fmt: skip
    wide = _with_ends(DECODER, [0, 0, 2**28 + 1], [0, 0, 2])
    yield refused(548, "free-input-too-large", wide, "M3-5", "More than 2^28 numbers a latent pixel.", "limit")
    for number, name, change, why in (
        (550, "empty", {"start": 1, "stop": 1}, "No channel."), (551, "backwards", {"start": 2, "stop": 1}, "Backwards."),
        (552, "beyond", {"start": 1, "stop": 3}, "There are two channels."),
    ):  # fmt: skip
        yield refused(number, f"slice-{name}", _slice(**change), "M3-5", why)
    yield refused(553, "slice-without-stop", _slice(stop=None), "M3-2", "A slice has both ends.")
    yield refused(554, "slice-negative", _slice(start=-1), "M3-2", "Counting from the end.")
    sums = _sliced().with_(layers=[
        {"kind": "dense", "weights": 0, "bias": 1}, {"kind": "slice", "start": 0, "stop": 2}, *TWO_PIXELS.layers[1:],
    ], golden_output=[[0, 0]] * 3)  # fmt: skip
    yield refused(555, "slice-of-sums", sums, "M3-6", "Only lookup and add take sums.")


def _golden() -> Iterator[Case]:
    good_ = [([1, 1, 1, 2], [1, 1, 2, 2]), ([2, 2, 3, 2], [2, 3, 8, 2])]
    for number, name, second, why in (
        (560, "latents-short", ([2, 1, 3, 2], [2, 3, 8, 2]), "Three rows of pixels take two of latents."),
        (561, "latents-long", ([2, 3, 3, 2], [2, 3, 8, 2]), "And not three."),
        (562, "latents-narrow", ([2, 2, 2, 2], [2, 3, 8, 2]), "Eight columns take three."),
        (563, "rows-differ", ([1, 2, 3, 2], [2, 3, 8, 2]), "Two rows out of one."),
        (564, "channels", ([2, 2, 3, 1], [2, 3, 8, 2]), "One channel of two."),
        (565, "one-size-twice", ([1, 1, 1, 2], [1, 1, 2, 2]), "Both images are 1 x 2."),
        (566, "65-rows", ([64, 2, 3, 2], [64, 3, 8, 2]), "One row and 64."),
        (567, "three-axes", ([2, 2, 3, 2], [2, 24, 2]), "An image without a width."),
    ):  # fmt: skip
        yield refused(number, f"free-golden-{name}", DECODER.with_(shapes=[good_[0], second]), "M6-1", why)
    encoder = ENCODER.with_(shapes=[([2, 1, 1, 1], [2, 1, 1, 2]), ([1, 5, 3, 1], [1, 2, 3, 2])])
    yield refused(568, "free-golden-encoder", encoder, "M6-1", "Five rows of pixels make three of latents.")
    golden = DECODER.all_tensors[len(DECODER.tensors) :]
    file = DECODER.tensor(6, numbers=[501, -700]).with_(ends=golden).file().build()
    yield bad(570, "free-golden-off", file, "M6-2", 0, "A bias is not the one that the golden set was made with.",
              folder="model")  # fmt: skip


def _bounds() -> Iterator[Case]:
    for number, name, bias in ((580, "phase", 2**31 - 8 * 128), (581, "bias", 2**31 - 1)):
        tensors = [PHASES.tensors[0], Tensor([1], "i32", [bias]), *PHASES.tensors[2:]]
        yield refused(
            number, f"bound-by-{name}", PHASES.with_(tensors=tensors), "M4-1", "The bound of a phase is 2^31 or more."
        )


def _unrun(network: FreeNetwork) -> FreeNetwork:
    """A network that cannot be run: its golden tensors are those of a good one."""
    like = ENCODER if len(network.groups[0].rows) == 2 else PHASES if len(network.tensors) == 4 else DECODER
    return network.with_(ends=like.all_tensors[len(like.tensors) :])


def _with_ends(network: FreeNetwork, shape_in: list[int], shape_out: list[int]) -> FreeNetwork:
    ends = {"input": {**network.input, "shape": shape_in}, "output": {**network.output, "shape": shape_out}}
    return _unrun(network.with_(**ends))


def _manifest(network: FreeNetwork, **changes: Any) -> FreeNetwork:
    return network.with_(manifest=changes)


def _slice(**changes: Any) -> Network:
    return _sliced().layer(0, **changes).with_(golden_output=[[0, 0]] * 3)


_FILE_ROWS = ((1, 1, 1, 3), (1, 1, 2, 2), (2, 3, 3, 8), (2, 3, 4, 9))  # height and width of latent and image


def _file(rows: Sequence[tuple[int, int, int, int]] = _FILE_ROWS, wrong: int | None = None, **more: Any) -> Sized:
    """Latents of DECODER, which is inside, with receipts.  wrong: the number of a row whose pixels are another's."""
    values = [_row(2 * h * w, 20 + k) for k, (h, w, _, _) in enumerate(rows)]
    made = sha256()
    for k, ((h, w, *image), row) in enumerate(zip(rows, values, strict=True)):
        size = min(image[0], 2 * h), min(image[1], 3 * w)  # as far as there are pixels
        made.update(bytes(DECODER.run_at(Group((h, w), (), size), values[0] if k == wrong else row)[1]))  # type: ignore[arg-type]
    before = {0: [Chunk(b"dECo", DECODER.file().build().data), Chunk(b"rCPT", made.digest(), len(rows))]}
    fields: dict[str, Any] = {"blocks": [values], "dims": [0, 0, 2], "encoding": "i8", "image": [0, 0, 2, "u8"],
                              "sizes": [list(rows)], "before": before, "decoder": DECODER.model_id}  # fmt: skip
    return Sized(**fields | more)


def _files() -> Iterator[Case]:
    case = _file().good(190, "sized-free-decoder", "Rows of their own size, their decoder inside, its pixels proved.",
                        "C7-5 C7-6 M3-12 C3-14")  # fmt: skip
    case.expected["receipts"] = [[_file().before[0][1].payload.hex()]]
    yield case
    other = _file(wrong=1).draft.build()
    yield bad(
        1010, "sized-receipt-wrong", other, "C7-6", other.payload_at[2], "Row 1 has other pixels.", only="validator"
    )
    for number, name, image, why in (
        (1011, "image-too-tall", (1, 1, 3, 3), "A latent of 1 x 1 for an image of 3 rows: at most 2."),
        (1012, "image-too-low", (2, 3, 2, 9), "Two rows of latents for two of pixels, which take one."),
        (1013, "image-too-narrow", (1, 2, 2, 3), "Two columns of latents for three of pixels, which take one."),
    ):
        rows = (_FILE_ROWS[0], image, *_FILE_ROWS[2:])
        file = _file(rows).draft.build()
        yield bad(number, f"sized-{name}", file, "M3-12", file.payload_at[3] + 2, why, code="value", only="validator")
    three = replace(_file(), dims=[0, 0, 3], blocks=[[_row(3, 1)]], sizes=[[(1, 1, 1, 1)]],
                    before={0: [_file().before[0][0]]}).draft.build()  # fmt: skip
    yield bad(
        1014, "sized-other-channels", three, "C3-14", 24, "Three channels, the decoder takes two.", only="validator"
    )
