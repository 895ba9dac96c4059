"""Priors with passes, and codes with them, that break a rule (model.md, section 10.1; container.md, section 6.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from tools.build_vectors.case import Case, bad
from tools.build_vectors.framing import Chunk
from tools.build_vectors.free_network import FreeNetwork
from tools.build_vectors.free_sizes import DECODER, refused
from tools.build_vectors.network import Network, Tensor
from tools.build_vectors.passes import PASSES, ROWS, Coder, file, looks, row_of
from tools.build_vectors.sized import words

_CODE = Coder(PASSES)
_PRIOR: dict[str, Any] = PASSES.manifest["prior"]
_FORM: dict[str, Any] = _PRIOR["passes"]


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _forms()
    yield from _graphs()
    yield from _layers()
    yield from _numbers()
    yield from _payloads()
    yield from _files()


def _with(prior: dict[str, Any] | None = None, **passes: Any) -> FreeNetwork:
    """PASSES with other keys in its prior or its passes; None takes one away.  Its golden tensors stay."""
    form = {key: value for key, value in {**_FORM, **passes}.items() if value is not None}
    whole = {key: value for key, value in {**_PRIOR, "passes": form, **(prior or {})}.items() if value is not None}
    return PASSES.with_(manifest={"prior": whole})


def _layer(number: int, **changes: Any) -> FreeNetwork:
    layers = [dict(layer) for layer in _FORM["layers"]]
    layers[number] = {key: value for key, value in {**layers[number], **changes}.items() if value is not None}
    return _with(layers=layers)


def _with_tensor(network: FreeNetwork, shape: list[int]) -> FreeNetwork:
    """One tensor more, of ones."""
    return network.with_(tensors=[*network.tensors, Tensor(shape, "i8", [1] * prod(shape))])


def _pair(number: int, pair: list[int]) -> FreeNetwork:
    outputs = [list(pair) for pair in _FORM["outputs"]]
    outputs[number] = pair
    return _with(outputs=outputs)


def _forms() -> Iterator[Case]:
    for number, name, network, why in (
        (600, "and-classes", _with({"classes": 1}), "Passes and classes in one prior."),
        (601, "without-tables", _with({"tables": None}), "No tables."),
        (602, "no-map", PASSES.with_(manifest={"prior": {**_PRIOR, "passes": 1}}), "The passes are a number."),
        (603, "without-outputs", _with(outputs=None), "No outputs."),
        (604, "key-too-many", _with(tables=1), "A key of the passes that there is not."),
        (605, "no-groups", _with(groups=[]), "No group."),
        (606, "group-of-0", _with(groups=[0, 3]), "A group without channels."),
        (607, "257-groups", _with(groups=[1] * 257), "Too many groups."),
        (608, "no-layers", _with(layers=[]), "No layer."),
        (609, "pair-of-three", _pair(2, [1, 2, 3]), "Three numbers in a pair."),
        (610, "pair-negative", _pair(2, [-1, 2]), "A number below 0."),
        (611, "layers-no-list", _with(layers={}), "A map of layers."),
        (612, "outputs-no-list", _with(outputs={}), "A map of outputs."),
    ):
        yield refused(number, f"passes-{name}", network, "M2-2", why)
    yield refused(613, "passes-1025-layers", _with(layers=_FORM["layers"] * 40), "M2-2", "Too many layers.", "limit")
    for number, name, network, rule, why in (
        (614, "layer-unknown", _layer(1, kind="fft"), "M3-1", "A layer of no known kind."),
        (615, "layer-key", _layer(1, shift=None), "M3-2", "A lookup without a shift."),
        (616, "layer-of-itself", _layer(0, inputs=[10]), "M3-3", "A layer that takes what it makes."),
        (617, "layer-two-inputs", _layer(0, inputs=[0, 0]), "M3-3", "A convolution of two values."),
    ):
        yield refused(number, f"passes-{name}", network, rule, why)
    yield refused(618, "passes-tensor-unused", PASSES.with_(tensors=[*PASSES.tensors, Tensor([1], "i32", [4])]), "M3-9",
                  "A tensor that no layer of either network uses.")  # fmt: skip


def _graphs() -> Iterator[Case]:
    ends = {**PASSES.input, "shape": [1, 1, 3]}, {**PASSES.output, "shape": [1, 1, 1]}
    fixed = Network(*ends, PASSES.layers, PASSES.tensors, [[1, 2, 3]], manifest=PASSES.manifest).file().build()
    yield bad(620, "passes-of-one-size", fixed, "M10-6", fixed.payload_at[0], "Passes of latents of one size.",
              folder="model")  # fmt: skip
    for number, name, network, rule, why in (
        (622, "groups-too-few", _with(groups=[1, 1]), "M10-7", "Two of three channels."),
        (623, "groups-too-many", _with(groups=[2, 2]), "M10-7", "Four of three channels."),
        (624, "outputs-short", _with(outputs=_FORM["outputs"][:-1]), "M10-7", "Seven pairs for eight passes."),
        (625, "outputs-long", _with(outputs=[*_FORM["outputs"], [11, 12]]), "M10-7", "Nine pairs."),
        (626, "output-beyond", _pair(7, [200, 12]), "M10-7", "A value that there is not."),
    ):
        yield refused(number, f"passes-{name}", network, rule, why)
    n = len(_FORM["layers"])
    for number, name, network, why in (
        (630, "own-phase", _layer(3, inputs=[2]), "Pass 1 of the first group looks at phase 1 of it."),
        (631, "later-group", _with_tensor(_layer(0, inputs=[6], weights=15), [3, 3, 2, 1]), "The first pass looks at the second group."),
        (632, "whole-own-group", _layer(0, inputs=[4]), "The first pass looks at its whole group."),
        (633, "pick-alone", _pair(1, [14, 20]), "The pick of pass 1 is that of pass 3."),
        (634, "value-unused", _with(layers=[*_FORM["layers"], {"inputs": [0], "kind": "slice", "start": 0, "stop": 1}]),
         "A value that nothing takes."),
    ):  # fmt: skip
        yield refused(number, f"passes-{name}", network, "M10-9", why)
    means = _FORM["outputs"]
    sliced = [*_FORM["layers"], {"inputs": [means[4][1]], "kind": "slice", "start": 0, "stop": 1}]
    narrow = [*means[:4], [means[4][0], 10 + n], *means[5:]]
    early = _layer(3, inputs=[0]).manifest["prior"]["passes"]["layers"]
    swapped = [[means[1][0], means[0][1]], [means[0][0], means[1][1]], *means[2:]]
    known = [_FORM["layers"][0], {"inputs": [0], "kind": "slice", "start": 0, "stop": 1}, *_FORM["layers"][2:]]
    sums = [_FORM["layers"][0], {"inputs": [10, 10], "kind": "add"}, *_FORM["layers"][2:]]
    for number, name, network, why in (
        (
            640,
            "mean-of-other-phase",
            _with(layers=early, outputs=swapped),
            "The means of passes 0 and 1 change places.",
        ),
        (641, "mean-on-full-grid", _with(layers=known), "The mean lies on the full grid."),
        (642, "pick-signed", _pair(0, [means[0][1], means[0][0]]), "A pick of type i8."),
        (643, "channels", _with(layers=sliced, outputs=narrow), "A pick of one channel for two."),
        (644, "mean-of-sums", _with(layers=sums), "A mean of sums."),
    ):
        yield refused(number, f"passes-{name}", network, "M10-10", why)
    yield refused(645, "passes-pick-beyond", PASSES.tensor(9, numbers=[3] + [0] * 15), "M10-11", "Table 3 of 0 to 2.")


def _layers() -> Iterator[Case]:
    for number, name, changes, why in (
        (
            650,
            "conv-transpose",
            {"kind": "conv2d_transpose", "padding": None, "crop": [0] * 4},
            "No kind of the passes.",
        ),
        (651, "padding-of-no-phase", {"padding": [1, 0, 1, 0]}, "A padding of no phase."),
        (652, "stride-2-1", {"strides": [2, 1]}, "A stride of 2 x 1."),
        (653, "stride-1-uneven", {"strides": [1, 1], "padding": [1, 1, 0, 1]}, "A padding of 0 and 1 with stride 1."),
        (654, "stride-1-none", {"strides": [1, 1], "padding": [0, 1, 0, 1]}, "Columns get fewer."),
    ):
        yield refused(number, f"passes-{name}", _layer(0, **changes), "M10-8", why)
    again = {"inputs": [11], "kind": "conv2d", "weights": 4, "bias": 5, "strides": [2, 2], "padding": [1, 1, 1, 1]}
    extra = [*_FORM["layers"], again]
    yield refused(655, "passes-phase-of-phase", _with(layers=extra), "M10-8", "A stride of 2 on the grid of a phase.")
    joined = [*_FORM["layers"], {"inputs": [11, 14], "kind": "concat", "axis": 2}]
    yield refused(656, "passes-two-phases", _with(layers=joined), "M10-8", "Two phases in one concat.")
    added = [*_FORM["layers"], {"inputs": [0, 11], "kind": "add"}]
    yield refused(657, "passes-grids-differ", _with(layers=added), "M3-5", "A phase and the whole in one add.")
    axis = [*_FORM["layers"], {"inputs": [0, 1], "kind": "concat", "axis": 0}]
    yield refused(658, "passes-concat-axis-0", _with(layers=axis), "M10-8", "Rows are joined.")
    upsampled = [*_FORM["layers"], {"inputs": [0], "kind": "upsample", "factors": [1, 1]}]
    yield refused(
        659, "passes-upsample", _with(layers=upsampled), "M10-8", "A kind that goes with free sizes, not here."
    )
    even = [{**_FORM["layers"][0], "weights": 15, "padding": [1, 0, 1, 0]}, *_FORM["layers"][1:]]
    network = _with_tensor(_with(layers=even), [2, 2, 1, 1])
    yield refused(660, "passes-even-kernel", network, "M10-8", "A kernel of 2 x 2.")
    point = [{**looks(15, 5, 0, 1), "inputs": [0]}, *_FORM["layers"][1:]]
    network = _with_tensor(_with(layers=point), [1, 1, 1, 1])
    yield refused(661, "passes-kernel-1", network, "M10-8", "A stride of 2 with a kernel of 1 x 1.")
    yield refused(662, "passes-channels", _layer(0, inputs=[5]), "M3-5", "Two channels, and a kernel for one.")
    yield refused(663, "passes-lookup-of-u8", _layer(1, inputs=[0]), "M3-6", "A lookup of no sums.")


def _numbers() -> Iterator[Case]:
    tables = list(PASSES.tensors[7].numbers)
    for number, name, changes, why in (
        (670, "sum-255", {0: 199}, "A row that sums to 255."),
        (671, "negative", {2: -1, 0: 201}, "A frequency of -1."),
        (672, "no-escape", {8: 0, 0: 216}, "A frequency of 0, and no escape."),
        (673, "escape-for-nothing", {17: 1, 9: 99}, "An escape, and no frequency of 0."),
    ):
        numbers = [changes.get(i, x) for i, x in enumerate(tables)]
        yield refused(number, f"passes-{name}", PASSES.tensor(7, numbers=numbers), "M10-4", why)
    for number, name, tensor, why in (
        (674, "tables-without-escape", Tensor([3, 8], "i32", tables[:24]), "Eight columns, and no ninth."),
        (675, "tables-flat", Tensor([27], "i32", tables), "One axis."),
        (676, "tables-257", Tensor([257, 9], "i32", tables[9:18] * 257), "257 tables."),
        (677, "tables-u8", Tensor([3, 9], "u8", [x % 256 for x in tables]), "Tables of u8."),
    ):
        changed = PASSES.with_(tensors=[*PASSES.tensors[:7], tensor, *PASSES.tensors[8:]])
        yield refused(number, f"passes-{name}", changed, "M10-2", why)
    yield refused(678, "passes-weight-128", PASSES.tensor(4, numbers=[-128, *[0] * 8]), "M4-5", "A weight of -128.")
    yield refused(679, "passes-bias-too-large", PASSES.tensor(12, numbers=[2**31 - 1, 0]), "M4-1", "Sums reach 2^31.")
    yield refused(680, "passes-multiplier-0", PASSES.tensor(6, numbers=[0]), "M4-2", "A multiplier of 0.")


def _payload(number: int, name: str, payload: bytes, rule: str, why: str, **more: Any) -> Case:
    """The error is at the payload of the rows."""
    built = file(PASSES, [(ROWS, payload)]).draft.build()
    return bad(number, f"passes-{name}", built, rule, built.payload_at[2], why, **more)


def _payloads() -> Iterator[Case]:
    one, four = _CODE.code(ROWS, 0), _CODE.code(ROWS, 2)
    flipped = bytearray(one)
    flipped[6] ^= 0x10
    for number, name, payload, rule, why in (
        (1100, "2048-lanes", b"\x0b" + one[1:], "C6-7", "2^11 lanes."),
        (1101, "256-lanes", b"\x08" + one[1:], "C6-7", "256 lanes for 174 values."),
        (1102, "lanes-byte-only", b"\x00", "C6-9", "No state."),
        (1103, "state-cut", four[:16], "C6-9", "The last of four states is not all there."),
        (1104, "half-a-word", one[:-1], "C6-9", "The last word is cut in two."),
        (1105, "state-low", four[:13] + struct.pack("<I", 65_535) + four[17:], "C6-10", "One less than the smallest state."),
        (1106, "word-missing", one[:-2], "C6-11", "The last word is missing."),
        (1107, "word-left-over", one + b"\0\0", "C6-11", "A word follows the last one that is needed."),
        (1108, "ends-above", _CODE.code(ROWS, 0, start=65_537), "C6-12", "Decoding ends with the state 65,537."),
        (1109, "first-word-flipped", bytes(flipped), "C6-11", "A bit of the first word is wrong: other symbols take more words."),
        (1110, "escape-for-nothing", _CODE.code(ROWS, 0, escapes=True), "C6-13", "Escapes of symbols that have a frequency."),
        (1111, "escape-in-lanes", _CODE.code(ROWS, 2, escapes=True), "C6-13", "The same in four lanes."),
        (1112, "rows-swapped", _CODE.code([ROWS[1], ROWS[0], *ROWS[2:]], 0), "C6-11", "The code of rows in another order."),
    ):  # fmt: skip
        yield _payload(number, name, payload, rule, why)
    built = file(PASSES, [(ROWS, one)]).draft.end(content_id=bytes(32)).build()
    yield bad(1113, "passes-content-id", built, "C9-6", built.trailer_at + 28, "Not the content id of these rows.",
              seek="may accept")  # fmt: skip
    yield _steps()


def _steps() -> Case:
    """Rows of 1 x 1, whose layers take 58 steps each."""
    good = file(PASSES, [([row_of(1, 1)], None)]).draft
    n_rows = 20_000
    size = replace(good.chunks[1], payload=words(n_rows, 1, 1, 1, 1), n_rows=n_rows)
    rows = replace(good.chunks[2], payload=b"\0" + struct.pack("<I", 65_536), n_rows=n_rows, raw_len=3 * n_rows)
    built = replace(good, chunks=(good.chunks[0], size, rows)).build()
    return bad(
        1114, "passes-too-many-steps", built, "C6-8", built.payload_at[2], "A million steps and more, in one lane."
    )


def _files() -> Iterator[Case]:
    one = _CODE.code(ROWS, 0)
    headers: Sequence[tuple[int, str, dict[str, Any], str]] = (
        (1120, "dims-of-two-axes", {"dims": [0, 3], "sizes": [[(h * w, h, w) for h, w, _ in ROWS]]}, "Two axes."),
        (1121, "dims-height-only", {"dims": [0, 1, 3], "sizes": [[(h * w, h, w) for h, w, _ in ROWS]]}, "Only the height."),
        (1122, "dims-channels-free", {"dims": [0, 0, 0], "sizes": [[(h, w, 3, h, w) for h, w, _ in ROWS]]}, "Free channels."),
        (1123, "image-of-one-size", {"image": [28, 28, 1, "u8"], "sizes": [[(h, w) for h, w, _ in ROWS]]}, "One size of images."),
    )  # fmt: skip
    for number, name, header, why in headers:
        draft = file(PASSES, [(ROWS, one)], **header).draft
        yield bad(number, f"rans-free-{name}", draft.build(), "C3-18", 24, why)
    yield bad(1124, "passes-decoder-without-prior", _without_prior(), "C3-16", 24, "The decoder has no prior.")


def _without_prior() -> Any:
    rows = [(1, 1, [5, -5])]
    front = {0: [Chunk(b"dECo", DECODER.file().build().data)]}
    fields: dict[str, Any] = {"decoder": DECODER.model_id, "before": front, "dims": [0, 0, 2], "image": [0, 0, 2, "u8"]}
    return file(PASSES, [(rows, None)], sizes=[[(1, 1, 2, 3)]], **fields).draft.build()
