"""Edges that readers had to guess until the text said it: which of two broken rules comes first, where a size or a file ends.

Also what C13-1 counts.  Numbers here lie behind those of the other modules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tools.build_vectors import rans, receipts
from tools.build_vectors.bad_network import wrong
from tools.build_vectors.bad_package import refused
from tools.build_vectors.case import Case, bad
from tools.build_vectors.emit import emit
from tools.build_vectors.frames import block, frame
from tools.build_vectors.framing import Chunk, Draft, File
from tools.build_vectors.latents import SMALL, Latents
from tools.build_vectors.model_valid import good
from tools.build_vectors.network import Network, Tensor
from tools.build_vectors.numbers import encode
from tools.build_vectors.sample_networks import ENCODER, TWO_PIXELS, WIDE

_KIB = 1_024


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _blocks()
    yield from _maps()
    yield from _text()
    yield from _ends()
    yield from _embedded()
    yield from _runs()
    yield from _packages()
    yield from _manifests()
    yield from _ranges()
    yield from _layers()
    yield from _work()
    yield from _by_hand()


def _blocks() -> Iterator[Case]:
    """C6-6: the smaller of the window and 128 KiB."""
    most = 1 << 17
    wide, noise = bytes(most + 1), bytes((i * i >> 3) & 0xFF for i in range(_KIB + 1))
    narrow = noise + bytes(2 * _KIB)
    small = block(1, _KIB, b"\0") * 2
    for number, name, raw, stored, why in (
        (840, "rle-over-128-kib", wide, frame(wide, blocks=block(1, most + 1, b"\0", is_last=True)),
         "A repeated block of 128 KiB and one byte; the window is larger."),
        (841, "rle-over-window", narrow, frame(narrow, window=0, blocks=block(0, _KIB, narrow[:_KIB]) + block(
            0, 1, narrow[_KIB : _KIB + 1]) + block(1, 2 * _KIB, b"\0", is_last=True)), "A repeated block of 2 KiB in a window of 1 KiB."),
        (842, "raw-over-window", narrow, frame(narrow, window=0, blocks=block(0, _KIB + 1, noise) + small + block(
            0, 0, b"", is_last=True)), "A raw block of 1,025 bytes in a window of 1,024."),
        (843, "compressed-over-window", narrow, frame(narrow, window=0, blocks=block(2, _KIB + 1, noise, is_last=True)),
         "A compressed block of 1,025 bytes in a window of 1,024."),
    ):  # fmt: skip
        file = Latents(blocks=[[list(raw)]], dims=[len(raw)], codec="zstd", frames={0: stored}).draft.build()
        yield bad(number, f"zstd-block-{name}", file, "C6-6", file.payload_at[0], why)
    narrow = narrow[:_KIB] + bytes(2 * _KIB)
    stored = frame(narrow, window=0, blocks=block(0, _KIB, narrow[:_KIB]) + small + block(0, 0, b"", is_last=True))
    yield Latents(blocks=[[list(narrow)]], dims=[len(narrow)], codec="zstd", frames={0: stored}).good(
        140,
        "zstd-blocks-as-large-as-the-window",
        "A raw and two repeated blocks of 1,024 bytes in a window of 1,024.",
        "C6-6",
    )
    wide = bytes(2 * most)
    stored = frame(wide, blocks=block(1, most, b"\0") + block(1, most, b"\0", is_last=True))
    yield Latents(blocks=[[list(wide)]], dims=[2 * most], codec="zstd", frames={0: stored}).good(
        141, "zstd-blocks-of-128-kib", "Two repeated blocks of 128 KiB: the largest there are.", "C6-6"
    )


def _maps() -> Iterator[Case]:
    """Section 3.1: the first byte is looked at before the walk begins."""
    for number, name, first, why in (
        (845, "float", "cb0000000000000000", "A float is no map: C3-1, although C3-2 forbids floats."),
        (846, "unassigned", "c1", "C1 is no map: C3-1, although C3-2 forbids it."),
        (847, "list-cut", "dc", "A list whose count is missing is no map."),
    ):
        file = replace(SMALL.draft, header=bytes.fromhex(first)).build()
        yield bad(number, f"msgpack-root-{name}", file, "C3-1", 24, why)
    fields = {"codec": "none", "kind": "model", "model": bytes(32)}
    for number, name, byte_order, rule, why in (
        (850, "big", "big", "C3-10", "A model package is little-endian."),
        (851, "integer", 0, "C3-8", "byte_order is no string."),
    ):
        header = emit(fields | {"byte_order": byte_order})
        file = replace(TWO_PIXELS.file(), header=header).build()
        yield bad(number, f"header-model-byte-order-{name}", file, rule, 24, why)


def _text() -> Iterator[Case]:
    """C5-3: what reads as infinity."""
    for number, name, text, rule, why in (
        (855, "below-infinity", b"+1.797693134862315807e+308", "C5-2", "Reads as the largest binary64, which is written otherwise."),
        (856, "infinity", b"+1.797693134862315808e+308", "C5-3", "The first cell that reads as infinity."),
        (857, "minus-infinity", b"-1.797693134862315808e+308", "C5-3", "The first cell that reads as minus infinity."),
    ):  # fmt: skip
        base = Latents(blocks=[[[1.0, 0.1]]], dims=[2], encoding="text19")
        raw = encode(base.blocks[0], "text19")[:27] + text + b"\n"
        draft = replace(base.draft, chunks=(replace(base.draft.chunks[0], payload=raw),))
        file = draft.build()
        yield bad(number, f"text-{name}", file, rule, file.payload_at[0] + 27, why)


def _ends() -> Iterator[Case]:
    """The order of the trailer's rules."""
    names = Chunk(b"nAMe", emit({"labels": [1]}), 1, 1)
    cut_off = replace(SMALL.draft, chunks=(*SMALL.draft.chunks, names))

    def case(number: int, name: str, draft: Draft, offset: int, rule: str, why: str, **more: Any) -> Case:
        file = draft.build()
        return bad(number, f"trailer-{name}", file, rule, file.trailer_at + offset, why, **more)

    yield case(860, "crc-before-missing-rows", cut_off.end(trailer_crc=0), 60, "C9-2",
               "The file ends after row names, and trailer_crc is wrong: C9-2 comes before C4-6.")  # fmt: skip
    yield case(861, "missing-rows-before-counts", cut_off.end(n_chunks=9, n_rows=9), 0, "C4-6",
               "The file ends after row names, and the counts are wrong: C4-6 comes before C9-3.", seek="may accept")  # fmt: skip
    yield case(862, "chunks-before-rows", SMALL.draft.end(n_chunks=2, n_rows=2), 4, "C9-3", "Both counts are wrong.")
    file = SMALL.draft.end(content_id=bytes(32)).build()
    yield bad(863, "trailer-content-before-what-follows", replace(file, data=file.data + b"\0"), "C9-6", file.trailer_at + 28,
              "The content id is wrong, and a byte follows the trailer.")  # fmt: skip


def _carrying(decoder: bytes, network: Network = TWO_PIXELS, **more: Any) -> Latents:
    fields: dict[str, Any] = {"blocks": [[[3, 9]]], "dims": [2], "image": [1, 2, 1, "u8"], "decoder": network.model_id}
    return Latents(before={0: [Chunk(b"dECo", decoder)]}, **fields | more)


def _embedded() -> Iterator[Case]:
    """C7-4: where the embedded file ends, and what a validator does with it."""
    package = TWO_PIXELS.file().build()
    off = TWO_PIXELS.with_(golden_output=[[0, 0], [0, 0], [1, 1]])
    in_header = package.chunk_at[3] + 10
    for number, name, file, rule, at, why in (
        (870, "cut-in-magic", _carrying(package.data[:5]), "C2-7", 5, "The embedded file ends inside its magic."),
        (871, "cut-in-chunk-header", _carrying(package.data[:in_header]), "C4-1", in_header,
         "The embedded file ends inside a chunk header; the file around it goes on."),
        (872, "cut-in-payload", _carrying(package.data[: package.payload_at[3] + 1]), "C4-10", package.payload_at[3] + 1,
         "The embedded file ends inside a payload; the file around it goes on."),
        (873, "golden-wrong", _carrying(off.file().build().data, off), "M6-2", 0,
         "The embedded decoder does not reproduce its golden set: a validator runs it."),
        (874, "golden-wrong-and-another", _carrying(off.file().build().data), "M6-2", 0,
         "Nor is it the decoder that the header names: what is wrong inside comes before C7-4."),
    ):  # fmt: skip
        yield bad(number, f"decoder-{name}", file.draft.build(), rule, at, why, inside="dECo", only="validator")
    prior = rans.MIXTURE.manifest["prior"]
    broken = rans.MIXTURE.with_(manifest={"prior": {**prior, "tables": 10}})
    inside = broken.file().build()
    file = rans.file(broken, [rans.mixture(12, 0)], dims=[4], image=[1, 2, 1, "u8"])
    yield bad(875, "rans-prior-of-tensor-10", file.draft.build(), "M2-2", inside.payload_at[0],
              "The prior inside names tensor 10 of 10, counted from 0.", inside="dECo")  # fmt: skip
    other = rans.MIXTURE.file()
    lying = replace(other, header=emit({"byte_order": "little", "codec": "none", "kind": "model", "model": bytes(32)}))
    plain = rans.file(rans.MIXTURE, [([[3, -4, 3, -4]], None)]).with_(
        decoder=bytes(32), before={0: [Chunk(b"dECo", lying.build().data)]}
    )
    yield bad(876, "rans-decoder-that-no-row-needs", plain.draft.build(), "M1-2", lying.build().payload_at[0],
              "A forward reader looks into the decoder as soon as it comes; one that seeks has no need of it.",
              inside="dECo", seek="may accept")  # fmt: skip


_BELOW_255 = TWO_PIXELS.with_(input={"shape": [2], "type": "u8", "range": [0, 254]}, golden=[[0, 0], [254, 254]])


def _run_file(rows: list[list[int]], digests: bytes | None = None, **more: Any) -> File:
    """Rows of _BELOW_255 with their receipts."""
    own = receipts.receipt([[min(x, 254) for x in row] for row in rows], network=_BELOW_255)
    if digests is not None:
        own = replace(own, payload=digests)
    front = [Chunk(b"dECo", _BELOW_255.file().build().data), own]
    base = Latents(blocks=[rows], dims=[2], image=[1, 2, 1, "u8"], decoder=_BELOW_255.model_id, **more)
    return base.with_(before={0: front}).draft.build()


def _runs() -> Iterator[Case]:
    """M4-7 and C7-6, run by run."""
    rows = [[i % 200, (i * 7) % 200] for i in range(70)]
    high = [row[:] for row in rows]
    high[65][1] = 255
    first = [row[:] for row in rows]
    first[3][0] = 255
    good_digests = receipts.receipt(rows, network=_BELOW_255).payload
    flipped = bytes([good_digests[0] ^ 1]) + good_digests[1:]
    wide: dict[str, Any] = {"encoding": "f64le", "values": "u8"}
    packed = [[0, 0]] * 69 + [[0, 255]]

    def case(number: int, name: str, file: File, rule: str, at: int, why: str) -> Case:
        return bad(number, f"receipts-{name}", file, rule, at, why, only="validator")

    file = _run_file(high)
    yield case(880, "row-out-of-range", file, "M4-7", file.payload_at[2] + 2 * 65 + 1,
               "Row 65 holds 255, the decoder takes 0 to 254; the byte is that of the value in the file.")  # fmt: skip
    file = _run_file(high, **wide)
    yield case(881, "f64-out-of-range", file, "M4-7", file.payload_at[2] + 8 * (2 * 65 + 1),
               "The same as f64le: eight bytes a value.")  # fmt: skip
    file = _run_file(packed, codec="zstd")
    yield case(882, "compressed-out-of-range", file, "M4-7", file.payload_at[2],
               "In a compressed payload the byte is the payload's first.")  # fmt: skip
    file = _run_file(high, flipped)
    yield case(883, "digest-before-a-later-row", file, "C7-6", file.payload_at[1],
               "A wrong digest in the first run, a value out of range in the second: run by run.")  # fmt: skip
    file = _run_file(first, flipped)
    yield case(884, "row-before-its-digest", file, "M4-7", file.payload_at[2] + 2 * 3,
               "In one run the range comes first: without pixels there is no digest.")  # fmt: skip
    bare = Latents(blocks=[high], dims=[2], image=[1, 2, 1, "u8"], decoder=_BELOW_255.model_id)
    yield bare.with_(before={0: [Chunk(b"dECo", _BELOW_255.file().build().data)]}).good(
        142,
        "out-of-range-without-receipts",
        "Row 65 holds 255, which the decoder does not take: nobody decodes it here.",
        "M4-7",
    )


def _packages() -> Iterator[Case]:
    """The order at the end of a package."""
    whole = TWO_PIXELS.file()
    short = replace(whole, chunks=whole.chunks[:-1])
    for number, name, draft, offset, rule, code, why in (
        (390, "counts-before-missing-tensor", short.end(n_chunks=9), 4, "C9-3", None, "A tensor is missing, and n_chunks is wrong."),
        (391, "chain-before-missing-tensor", short.end(chain_crc=0), 24, "C9-5", None, "A tensor is missing, and chain_crc is wrong."),
        (392, "missing-tensor-before-content-id", short.end(content_id=bytes(32)), 0, "M1-3", None,
         "A tensor is missing, and the content id is wrong."),
        (395, "no-chunk-before-counts", replace(whole, chunks=()).end(n_chunks=9), 0, "M1-1", None,
         "There is no chunk, and n_chunks is wrong."),
    ):  # fmt: skip
        file = draft.build()
        yield bad(number, name, file, rule, file.trailer_at + offset, why, folder="model", code=code)
    file = whole.end(content_id=bytes(32)).build()
    yield bad(393, "content-id-before-what-follows", replace(file, data=file.data + b"\0"), "M1-2", file.trailer_at + 28,
              "The content id is wrong, and a byte follows the trailer.", folder="model", code="content")  # fmt: skip
    file = TWO_PIXELS.tensor(2, numbers=[0, 40]).with_(golden_output=[[0, 0]] * 3).file().build()
    yield bad(394, "what-follows-before-section-4", replace(file, data=file.data + b"\0"), "C9-7", len(file.data),
              "A multiplier is 0, and a byte follows the trailer: section 4 comes when the file's end has been seen.",
              folder="model")  # fmt: skip
    off = TWO_PIXELS.with_(golden_output=[[0, 0], [0, 0], [1, 1]])
    yield bad(256, "golden-for-who-computes", off.file().build(), "M6-2", 0,
              "Other readers accept it: they do not run the golden set.", folder="model", only="computing reader")  # fmt: skip
    outside = rans.MIXTURE.with_(golden=[[0, 0, 0, 4]], golden_output=[[0, 0]]).tensor(4, numbers=[128, 100, 29])
    yield wrong(
        396, "golden-range-before-prior", outside, "M6-1", "A golden input out of range, and classes that sum to 257."
    )


def _manifests() -> Iterator[Case]:
    """M2-2: the form of everything, then the counts."""
    entries = [tensor.entry for tensor in TWO_PIXELS.all_tensors]
    malformed = [{**entries[0], "type": "x"}, *entries[1:]]
    layers = [{"kind": "flatten", "inputs": [k]} for k in range(1_025)]
    many = [*entries, *[entries[0]] * (4_097 - len(entries))]
    for number, name, network, code, why in (
        (400, "layers-1025-and-tensor-bad", TWO_PIXELS.with_(manifest={"layers": layers, "tensors": malformed}), None,
         "1,025 layers, and a tensor of no type: the form comes first."),
        (401, "tensors-4097", TWO_PIXELS.with_(manifest={"tensors": many}), "limit", "One tensor over the limit."),
        (402, "tensors-4097-one-bad", TWO_PIXELS.with_(manifest={"tensors": [*many[:-1], 1]}), None,
         "4,097 tensors, the last of which is no map: the form comes first."),
        (403, "layers-1025-and-golden-bad", TWO_PIXELS.with_(manifest={"layers": layers, "golden": {"input": 4, "output": 6}}), None,
         "1,025 layers, and a golden output that is no tensor: the form comes first."),
        (404, "layers-1025-of-no-kind", TWO_PIXELS.with_(manifest={"layers": [1] * 1_025}), "limit",
         "1,025 layers, none of which is a map: what a layer holds is M3-1."),
        (405, "layers-1025-and-decoder", TWO_PIXELS.with_(manifest={"layers": layers}, decoder=bytes(32)), "limit",
         "1,025 layers, and a decoder that names one: M2-2 comes before M2-3."),
        (406, "golden-6-of-6", TWO_PIXELS.with_(manifest={"golden": {"input": 6, "output": 5}}), None,
         "There are six tensors, counted from 0: no tensor 6."),
    ):  # fmt: skip
        yield refused(number, f"manifest-{name}", network, "M2-2", why, code=code)


def _ranges() -> Iterator[Case]:
    """M2-5 says all of what a range is."""
    real = {"shape": [2], "type": "f32", "range": []}
    for number, name, end, why in (
        (410, "of-one", [1], "One integer."),
        (411, "of-three", [0, 1, 2], "Three integers."),
        (412, "boolean", [True, 9], "A boolean is no integer."),
        (413, "string", "x", "No list."),
        (414, "map", {"lo": 0, "hi": 9}, "No list."),
        (415, "of-2-to-53", [0, 2**53 - 1], "Far above the type."),
    ):
        input = {"shape": [2], "type": "u8", "range": end}
        yield refused(number, f"range-{name}", TWO_PIXELS.with_(manifest={"input": input}), "M2-5", why)
    yield refused(416, "range-empty-of-f32", TWO_PIXELS.with_(manifest={"input": real}), "M2-5",
                  "f32 has no range, not even an empty one; M2-5 comes before M2-7.")  # fmt: skip
    both = ENCODER.with_(decoder=None, manifest={"output": {**ENCODER.output, "range": [1]}})
    yield refused(417, "range-after-decoder", both, "M2-3", "A range of one, and no decoder: M2-3 comes first.")
    broken = rans.MIXTURE.with_(input={**rans.MIXTURE.input, "range": [1]})
    inside = broken.file().build()
    made = rans.file(broken, [rans.mixture(12, 0)], dims=[4], image=[1, 2, 1, "u8"])
    yield bad(877, "rans-range-of-one", made.draft.build(), "M2-5", inside.payload_at[0], "A range of one integer inside.",
              inside="dECo")  # fmt: skip


def _layers() -> Iterator[Case]:
    """What comes first in section 3."""
    huge = {"input": {"shape": [2**20, 2**20], "type": "u8"}}
    relu = TWO_PIXELS.with_(layers=[{"kind": "relu"}, *TWO_PIXELS.layers[1:]])
    yield wrong(420, "order-input-before-layers", relu.with_(manifest=huge), "M3-5",
                "An input of 2^40 numbers, and a relu with profile exact: the input comes before the first layer.", "limit")  # fmt: skip
    unknown = TWO_PIXELS.layer(1, kind="softmax").with_(manifest=huge, golden_output=[[0, 0]] * 3)
    yield wrong(421, "order-kinds-before-input", unknown, "M3-1",
                "An input of 2^40 numbers, and a layer of no kind: M3-1 to M3-3 go over all layers first.")  # fmt: skip
    stretched = Network(
        input={"shape": [1_025, 1_025, 1], "type": "u8"}, output={"shape": [1, 1, 1], "type": "u8"},
        layers=[{"kind": "conv2d_transpose", "weights": 0, "bias": 1, "strides": [16, 16], "crop": [0, 0, 0, 0]}],
        tensors=[Tensor([1, 1, 1, 1], "u8", [1]), Tensor([1], "i32", [0])],
        golden=[[0]], golden_output=[[0]], ends=[Tensor([1, 1], "u8", [0]), Tensor([1, 1, 1, 1], "u8", [0])],
    )  # fmt: skip
    yield wrong(422, "order-elements-before-types", stretched, "M3-5",
                "More than 2^28 elements, and weights of u8: M3-5 comes before M3-6.", "limit")  # fmt: skip
    both = stretched.tensor(1, shape=[2], numbers=[0, 0])
    yield wrong(
        423,
        "order-shapes-before-elements",
        both,
        "M3-5",
        "The bias does not fit either: `manifest` comes before `limit`.",
    )


def _by_hand() -> Iterator[Case]:
    """The code that section 18 of container.md works through."""
    rows = [[0, 1, 1, 0], [-4, 3, -2, 2]]
    yield rans.file(rans.MIXTURE, [(rows, rans.code(rans.MIXTURE, rows, [0, 1], 0))]).good(
        149, "rans-by-hand", "Two rows in one lane: ten symbols and one word.", "C6-11 C6-12"
    )


def work_of(draft: Draft, encoding: str = "", n_values: int = 0, network: Network | None = None) -> int:
    """What C13-1 counts."""
    total = 0
    for chunk in draft.chunks:
        raw_len = len(chunk.payload) if chunk.raw_len is None else chunk.raw_len
        if chunk.tag not in (b"MANF", b"TENS", b"ROWS", b"nAMe", b"rCPT", b"iNDX", b"fLDs"):
            continue
        total += 4 * raw_len
        if chunk.tag == b"nAMe":
            total += 512 * raw_len
        if chunk.tag == b"fLDs":
            total += 28 * raw_len
        if chunk.tag == b"ROWS" and encoding == "text19":
            total += 4_096 * (raw_len // 27)
        if chunk.tag == b"ROWS" and encoding == "rans" and len(chunk.payload) < raw_len:
            lanes = 1 << chunk.payload[0]
            total += 256 * -(-chunk.n_rows // lanes) * (n_values + 1) + 16 * chunk.n_rows * (n_values + 1)
    if draft.has_index:
        total += 4 * 24 * sum(chunk.tag == b"ROWS" for chunk in draft.chunks)
    if network is not None:
        made = sum(_sizes(network))
        total += len(network.golden) * (network.work - made + 8 * made + 10_000 * len(network.layers))
        total += 2_048 * _channels(network)
    return total


def _channels(network: Network) -> int:
    """Of the layers that make sums in the exact profile, and of lookups."""
    values = network._values(network.golden[0])[1:]
    kinds = ("dense", "conv2d", "conv2d_transpose", "affine", "add", "lookup")
    return sum(
        int(shape[-1]) for layer, (shape, _) in zip(network.layers, values, strict=True) if layer["kind"] in kinds
    )


def _sizes(network: Network) -> list[int]:
    return [len(numbers) for _, numbers in network._values(network.golden[0])[1:]]


def _work() -> Iterator[Case]:
    """C13-1, one file for each thing that it counts."""
    rows = [[(i * 7 + j) % 5 / 4 for j in range(4)] for i in range(12)]
    text = Latents(blocks=[rows, rows], dims=[4], encoding="text19", codec="zstd", index=True)
    named = Latents(blocks=[[[i] for i in range(30)]], dims=[1], codec="zstd", names=[{"labels": [0] * 30}])
    coded = rans.file(rans.MIXTURE, [rans.mixture(30, 2), ([[3, -4, 3, -4]], None)])
    proved = Latents(
        blocks=[[[1, 2], [3, 4]]], dims=[2], image=[1, 2, 1, "u8"], decoder=TWO_PIXELS.model_id,
        before={0: [Chunk(b"teXt", b"not counted"), receipts.receipt([[1, 2], [3, 4]])]},
    )  # fmt: skip
    for number, name, file, encoding, n_values, about in (
        (145, "text", text, "text19", 4, "Cells of text, and an index."),
        (146, "names", named, "", 1, "Row names count more than other bytes, compressed or not."),
        (147, "rans", coded, "rans", 4, "A code and rows as they are; the embedded decoder is a file of its own."),
        (148, "receipts", proved, "", 2, "Receipts count as bytes; a chunk to skip does not count."),
    ):  # fmt: skip
        case = file.good(number, f"work-{name}", about, "C13-1")
        case.expected["file_work"] = work_of(file.draft, encoding, n_values)
        if name == "receipts":
            case.expected["receipts"] = [
                [hashlib.sha256(bytes(int(x) for row in file.blocks[0] for x in TWO_PIXELS.run(row))).hexdigest()]
            ]
        yield case
    draft = WIDE.file(codec="zstd")
    case = good(70, "work-wide", WIDE, "A golden set of three rows, and tensors that count as they are before compression.",
                "C13-1 M7-1", [[1, 1, 2, 3, 5, 8, 13, 21]], draft)  # fmt: skip
    case.expected["file_work"] = work_of(draft, network=WIDE)
    yield case
