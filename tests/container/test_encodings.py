"""aeformat.container.encodings: values <-> raw payloads, to the bit (section 5)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeformat.container import encodings
from aeformat.container.assigned import ENCODINGS, VALUE_TYPES
from aeformat.container.encodings import BadValue, array_type, content_bytes, decode, encode, round_to

from .files import EDGES, PAIRS, edges, from_bits, header, same_bits

# The struct format of each binary encoding, and of the bits of each value type.
KNOWN = {
    "f64le": (np.array([[1.0, -0.0]], np.float64), "000000000000f03f0000000000000080"),
    "f32le": (np.array([[1.0, -0.0]], np.float32), "0000803f00000080"),
    "f16le": (np.array([[1.0, -0.0]], np.float16), "003c0080"),
    "bf16le": (np.array([[1.0, -0.0]], np.float32), "803f0080"),
    "u8": (np.array([[1, 255]], np.uint8), "01ff"),
    "i8": (np.array([[1, -1]], np.int8), "01ff"),
    "u16le": (np.array([[1, 65534]], np.uint16), "0100feff"),
    "text19": (np.array([[1.0, -0.0]]), b"+1.000000000000000000e+000 -0.000000000000000000e+000\n".hex()),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_encoding_has_the_known_bytes(encoding):
    """Little-endian on every machine."""
    values, expected = KNOWN[encoding]

    assert bytes(encode(values, header(encoding, (2,)))).hex() == expected


@pytest.mark.parametrize(("encoding", "values"), PAIRS)
def test_every_edge_of_every_type_comes_back_bit_for_bit(encoding, values):
    """Each encoding holds each of its types exactly: zeros of both signs, subnormals, the largest."""
    head = header(encoding, (2, 3), values=values)
    rows = edges(values, 4, (2, 3))
    raw = encode(rows, head)

    assert len(raw) == 4 * head.row_bytes
    assert same_bits(decode(raw, head), rows)
    assert decode(raw, head).dtype == array_type(values)


@pytest.mark.parametrize(("encoding", "values"), PAIRS)
@given(data=st.data())
def test_any_bits_of_every_type_come_back(encoding, values, data):
    """The same for bits that nobody thought of."""
    bits = data.draw(st.lists(st.integers(0, 2 ** (8 * VALUE_TYPES[values].n_bytes) - 1), min_size=1, max_size=12))
    rows = from_bits(bits, values).reshape(-1, 1)
    head = header(encoding, (1,), values=values)

    assert same_bits(decode(encode(rows, head), head), rows)


@pytest.mark.parametrize(("encoding", "values"), PAIRS)
@pytest.mark.parametrize("shape", ["big-endian", "fortran", "strided", "reversed", "broadcast"])
def test_how_an_array_lies_in_memory_does_not_matter(encoding, values, shape):
    """The byte order and the strides of what is handed over are the caller's business."""
    plain = edges(values, 4, (2, 3))
    given_rows = {
        "big-endian": lambda: plain.astype(plain.dtype.newbyteorder(">")),
        "fortran": lambda: np.asfortranarray(plain),
        "strided": lambda: np.repeat(plain, 2, axis=2)[:, :, ::2],
        "reversed": lambda: plain[::-1, ::-1].copy()[::-1, ::-1],
        "broadcast": lambda: np.broadcast_to(plain[:1], plain.shape),
    }[shape]()
    expected = np.ascontiguousarray(given_rows, array_type(values))
    head = header(encoding, (2, 3), values=values)

    assert bytes(encode(given_rows, head)) == bytes(encode(expected, head))
    assert bytes(content_bytes(given_rows, head)) == bytes(content_bytes(expected, head))


@pytest.mark.parametrize(("encoding", "values"), PAIRS)
def test_the_content_id_sees_values_in_their_own_type(encoding, values):
    """Little-endian bits of the value type, whatever the encoding (section 9)."""
    bits = np.array(EDGES[values], f"<u{VALUE_TYPES[values].n_bytes}")
    rows = from_bits(EDGES[values], values).reshape(-1, 1)

    assert bytes(content_bytes(rows, header(encoding, (1,), values=values))) == bits.tobytes()


@pytest.mark.parametrize(("encoding", "values"), [p for p in PAIRS if VALUE_TYPES[p[1]].is_float])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_encoded(encoding, values, bad):
    """C5-3, at the byte of the value, before anything is written."""
    head = header(encoding, (3,), values=values)
    rows = edges(values, 3)
    rows[1, 2] = bad

    with pytest.raises(BadValue) as caught:
        encode(rows, head)

    assert (caught.value.rule, caught.value.at) == ("C5-3", 5 * head.encoding_spec.n_bytes)


@pytest.mark.parametrize(
    ("encoding", "bits"),
    [
        *(("f64le", bits) for bits in (0x7FF0 << 48, 0xFFF0 << 48, 0x7FF8 << 48, (0x7FF0 << 48) | 1)),
        *(("f32le", bits) for bits in (0x7F80 << 16, 0xFF80 << 16, 0x7FC0 << 16, (0x7F80 << 16) | 1)),
        *(("f16le", bits) for bits in (0x7C00, 0xFC00, 0x7E00, 0x7C01)),
        *(("bf16le", bits) for bits in (0x7F80, 0xFF80, 0x7FC0, 0x7F81)),
    ],
)
def test_what_is_not_finite_is_not_decoded(encoding, bits):
    """C5-3 for both infinities, quiet and signalling NaN."""
    width = ENCODINGS[encoding].n_bytes
    raw = bytes(2 * width) + bits.to_bytes(width, "little")

    with pytest.raises(BadValue) as caught:
        decode(raw, header(encoding, (1,)))

    assert (caught.value.rule, caught.value.at) == ("C5-3", 2 * width)


# (encoding, values, a number that the encoding holds and the type does not)
INEXACT = [
    *(("f64le", "f32", x) for x in (0.1, 1e-46, 5e-324, 1e39, 2.0**-150, 16_777_217.0)),
    *(("f64le", "f16", x) for x in (0.1, 65_520.0, 1e300, 2.0**-25)),
    *(("f64le", "bf16", x) for x in (257.0, 1e39, 2.0**-134, 3.3961775292304957e38)),
    *(("f64le", "u8", x) for x in (-0.0, 0.5, -1.0, 256.0, 1e300, 5e-324)),
    *(("f64le", "i8", x) for x in (-0.0, -128.5, -129.0, 128.0)),
    *(("f64le", "u16", x) for x in (-0.0, 65_536.0, -1e300, 65_535.5)),
    *(("f32le", "f16", x) for x in (0.1, 65_536.0)),
    *(("f32le", "bf16", x) for x in (0.1, 257.0)),
    *(("f32le", "u8", x) for x in (-0.0, 256.0, 0.25)),
    *(("f16le", "u8", x) for x in (-0.0, 256.0, 65_504.0)),
    *(("f16le", "i8", x) for x in (-0.0, 128.0, -65_504.0)),
    *(("bf16le", "u8", x) for x in (-0.0, 256.0, 3e38)),
    *(("bf16le", "i8", x) for x in (-0.0, -130.0)),
    ("u16le", "u8", 256),
]


@pytest.mark.parametrize(("encoding", "values", "number"), INEXACT)
def test_a_number_that_is_not_exact_in_its_type_is_refused(encoding, values, number):
    """C5-4, the sign of zero included: a reader never hands out another number than the one stored."""
    wide = round_to(np.full((3, 1), number), "bf16") if encoding == "bf16le" else np.full((3, 1), number)
    raw = bytearray(encode(np.zeros((3, 1), array_type(values)), header(encoding, (1,), values=values)))
    width = ENCODINGS[encoding].n_bytes
    own = ENCODINGS[encoding].own
    raw[width:] = bytes(encode(wide.astype(array_type(own)), header(encoding, (1,))))[width:]

    with pytest.raises(BadValue) as caught:
        decode(bytes(raw), header(encoding, (1,), values=values))

    assert (caught.value.rule, caught.value.at) == ("C5-4", width)


def test_text_is_held_to_the_type_too():
    """C5-4 in text19, at the byte of the cell."""
    raw = encode(np.array([[0.5, 0.1]]), header("text19", (2,)))

    assert decode(raw, header("text19", (2,), values="f64"))[0, 1] == 0.1
    with pytest.raises(BadValue) as caught:
        decode(raw, header("text19", (2,), values="f32"))
    assert (caught.value.rule, caught.value.at) == ("C5-4", 27)


def test_a_float32_that_is_no_bf16_is_not_encoded():
    """bf16 is handed over as float32: its lower half must be empty (C5-4)."""
    with pytest.raises(BadValue) as caught:
        encode(np.array([[1.0], [1.0009765625]], np.float32), header("bf16le", (1,)))

    assert (caught.value.rule, caught.value.at) == ("C5-4", 2)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, np.uint8, np.complex64, object, bool, "S4"])
def test_values_of_another_type_are_the_callers_mistake(dtype):
    """Nothing is converted behind the caller's back."""
    with pytest.raises(TypeError):
        encode(np.zeros((1, 3), dtype), header("f32le"))


@pytest.mark.parametrize(
    ("value", "name", "expected"),
    [
        (1.0, "bf16", 1.0),
        (1.00390625, "bf16", 1.0),  # 1 + 2^-8: a tie, to even
        (1.01171875, "bf16", 1.015625),  # 1 + 3 * 2^-8: a tie, to even, up
        (1.00390625 + 2.0**-40, "bf16", 1.0078125),  # beyond the tie by less than a float32 shows
        (1.01171875 - 2.0**-40, "bf16", 1.0078125),  # short of it
        (-1.00390625 - 2.0**-40, "bf16", -1.0078125),
        (1.00390626, "bf16", 1.0078125),
        (2.0**-134, "bf16", 0.0),  # half the smallest
        (2.0**-134 * 1.5, "bf16", 2.0**-133),
        (2.0**-150, "bf16", 0.0),
        (3.3895313892515355e38, "bf16", 3.3895313892515355e38),
        (3.3961775292304957e38, "bf16", np.inf),  # half a step above the largest
        (3.39e38, "bf16", 3.3895313892515355e38),
        (1e300, "bf16", np.inf),
        (-1e300, "bf16", -np.inf),
        (1.0 + 2.0**-11, "f16", 1.0),
        (1.0 + 2.0**-11 + 2.0**-50, "f16", 1.0 + 2.0**-10),
        (65_519.99, "f16", 65_504.0),
        (65_520.0, "f16", np.inf),
        (0.1, "f32", float(np.float32(0.1))),
        (1e300, "f32", np.inf),
    ],
)
def test_rounding_is_to_the_nearest_and_ties_are_to_even(value, name, expected):
    """From binary64 in one step: no second rounding on the way."""
    assert round_to(np.array([value]), name)[0] == expected


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF], ids=hex)
def test_nan_stays_nan(bits):
    """A NaN must not become a number on its way: encode refuses it by name."""
    values = np.array([bits], np.uint32).view(np.float32)

    assert np.isnan(round_to(values, "bf16")[0])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_to_bf16_is_the_nearest_of_its_neighbours(value):
    """Against exact fractions: no bf16 is nearer than the one chosen."""
    chosen = round_to(np.array([value]), "bf16")
    bits = int(chosen.view(np.uint32)[0] >> 16)
    assert chosen.view(np.uint32)[0] & 0xFFFF == 0
    if not np.isfinite(chosen[0]):
        assert abs(value) >= 3.3961775292304957e38
        return
    steps = [b for b in (bits - 1, bits, bits + 1) if b & 0x7FFF <= 0x7F7F and b >= 0]
    numbers = {b: Fraction(float(from_bits([b], "bf16")[0])) for b in steps}
    distances = {b: abs(numbers[b] - Fraction(value)) for b in steps}
    assert distances[bits] == min(distances.values())


@given(st.binary(min_size=2, max_size=40).filter(lambda raw: len(raw) % 2 == 0))
def test_any_bytes_decode_or_break_a_rule_of_section_5(raw):
    """Bytes from a stranger end in values or in BadValue, nothing else."""
    for encoding, values in PAIRS:
        width = ENCODINGS[encoding].n_bytes
        rows = (raw * width)[: len(raw) // 2 * width]
        try:
            decode(rows, header(encoding, (1,), values=values))
        except BadValue as error:
            assert error.rule in ("C5-1", "C5-2", "C5-3", "C5-4")
            assert 0 <= error.at < len(rows)


def test_stored_views_are_not_copies():
    """The bytes of the payload themselves, read-only."""
    raw = encode(edges("f64", 4), header("f64le"))
    view = encodings.stored_view(raw, header("f64le"))

    assert np.shares_memory(view, np.frombuffer(raw, np.uint8))
