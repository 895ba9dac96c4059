"""aeformat.container.described: what latents are (C3-20 to C3-26), and how a header carries it.

What a broken map is refused with: spec/vectors, 1200 to 1342.
"""

from __future__ import annotations

import copy
import io
import pickle
import struct

import numpy as np
import pytest

from aeformat.container import canonical
from aeformat.container.described import ASSIGNED_NAMES, DESCRIBED_KEYS, Described, DescribedInvalid, parse_described
from aeformat.container.header import LatentsHeader, ModelHeader, parse_header
from aeformat.container.writer import LatentsWriter
from aeformat.errors import FormatError, UsageError
from aeformat.reader import open_latents, stream_latents

from .files import DECODER, ENCODER

NETWORK = bytes(range(50, 82))
ALL = Described(
    kind="sample", seed=7, scale=(2.0, -0.5), shift=(0.0, 1.25), step=0.125, axis=1, resize="cover", resize_filter="lanczos",
    crop="random", size=(512, 768), colour="srgb", value_range="-1..1", foreign_encoder=NETWORK, software="a trainer 1.2",
)  # fmt: skip
FOREIGN = LatentsHeader(b"", (3, 2), (), "f32le", foreign_decoder=NETWORK, described=ALL)


def doubles(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}d", *numbers)


def parsed(said: dict, dims=(3, 2), *, is_foreign=True, has_encoder=False) -> Described:
    return parse_described(said, dims, is_foreign=is_foreign, has_encoder=has_encoder)


def test_a_description_comes_back():
    """From its map, with every key; from a header; from a pickle; and a copy of it is equal."""
    assert ALL.to_map().keys() == DESCRIBED_KEYS
    assert parsed(canonical.unpack(canonical.pack(ALL.to_map()), max_depth=4)) == ALL
    assert parse_header(FOREIGN.to_bytes(), 24, FOREIGN.flags) == FOREIGN
    assert pickle.loads(pickle.dumps(ALL)) == ALL == copy.deepcopy(ALL)
    assert {ALL: 1}[copy.copy(ALL)] == 1


def test_a_description_cannot_be_changed():
    with pytest.raises(AttributeError):
        ALL.kind = "mean"


def test_what_a_header_with_it_is():
    """Flag bits 1 and 4; the keys of the format; nothing of a header that has neither."""
    fields = canonical.unpack(FOREIGN.to_bytes(), max_depth=4)

    assert (FOREIGN.flags, fields["foreign_decoder"]) == (0b10010, NETWORK)
    assert fields["described"]["scale"] == doubles(2.0, -0.5)
    plain = LatentsHeader(DECODER, (3, 2), (1, 2, 1), "f32le")
    assert (plain.flags, plain.described, plain.foreign_decoder) == (0, None, b"")
    assert plain._replace(described=Described(kind="mean")).flags == 16


def test_the_content_id_covers_what_a_decoder_needs():
    """The foreign decoder, scale, shift and their axis; not how the latents were made."""
    head = canonical.unpack(FOREIGN.content_head, max_depth=4)
    assert head == {
        "axis": 1, "dims": [3, 2], "foreign_decoder": NETWORK, "scale": doubles(2.0, -0.5), "shift": doubles(0.0, 1.25), "values": "f32",
    }  # fmt: skip

    made = Described(kind="mean", step=(1.0, 2.0), axis=1, software="x")
    assert FOREIGN._replace(described=made).content_head == FOREIGN._replace(described=None).content_head
    one = Described(scale=2.0, step=(1.0, 2.0), axis=1)
    assert "axis" not in canonical.unpack(FOREIGN._replace(described=one).content_head, max_depth=4)


def test_numbers_have_one_form():
    """NumPy's and lists become floats; equal ones become one, and axis goes; there is one zero; 1 and 0 are not written."""
    given = Described(
        scale=np.array([2, 2], np.float32), shift=[-0.0, 0], step=np.float64(0.5), axis=np.int64(1), seed=np.uint8(3), kind="sample",
        size=np.array([8, 9]),
    )  # fmt: skip

    assert (given.scale, given.shift, given.step, given.axis, given.seed, given.size) == (
        2.0,
        0.0,
        0.5,
        None,
        3,
        (8, 9),
    )
    assert given.to_map() == {"kind": "sample", "scale": doubles(2), "seed": 3, "size": (8, 9), "step": doubles(0.5)}
    assert Described(scale=1, shift=0).to_map() == {} == Described().to_map()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"kind": "median"}, "median"), ({"kind": b"mean"}, "kind"), ({"seed": -1}, "seed"), ({"seed": 1.5}, "seed"),
        ({"seed": True}, "seed"), ({"seed": 2**53}, "seed"), ({"scale": 0}, "scale"), ({"scale": "2"}, "scale"), ({"scale": []}, "scale"),
        ({"scale": [1, None]}, "scale"), ({"scale": ["1", "2"]}, "scale"), ({"scale": 10**400}, "scale"),
        ({"shift": float("nan")}, "shift"), ({"step": -1}, "step"), ({"step": np.arange(1.0, 2050.0), "axis": 0}, "step"),
        ({"size": (0, 1)}, "size"), ({"size": 8}, "size"), ({"size": (8, 8, 3)}, "size"), ({"size": "88"}, "size"),
        ({"software": ""}, "software"), ({"software": "a\nb"}, "software"), ({"software": "\ud800"}, "software"),
        ({"colour": "other: "}, "colour"), ({"axis": 8, "scale": [1, 2]}, "axis"), ({"foreign_encoder": b"x"}, "foreign_encoder"),
    ],
    ids=str,
)  # fmt: skip
def test_a_callers_mistake_names_the_key(fields, named):
    with pytest.raises(UsageError, match=f"described: {named}|described: kind is '{named}'"):
        Described(**fields)


@pytest.mark.parametrize(
    ("said", "more", "rule", "is_newer"),
    [
        ({}, {}, "C3-21", False), ({"zoom": 1}, {}, "C3-21", True), ({"seed": []}, {}, "C3-22", False), ({"size": [1]}, {}, "C3-22", False),
        ({"kind": "other:"}, {}, "C3-23", True), ({"scale": doubles(0)}, {}, "C3-24", False), ({"step": doubles(-1)}, {}, "C3-24", False),
        ({"shift": doubles(-0.0)}, {}, "C3-24", False), ({"shift": doubles(float("inf"))}, {}, "C3-24", False),
        ({"scale": doubles(1)}, {}, "C3-25", False), ({"shift": doubles(0)}, {}, "C3-25", False),
        ({"scale": doubles(2, 2), "axis": 1}, {}, "C3-25", False), ({"scale": doubles(1, 2)}, {}, "C3-25", False),
        ({"axis": 1}, {}, "C3-25", False), ({"scale": doubles(1, 2), "axis": 2}, {}, "C3-25", False),
        ({"scale": doubles(1, 2), "axis": 0}, {"dims": (0, 2)}, "C3-25", False), ({"scale": doubles(1, 2), "axis": 0}, {}, "C3-25", False),
        ({"scale": doubles(2)}, {"is_foreign": False}, "C3-26", False), ({"shift": doubles(2)}, {"is_foreign": False}, "C3-26", False),
        ({"foreign_encoder": NETWORK}, {"has_encoder": True}, "C3-26", False), ({"resize_filter": "box"}, {}, "C3-26", False),
        ({"seed": 1}, {}, "C3-26", False), ({"seed": 1, "kind": "mean", "crop": "none"}, {}, "C3-26", False),
    ],
    ids=str,
)  # fmt: skip
def test_a_broken_map_is_refused(said, more, rule, is_newer):
    with pytest.raises(DescribedInvalid) as caught:
        parsed(said, **more)

    assert (caught.value.rule, caught.value.is_newer) == (rule, is_newer)


@pytest.mark.parametrize("key", ASSIGNED_NAMES)
def test_every_assigned_name_and_any_other_is_taken(key):
    for name in (*ASSIGNED_NAMES[key], "other: é", "other: " + "x" * 1024):
        said = {"resize": "fit"} | {key: name}
        assert getattr(parsed(said), key) == name


@pytest.mark.parametrize(
    "chosen", [{"kind": "sample"}, {"crop": "random"}, {"kind": "other: x"}, {"crop": "other: x"}], ids=str
)
def test_a_seed_goes_with_what_is_drawn(chosen):
    assert parsed({"seed": 0} | chosen).seed == 0


def test_a_header_refuses_by_the_rule_and_the_code():
    """C3-20 in a package; C3-7 for a key without its flag bit and a bit without its key; codes of both kinds."""
    model = ModelHeader(DECODER).to_bytes()
    for data, flags, rule, code in (
        (model, 16, "C3-20", "header"),
        (FOREIGN.to_bytes(), 2, "C3-7", "unsupported"),
        (FOREIGN._replace(described=None).to_bytes(), 18, "C3-7", "header"),
        (LatentsHeader(DECODER, (2,), (1, 1, 1), "u8", ext={}).to_bytes(), 16, "C3-7", "header"),
    ):
        with pytest.raises(FormatError) as caught:
            parse_header(data, 24, flags)
        assert (caught.value.rule, caught.value.code) == (rule, code)
    for described, code in (({"zoom": 1}, "unsupported"), ({"seed": ""}, "header"), ({}, "header")):
        fields = canonical.unpack(FOREIGN.to_bytes(), max_depth=4) | {"described": described}
        with pytest.raises(FormatError) as caught:
            parse_header(canonical.pack(fields), 24, 18)
        assert caught.value.code == code


def test_a_header_that_does_not_fit_is_not_written():
    """to_bytes reads back what it made."""
    for header in (
        FOREIGN._replace(dims=(3, 3)), FOREIGN._replace(encoder=ENCODER), FOREIGN._replace(foreign_decoder=b"x"),
        LatentsHeader(DECODER, (3, 2), (1, 1, 1), "f32le", described=ALL),
        LatentsHeader(DECODER, (3, 2), (1, 1, 1), "f32le", foreign_decoder=NETWORK),
        LatentsHeader(DECODER, (3, 2), (1, 1, 1), "f32le", described=Described()),
    ):  # fmt: skip
        with pytest.raises(FormatError):
            header.to_bytes()


def test_readers_hand_it_out(tmp_path):
    """By random access and forward, beside rows that need no decoder."""
    sink = io.BytesIO()
    with LatentsWriter(sink, FOREIGN) as writer:
        writer.write(np.arange(6, dtype=np.float32).reshape(1, 3, 2))
    (tmp_path / "x.aef").write_bytes(sink.getvalue())

    with open_latents(tmp_path / "x.aef") as latents:
        assert (latents.described, latents.header, latents[0].tolist()) == (ALL, FOREIGN, [[0, 1], [2, 3], [4, 5]])
    sink.seek(0)
    with stream_latents(sink) as blocks:
        assert blocks.described == ALL
        assert [block.values.tolist() for block in blocks] == [[[[0, 1], [2, 3], [4, 5]]]]
