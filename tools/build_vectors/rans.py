"""Codec rans and the priors it codes with, valid and invalid (container.md, section 6.1; model.md, section 10).

The coder is written from the spec alone, one symbol at a time, in Python's own integers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tools.build_vectors.bad_network import wrong
from tools.build_vectors.case import Case, bad
from tools.build_vectors.framing import Chunk, Draft, File
from tools.build_vectors.latents import Latents
from tools.build_vectors.model_valid import good
from tools.build_vectors.network import Network, Tensor
from tools.build_vectors.sample_networks import ENCODER, FLOAT_DECODER, RAMP, TWO_PIXELS

_LOWEST = 65_536


def with_prior(network: Network, bits: int, classes: Tensor, tables: Tensor, means: Tensor, picks: Tensor) -> Network:
    """The network with four more tensors and the prior that they are."""
    first = len(network.tensors)
    numbers = {"classes": first, "means": first + 2, "picks": first + 3, "tables": first + 1}
    return network.with_(
        tensors=[*network.tensors, classes, tables, means, picks],
        manifest={**network.manifest, "prior": {"bits": bits, **numbers}},
    )


def _decoder(n: int, type: str, range_: list[int] | None, golden: list[list[int]]) -> Network:
    """n latents -> 1 x 2 pixels."""
    return Network(
        input={"shape": [n], "type": type} | ({} if range_ is None else {"range": range_}),
        output={"shape": [1, 2, 1], "type": "u8"},
        layers=[
            {"kind": "dense", "weights": 0, "bias": 1},
            {"kind": "lookup", "multiplier": 2, "shift": 1, "table": 3},
            {"kind": "reshape", "shape": [1, 2, 1]},
        ],
        tensors=[
            Tensor([n, 2], "i8", [(i * 5) % 7 - 3 for i in range(2 * n)]),
            Tensor([2], "i32", [3, -4]),
            Tensor([2], "i32", [1, 2]),
            Tensor([18], "u8", RAMP),
        ],
        golden=golden,
    )


# Four latents from -4 to 3 in three classes, over two tables.
MIXTURE = with_prior(
    _decoder(4, "i8", [-4, 3], [[0, 0, 0, 0], [-4, 3, -4, 3]]),
    8,
    Tensor([3], "i32", [128, 100, 28]),
    Tensor([2, 8], "i32", [240, 6, 2, 1, 1, 1, 1, 4, 100, 60, 30, 10, 2, 4, 10, 40]),
    Tensor([3, 4], "u8", [4, 4, 4, 4, 0, 7, 2, 5, 1, 3, 6, 4]),
    Tensor([3, 4], "u8", [0, 0, 1, 0, 0, 1, 0, 0, 1, 1, 1, 0]),
)

# Eight bytes in one class, whose frequency is all there is; the largest bits, and every value of u8.
BYTES = with_prior(
    _decoder(8, "u8", None, [[0] * 8, [255] * 8]),
    16,
    Tensor([1], "i32", [65_536]),
    Tensor([2, 256], "i32", [65_281, *[1] * 255, *[256] * 256]),
    Tensor([1, 8], "u8", [0, 255, 128, 7, 7, 7, 7, 7]),
    Tensor([1, 8], "u8", [0, 0, 0, 1, 0, 0, 0, 0]),
)

# Four latents of 0 or 1 in one class, of which a 0 takes next to nothing.
RARE = with_prior(
    _decoder(4, "u8", [0, 1], [[0, 1, 0, 1]]),
    16,
    Tensor([1], "i32", [65_536]),
    Tensor([1, 2], "i32", [65_535, 1]),
    Tensor([1, 4], "u8", [0] * 4),
    Tensor([1, 4], "u8", [0] * 4),
)


def code(
    network: Network, rows: Sequence[Sequence[int]], classes: Sequence[int], log2: int, start: int = _LOWEST
) -> bytes:
    """The payload of rows, each in the class that is given, in 2^log2 lanes.  start: the state that decoding ends with."""
    prior = network.manifest["prior"]
    arrays = {key: network.tensors[prior[key]].numbers for key in ("classes", "tables", "means", "picks")}
    bits, lo = prior["bits"], network.input.get("range", [0 if network.input["type"] == "u8" else -128])[0]
    n = len(arrays["tables"]) // network.tensors[prior["tables"]].shape[0]
    n_values, lanes = len(rows[0]), 1 << log2
    words: list[int] = []
    states = [start] * lanes
    for first in reversed(range(0, len(rows), lanes)):
        block = range(first, min(first + lanes, len(rows)))
        for position in reversed(range(-1, n_values)):
            for row in reversed(block):
                k = classes[row]
                if position < 0:
                    table, symbol = list(arrays["classes"]), k
                else:
                    at = k * n_values + position
                    pick = int(arrays["picks"][at])
                    table = list(arrays["tables"][n * pick : n * pick + n])
                    symbol = (rows[row][position] - lo - int(arrays["means"][at])) % n
                f, cum, x = int(table[symbol]), int(sum(table[:symbol])), states[row % lanes]
                if x >= f << 32 - bits:
                    words.insert(0, x & 0xFFFF)
                    x >>= 16
                states[row % lanes] = (x // f << bits) + x % f + cum
    return bytes([log2]) + struct.pack(f"<{lanes}I", *states) + struct.pack(f"<{len(words)}H", *words)


def _rows(n_rows: int) -> list[list[int]]:
    """Rows near what the classes of MIXTURE expect."""
    near = [[0, 0, 0, 0], [-4, 3, -2, 1], [-3, -1, 2, 0]]
    return [[max(-4, min(3, x + ((i * 7 + j) % 11 == 0))) for j, x in enumerate(near[i % 3])] for i in range(n_rows)]


def file(
    network: Network, blocks: Sequence[tuple[Sequence[Sequence[int]], bytes | None]], *, embed: bool = True, **more: Any
) -> Latents:
    """A file of these rows, each block with its payload (None: as they are), and its decoder inside."""
    front = [Chunk(b"dECo", network.file().build().data)] if embed else []
    fields: dict[str, Any] = {
        "dims": network.input["shape"], "image": [*network.output["shape"], "u8"], "encoding": network.input["type"],
        "decoder": network.model_id, "codec": "rans",
        "frames": {i: payload for i, (rows, payload) in enumerate(blocks) if payload is not None}, "before": {0: front},
    }  # fmt: skip
    return Latents(blocks=[rows for rows, _ in blocks], **(fields | more))


def mixture(n_rows: int, log2: int, start: int = _LOWEST) -> tuple[list[list[int]], bytes]:
    """Rows of MIXTURE and their payload."""
    rows = _rows(n_rows)
    return rows, code(MIXTURE, rows, [i % 3 for i in range(n_rows)], log2, start)


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _valid()
    yield from _valid_models()
    yield from _payloads()
    yield from _headers()
    yield from _decoders()
    yield from _bad_forms()
    yield from _bad_numbers()


def _valid() -> Iterator[Case]:
    yield file(MIXTURE, [mixture(12, 0)]).good(
        130, "rans", "Twelve rows in one lane, three classes, and the decoder whose prior they are coded with.",
        "C3-11 C3-15 C3-16 C6-9 C6-10 C6-11 C6-12",
    )  # fmt: skip
    yield file(MIXTURE, [mixture(30, 2)]).good(
        131, "rans-last-block-of-two", "Thirty rows in four lanes: the last block has two.", "C6-7 C6-12"
    )
    rows = _rows(12)
    dear = code(MIXTURE, rows, [2] * 12, 0)
    yield file(MIXTURE, [(rows, dear)]).good(
        132, "rans-any-class", "All rows in the last class: dearer than need be, and as good.", "C6-11"
    )
    rows = [[0, 255, 128, i, 7, 7, 7, 7] for i in range(60)]
    yield file(BYTES, [(rows, code(BYTES, rows, [0] * 60, 3))]).good(
        133, "rans-u8-16-bits", "Frequencies of 16 bits, one of them all there is; every value of u8.", "C6-8 C6-11"
    )
    rows = [[0, 255, 128, i % 256, 7, 7, 7, 7] for i in range(1_100)]
    yield file(BYTES, [(rows, code(BYTES, rows, [0] * 1_100, 10))]).good(
        134, "rans-1024-lanes", "As many lanes as there may be.", "C6-7"
    )
    names = [{"names": [f"{i}.png" for i in range(12)]}, {"labels": [1]}]
    yield file(MIXTURE, [mixture(12, 1), ([[3, -4, 3, -4]], None)], names=names, index=True).good(
        135, "rans-names-and-plain", "Names are a zstd frame; the second chunk of rows is stored as it is.", "C6-6 C8-1"
    )
    yield file(MIXTURE, [([[3, -4, 3, -4]], None)], embed=False).good(
        136, "rans-nothing-coded", "Rows that are stored as they are need no decoder.", "C3-15"
    )
    yield file(MIXTURE, [mixture(12, 0), ([[-5, 4, -128, 127]], None)]).good(
        137,
        "rans-plain-out-of-range",
        "Rows that are stored as they are may hold values that the decoder does not take.",
        "C5-4",
    )


def _valid_models() -> Iterator[Case]:
    yield good(60, "prior", MIXTURE, "A prior of three classes and two tables.", "M2-2 M3-9 M10-1 M10-2 M10-3 M10-4 M10-5",
               [[1, 2, 3, -4]])  # fmt: skip
    flat = with_prior(
        _decoder(1, "u8", None, [[9]]),
        8,
        Tensor([256], "i32", [1] * 256),
        Tensor([1, 256], "i32", [1] * 256),
        Tensor([256, 1], "u8", list(range(256))),
        Tensor([256, 1], "u8", [0] * 256),
    )
    yield good(61, "prior-flat", flat, "Frequencies that are all 1.", "M10-3 M10-4 M10-5", [[200]])
    shared = with_prior(
        FLOAT_DECODER.with_(
            input={"shape": [3], "type": "i8", "range": [0, 1]},
            layers=[{"kind": "scale", "num": 1, "den": 2}, *FLOAT_DECODER.layers],
            golden=[[0, 1, 0]],
        ),
        8,
        Tensor([1], "i32", [256]),
        Tensor([1, 2], "i32", [255, 1]),
        Tensor([1, 3], "u8", [0, 0, 0]),
        Tensor([1, 3], "u8", [0, 0, 0]),
    )
    shared = shared.with_(
        tensors=shared.tensors[:-1], manifest={"prior": {**shared.manifest["prior"], "picks": len(shared.tensors) - 2}}
    )
    yield good(62, "prior-float32", shared, "Profile float32 with integer latents; means and picks are one tensor.", "M10-1",
               [[1, 1, 1]])  # fmt: skip


def _payload(number: int, name: str, payload: bytes, rule: str, why: str, n_rows: int = 12, **more: Any) -> Case:
    """The error is at the payload of the rows."""
    built = file(MIXTURE, [(_rows(n_rows), payload)]).draft.build()
    return bad(number, f"rans-{name}", built, rule, built.payload_at[1], why, **more)


def _state(payload: bytes, lane: int, state: int) -> bytes:
    return payload[: 1 + 4 * lane] + struct.pack("<I", state) + payload[5 + 4 * lane :]


def _payloads() -> Iterator[Case]:
    _, one = mixture(12, 0)
    _, two = mixture(12, 1)
    flipped = bytearray(one)
    flipped[5] ^= 0x01
    _, short = mixture(11, 0)
    _, ends_above = mixture(12, 0, _LOWEST + 1)
    for number, name, payload, rule, why in (
        (780, "2048-lanes", b"\x0b" + one[1:], "C6-7", "2^11 lanes."),
        (781, "lanes-255", b"\xff" + one[1:], "C6-7", "2^255 lanes."),
        (782, "more-lanes-than-rows", b"\x04" + one[1:], "C6-7", "16 lanes for 12 rows."),
        (785, "lanes-byte-only", b"\x00", "C6-9", "No state."),
        (786, "state-cut", one[:4], "C6-9", "Three bytes of the state."),
        (787, "second-state-missing", two[:5], "C6-9", "The state of the second lane is missing."),
        (788, "half-a-word", one[:-1], "C6-9", "The last word is cut in two."),
        (790, "state-0", _state(one, 0, 0), "C6-10", "A state of 0."),
        (791, "state-65535", _state(one, 0, 65_535), "C6-10", "One less than the smallest state."),
        (792, "second-state-low", _state(two, 1, 1), "C6-10", "The state of the second lane is too small."),
        (793, "no-words", one[:5], "C6-11", "There is not one word."),
        (794, "word-missing", one[:-2], "C6-11", "The last word is missing."),
        (795, "word-left-over", one + b"\0\0", "C6-11", "A word follows the last one that is needed."),
        (797, "row-short", short, "C6-11", "The code of eleven rows in a chunk of twelve."),
        (800, "first-word-flipped", bytes(flipped), "C6-12", "A bit of the first word is wrong: the state at the end tells."),
        (801, "ends-above", ends_above, "C6-12", "The code begins, and so its decoding ends, with the state 65,537."),
    ):  # fmt: skip
        yield _payload(number, name, payload, rule, why)
    many = file(MIXTURE, [mixture(12, 0)]).draft
    n_rows = 1_048_576 // 5 + 1
    rows = replace(many.chunks[1], n_rows=n_rows, raw_len=4 * n_rows)
    built = replace(many, chunks=(many.chunks[0], rows)).build()
    yield bad(784, "rans-too-many-steps", built, "C6-8", built.payload_at[1], "1,048,580 steps in one lane.")
    yield _steps_of_a_file()
    names = {0: Chunk(b"nAMe", mixture(12, 0)[1], 12, 0, raw_len=200)}
    draft = file(MIXTURE, [mixture(12, 0)]).draft
    built = replace(draft, chunks=(draft.chunks[0], names[0], draft.chunks[1])).build()
    yield bad(
        803, "rans-names-coded", built, "C6-1", built.payload_at[1], "Row names are a zstd frame, not a rANS code."
    )
    built = file(MIXTURE, [mixture(12, 0)]).draft.end(content_id=bytes(32)).build()
    yield bad(
        804,
        "rans-content-id",
        built,
        "C9-6",
        built.trailer_at + 28,
        "Not the content id of these rows.",
        seek="may accept",
    )


def _steps_of_a_file() -> Case:
    """One row more in the first chunk than the steps of the second leave."""
    n_rows = 1_048_576 // 5

    def built(first: int) -> File:
        rows = [[0] * 4] * first
        draft = file(RARE, [(rows, code(RARE, rows, [0] * first, 0)), ([[0] * 4], b"\0" * 3)]).draft
        second = replace(draft.chunks[2], payload=b"\0" + struct.pack("<I", _LOWEST), n_rows=n_rows, raw_len=4 * n_rows)
        return replace(draft, chunks=(*draft.chunks[:2], second)).build()

    end = built(9).payload_at[2] + 5
    made = built((1_048_576 + 16 * end - 5 * n_rows) // 5 + 1)
    assert made.payload_at[2] + 5 == end
    return bad(783, "rans-too-many-steps-together", made, "C6-8", made.payload_at[2],
               "The second chunk takes as many steps as one may, but with those of the first they are too many for so few bytes.",
               seek="may accept")  # fmt: skip


def _headers() -> Iterator[Case]:
    good_file = file(MIXTURE, [mixture(12, 0)])
    for number, name, header, rule, why in (
        (810, "filter", {"filter": "none"}, "C3-11", "Codec rans has no filter."),
        (811, "u16le", {"encoding": "u16le", "byte_order": "little"}, "C3-15", "Latents of two bytes."),
        (812, "f32le-i8", {"encoding": "f32le", "byte_order": "little", "values": "i8"}, "C3-15",
         "The values are of one byte, but not their encoding."),
        (813, "text19", {"encoding": "text19"}, "C3-15", "Text."),
    ):  # fmt: skip
        yield bad(number, f"rans-{name}", good_file.with_(header=header).draft.build(), rule, 24, why)
    model = MIXTURE.file(codec="rans")
    model = replace(model, header=model.header.replace(b"\xa6filter\xa7shuffle", b"").replace(b"\x85", b"\x84", 1))
    yield bad(814, "rans-model", model.build(), "C3-15", 24, "A model package.")


def _decoders() -> Iterator[Case]:
    rows, payload = mixture(12, 0)
    for number, name, network, rule, code_, why in (
        (820, "decoder-without-prior", _decoder(4, "i8", [-4, 3], [[0, 0, 0, 0]]), "C3-16", None, "The decoder has no prior."),
        (821, "decoder-of-other-dims", BYTES, "C3-14", None, "The decoder takes eight latents, the rows have four."),
    ):  # fmt: skip
        made = file(network, [(rows, payload)], dims=[4], encoding="i8")
        yield bad(number, f"rans-{name}", made.draft.build(), rule, 24, why, code=code_)
    plain = file(MIXTURE, [(rows, payload)], embed=False)
    for number, name, inner, why in (
        (822, "another-decoder", TWO_PIXELS.file().build().data, "The decoder inside is another."),
        (823, "latents-inside", plain.draft.build().data, "Latents instead of a decoder."),
    ):
        built = plain.with_(before={0: [Chunk(b"dECo", inner)]}).draft.build()
        yield bad(number, f"rans-{name}", built, "C7-4", built.payload_at[0], why)
    encoder = plain.with_(decoder=ENCODER.model_id, before={0: [Chunk(b"dECo", ENCODER.file().build().data)]})
    built = encoder.draft.build()
    yield bad(824, "rans-encoder-inside", built, "C7-4", built.payload_at[0], "An encoder instead of a decoder.")
    broken = MIXTURE.tensor(5, numbers=[239, *MIXTURE.tensors[5].numbers[1:]])
    inside = broken.file().build()
    built = file(broken, [(rows, payload)]).draft.build()
    yield bad(825, "rans-prior-broken", built, "M10-4", inside.payload_at[0], "The prior inside has a row that sums to 255.",
              inside="dECo")  # fmt: skip
    draft = file(MIXTURE, [(rows, payload)]).draft
    lying = replace(MIXTURE.file(), chunks=_swapped(MIXTURE.file(), 5, bytes(12)))
    built = replace(draft, chunks=(replace(draft.chunks[0], payload=lying.build().data), draft.chunks[1])).build()
    yield bad(826, "rans-tensor-broken", built, "M1-5", lying.build().payload_at[5], "A tensor of the prior inside is another.",
              inside="dECo")  # fmt: skip
    shape = [1] * 7 + [4]
    for number, name, broken, rule, why in (
        (827, "shape-of-8-axes", MIXTURE.with_(input={**MIXTURE.input, "shape": shape}), "M2-2", "Eight axes inside."),
        (
            828,
            "shape-of-0",
            MIXTURE.with_(output={"shape": [1, 0, 1], "type": "u8"}),
            "M2-2",
            "Images without a pixel inside.",
        ),
        (829, "means-of-9-axes", MIXTURE.tensor(6, shape=[1] * 7 + [3, 4]), "M2-2", "A tensor of nine axes inside."),
        (
            830,
            "range-whole",
            MIXTURE.with_(input={**MIXTURE.input, "range": [-128, 127]}),
            "M2-5",
            "All of i8 as a range inside.",
        ),
    ):
        inside = broken.file().build()
        made = file(broken, [(rows, payload)], dims=[4], image=[1, 2, 1, "u8"])
        yield bad(number, f"rans-{name}", made.draft.build(), rule, inside.payload_at[0], why, inside="dECo")


def _swapped(draft: Draft, number: int, payload: bytes) -> tuple[Chunk, ...]:
    chunks = list(draft.chunks)
    chunks[number] = replace(chunks[number], payload=payload)
    return tuple(chunks)


def _bad_forms() -> Iterator[Case]:
    prior = MIXTURE.manifest["prior"]

    def with_keys(**changes: Any) -> Network:
        changed = {**prior, **changes}
        return MIXTURE.with_(manifest={"prior": {k: v for k, v in changed.items() if v is not None}})

    for number, name, network, rule, why in (
        (340, "list", MIXTURE.with_(manifest={"prior": [8, 4, 5, 6, 7]}), "M2-2", "The prior is a list."),
        (341, "bits-7", with_keys(bits=7), "M2-2", "Fewer bits than 8."),
        (342, "bits-17", with_keys(bits=17), "M2-2", "More bits than 16."),
        (343, "bits-true", with_keys(bits=True), "M2-2", "A boolean is no integer."),
        (344, "key-missing", with_keys(means=None), "M2-2", "No means."),
        (345, "key-unknown", with_keys(sums=4), "M2-2", "A key that there is not."),
        (346, "tensor-10", with_keys(picks=10), "M2-2", "There are tensors 0 to 9."),
        (347, "tensor-negative", with_keys(picks=-1), "M2-2", "A negative number of a tensor."),
        (349, "left-out", MIXTURE.with_(manifest={}), "M3-9", "The prior's tensors without the prior."),
    ):
        yield wrong(number, f"prior-{name}", network, rule, why)
    encoder = with_prior(ENCODER, 8, *MIXTURE.tensors[4:])
    yield wrong(348, "prior-in-encoder", encoder, "M2-3", "An encoder with a prior.")
    floats = with_prior(FLOAT_DECODER, 8, *MIXTURE.tensors[4:])
    yield wrong(350, "prior-of-floats", floats, "M10-1", "The latents are f32.")
    # Tensors 4 to 7: classes, tables, means, picks.
    for number, name, which, changes, why in (
        (351, "classes-u8", 4, {"type": "u8"}, "Frequencies in u8."),
        (352, "classes-2d", 4, {"shape": [1, 3]}, "Classes along two axes."),
        (353, "classes-4097", 4, {"shape": [4_097], "numbers": [1] * 4_097}, "4,097 classes."),
        (354, "tables-1d", 5, {"shape": [16]}, "Tables along one axis."),
        (355, "tables-of-7", 5, {"shape": [2, 7], "numbers": [250, 1, 1, 1, 1, 1, 1] * 2}, "Tables of 7 symbols for 8."),
        (356, "tables-257", 5, {"shape": [257, 8], "numbers": [249, 1, 1, 1, 1, 1, 1, 1] * 257}, "257 tables."),
        (357, "tables-i8", 5, {"type": "i8", "numbers": [1] * 16}, "Frequencies in i8."),
        (358, "means-i8", 6, {"type": "i8"}, "Signed means."),
        (359, "means-of-two-classes", 6, {"shape": [2, 4], "numbers": [0] * 8}, "Means of two classes of three."),
        (360, "picks-flat", 7, {"shape": [12]}, "Picks along one axis."),
        (361, "picks-of-other-dims", 7, {"shape": [3, 2, 2]}, "Picks of another shape than the latents."),
        (362, "picks-i32", 7, {"type": "i32"}, "Picks in i32."),
    ):  # fmt: skip
        yield wrong(number, f"prior-{name}", MIXTURE.tensor(which, **changes), "M10-2", why)


def _bad_numbers() -> Iterator[Case]:
    tables = list(MIXTURE.tensors[5].numbers)
    means, picks = ([*MIXTURE.tensors[k].numbers[:-1]] for k in (6, 7))
    for number, name, which, numbers, rule, why in (
        (370, "class-0", 4, [128, 128, 0], "M10-3", "A class of frequency 0."),
        (371, "class-negative", 4, [128, 129, -1], "M10-3", "A negative frequency."),
        (372, "classes-255", 4, [128, 100, 27], "M10-3", "The sum is 255."),
        (373, "classes-2-to-32", 4, [2**31 - 1, 2**31 - 1, 258], "M10-3", "The sum is 256 only where 32 bits overflow."),
        (374, "frequency-0", 5, [*tables[:2], 0, 3, *tables[4:]], "M10-4", "A symbol of frequency 0."),
        (375, "frequency-negative", 5, [241, 6, 2, -1, 2, 1, 1, 4, *tables[8:]], "M10-4", "A negative frequency."),
        (376, "second-row-257", 5, [*tables[:-1], 41], "M10-4", "The second row sums to 257."),
        (377, "rows-255-and-257", 5, [239, *tables[1:-1], 41], "M10-4", "The rows sum to 255 and 257, together to twice 256."),
        (378, "mean-8", 6, [*means, 8], "M10-5", "A mean of 8 for symbols 0 to 7."),
        (379, "pick-2", 7, [*picks, 2], "M10-5", "The third of two tables."),
    ):  # fmt: skip
        yield wrong(number, f"prior-{name}", MIXTURE.tensor(which, numbers=numbers), rule, why)
