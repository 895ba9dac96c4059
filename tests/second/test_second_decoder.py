"""The second decoder by itself: files made here, field by field.  What it finds in the vectors: test_second_vectors.py."""

from __future__ import annotations

import hashlib
import struct

import pytest
import zstandard

from tools.second import values
from tools.second.decoder import SpecError, read_container, read_model, run_model
from tools.second.evaluate import run_rows
from tools.second.model import Model, Tensor, check_layers, count
from tools.second.msgpack import pack, read_canonical

from .builder import DECODER, LATENTS, Builder, ModelBuilder, content_id, preamble, two_rows, u


def refusal(data: bytes, read=read_container) -> tuple[str, int]:
    with pytest.raises(SpecError) as caught:
        read(data)
    return caught.value.rule, caught.value.at


def one_row(header: dict, payload: bytes, **wrong: int) -> tuple[bytes, int]:
    """A file of one ROWS chunk and the byte of its payload.  Its content id is not right."""
    file = Builder(header)
    pad = file.padding() if header["codec"] == "none" and header["byte_order"] == "little" else b""
    at = file.chunk(b"ROWS", payload, 1, 0, pad=pad, **wrong)
    return file.trailer(1, bytes(32)), at + 32 + len(pad)


GOOD = two_rows().trailer(2, content_id(bytes([1, 2, 3, 4])))


def test_rows_come_back():
    got = read_container(GOOD)

    assert got["rows"] == [[1, 2], [3, 4]]
    assert (got["n_chunks"], got["n_rows"], got["names"]) == (2, 2, None)


def test_every_cut_is_truncation_at_the_length_of_the_file():
    for n in range(len(GOOD)):
        with pytest.raises(SpecError) as caught:
            read_container(GOOD[:n])
        assert (caught.value.code, caught.value.at) == ("truncated", n)


def test_every_flipped_bit_is_refused():
    for i in range(8 * len(GOOD)):
        bad = bytearray(GOOD)
        bad[i // 8] ^= 1 << i % 8
        with pytest.raises(SpecError):
            read_container(bytes(bad))


@pytest.mark.parametrize(
    ("data", "rule", "at"),
    [
        (b"", "C2-7", 0),
        (b"\x89AE", "C2-7", 3),
        (b"PK\3", "C2-1", 0),
        (preamble(b"\x80", major=2)[:23], "C2-7", 23),
        (preamble(b"\x80", major=2), "C2-2", 8),
        (preamble(b"\x80", preamble_crc=0, flags=1), "C2-3", 20),
        (preamble(b"\x80", flags=1, header_len=0), "C2-4", 10),
        (preamble(b"\x80", header_len=65_537), "C2-5", 12),
        (preamble(b"\x80"), "C2-7", 24),
        (preamble(b"\x80", header_crc=0) + b"\x80", "C2-6", 24),
    ],
)
def test_preamble(data, rule, at):
    assert refusal(data) == (rule, at)


@pytest.mark.parametrize(
    ("data", "rule", "at"),
    [
        (b"", "C3-1", 0),
        (b"\x90", "C3-1", 0),
        (b"\xc0", "C3-1", 0),
        (b"\x81\xa1a", "C3-1", 3),  # a key without a value
        (b"\x82\xa1a\x01", "C3-1", 0),
        (b"\x80\x00", "C3-1", 1),
        (b"\x81\xa1a\xc0", "C3-2", 3),
        (b"\x81\xa1a\xca\0\0\0\0", "C3-2", 3),
        (b"\x81\xa1a\xc1", "C3-2", 3),
        (b"\x81\xa1a\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "C3-2", 3),
        (b"\x81\xa1a\xd3\xff\xdf\xff\xff\xff\xff\xff\xff", "C3-2", 3),
        (b"\x81\xa1\xff\x01", "C3-2", 1),
        (b"\x81\xa1\x00\x01", "C3-2", 1),
        (b"\x81\xa1a\xcc\x7f", "C3-3", 3),
        (b"\x81\xa1a\xd0\x01", "C3-3", 3),
        (b"\x81\xa1a\xd1\xff\x80", "C3-3", 3),
        (b"\x81\xa1a\xd9\x01b", "C3-3", 3),
        (b"\x81\xa1a\xcd\x01", "C3-1", 3),
        (b"\xde\x00\x01\xa1a\x01", "C3-3", 0),
        (b"\x81\x01\x01", "C3-4", 1),
        (b"\x82\xa1a\x01\xa1a\x01", "C3-4", 4),
        (b"\x82\xa1b\x01\xa1a\x01", "C3-4", 4),
        (b"\x81\xa1a\x91\x91\x91\x91\x01", "C3-5", 6),
        (b"\x81\xa1a\x91\x91\x91\x90", "C3-5", 6),
        (b"\x81\xa1a\xdd\xff\xff\xff\xff", "C3-1", 3),
    ],
)
def test_canonical_msgpack(data, rule, at):
    with pytest.raises(SpecError) as caught:
        read_canonical(data, 4, lambda offset: offset)

    assert (caught.value.rule, caught.value.at) == (rule, at)


def test_what_is_packed_reads_back():
    value = {"a": [0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**53 - 1], "b": b"x" * 256, "c": "y" * 31}
    value |= {"d": [-1, -32, -33, -128, -129, -32_768, -32_769, -(2**31), -(2**31) - 1, -(2**53) + 1]}
    value |= {"e": [True, False, "é" * 16, "z" * 70_000, {}], "f": list(range(20)), "g": {str(i): i for i in range(20)}}

    assert read_canonical(pack(value), 4, lambda at: at).plain() == value


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"kind": "images"}, "C3-6"),
        ({"kind": None}, "C3-6"),
        ({"decoder": None}, "C3-7"),
        ({"more": 1}, "C3-7"),
        ({"dims": []}, "C3-8"),
        ({"dims": [0]}, "C3-8"),
        ({"dims": [2] * 9}, "C3-8"),
        ({"dims": [True]}, "C3-8"),
        ({"decoder": b"short"}, "C3-8"),
        ({"image": [1, 1, 1, "u16"]}, "C3-8"),
        ({"image": [1, 1, 65_536, "u8"]}, "C3-8"),
        ({"byte_order": 1}, "C3-8"),
        ({"byte_order": "big"}, "C3-10"),
        ({"encoding": "f128le"}, "C3-9"),
        ({"codec": "lzma", "filter": "none"}, "C3-9"),
        ({"codec": "zstd", "filter": "delta"}, "C3-9"),
        ({"byte_order": "little"}, "C3-10"),
        ({"codec": "zstd"}, "C3-11"),
        ({"filter": "none"}, "C3-11"),
        ({"values": "u8"}, "C3-12"),
        ({"values": "f32"}, "C3-12"),
        ({"dims": [2**14, 2**15]}, "C3-13"),
    ],
)
def test_header(change, rule):
    header = {key: value for key, value in (LATENTS | change).items() if value is not None}

    assert refusal(Builder(header).data) == (rule, 24)


ROW = bytes([1, 2])


@pytest.mark.parametrize(
    ("tag", "fields", "rule", "offset"),
    [
        (b"ROWS", {"chunk_crc": 0}, "C4-2", 28),
        (b"ROWS", {"number": 1}, "C4-2", 28),
        (b"ROwS", {}, "C4-3", 0),
        (b"RO1S", {}, "C4-3", 0),
        (b"ROWS", {"raw_len": 0}, "C4-4", 20),
        (b"ROWS", {"raw_len": 2**28 + 1}, "C4-4", 20),
        (b"ROWS", {"raw_len": 1}, "C4-4", 16),
        (b"XXXX", {}, "C4-5", 0),
        (b"MANF", {}, "C4-6", 0),
        (b"ROWS", {"n_rows": 0}, "C4-7", 4),
        (b"ROWS", {"first_row": 1}, "C4-7", 8),
        (b"iNDX", {}, "C4-7", 4),
        (b"iNDX", {"n_rows": 0, "first_row": 1}, "C4-7", 8),
        (b"ROWS", {"raw_len": 4}, "C4-8", 20),
        (b"iNDX", {"n_rows": 0, "raw_len": 4}, "C4-8", 16),
        (b"ROWS", {"payload_crc": 0}, "C4-11", 32),
    ],
)
def test_chunk_header(tag, fields, rule, offset):
    file = Builder(LATENTS)
    at = file.chunk(tag, ROW, **{"n_rows": 1, **fields})

    assert refusal(file.trailer(1, bytes(32))) == (rule, at + offset)


def test_unknown_ancillary_chunks_are_skipped():
    file = Builder(LATENTS)
    file.chunk(b"abCd", b"?", 7, 9, raw_len=2)
    file.chunk(b"ROWS", ROW, 1, 0)
    file.chunk(b"xYZw", b"!")

    got = read_container(file.trailer(1, content_id(ROW)))

    assert (got["rows"], got["n_chunks"]) == ([[1, 2]], 3)


def test_padding_is_zero():
    file = Builder(LATENTS | {"encoding": "u16le", "byte_order": "little"})
    at = file.chunk(b"ROWS", bytes(4), 1, 0, pad=b"\1" * len(file.padding()))

    assert refusal(file.data) == ("C4-9", at + 32)


def names_file(payload: dict | bytes, n_rows: int = 2, first_row: int = 0, rows: int = 2) -> tuple[bytes, int]:
    file = Builder(LATENTS)
    at = file.chunk(b"nAMe", payload if isinstance(payload, bytes) else pack(payload), n_rows, first_row)
    file.chunk(b"ROWS", ROW * rows, rows, 0)
    return file.trailer(rows, content_id(ROW * rows)), at


def test_names_come_back():
    data, _ = names_file({"names": ["a/b", "c"], "labels": [0, 2**32 - 1], "sources": [DECODER, DECODER]})
    got = read_container(data)

    assert got["names"] == ["a/b", "c"]
    assert got["labels"] == [0, 2**32 - 1]


@pytest.mark.parametrize(
    ("payload", "rule"),
    [
        ({}, "C7-1"),
        ({"more": [1, 2]}, "C7-1"),
        ({"labels": [1]}, "C7-1"),
        ({"labels": [1, 2**32]}, "C7-1"),
        ({"sources": [DECODER, b""]}, "C7-1"),
        (b"\x80\x80", "C3-1"),
        ({"names": ["a", "a"]}, "C7-3"),
        *(({"names": ["a", name]}, "C7-2") for name in (
            "", "/", "/a", "a/", "a//b", ".", "a/..", "..", "a\\b", "a\x01", "a\x7f", "c:", "C:x", "x" * 1025)),
    ],
)  # fmt: skip
def test_bad_names(payload, rule):
    data, at = names_file(payload)

    assert refusal(data) == (rule, at + 32)


def test_names_belong_to_the_next_rows():
    data, at = names_file({"labels": [1]}, n_rows=1)
    assert refusal(data) == ("C4-7", at + 4)

    data, at = names_file({"labels": [1, 2]}, first_row=1)
    assert refusal(data) == ("C4-7", at + 8)

    file = two_rows()
    file.chunk(b"nAMe", pack({"labels": [1]}), 1, 2)
    assert refusal(file.trailer(2, bytes(32))) == ("C4-6", len(file.data))


def index(file: Builder) -> bytes:
    return b"".join(u(8, at) + u(8, i) + u(4, 1) + u(4, i) for i, at in enumerate(file.at))


def test_index():
    file = two_rows()
    at = file.chunk(b"iNDX", index(file))
    read_container(file.trailer(2, content_id(bytes([1, 2, 3, 4])), index_at=at))

    assert refusal(file.trailer(2, content_id(bytes([1, 2, 3, 4])))) == ("C9-4", len(file.data) + 16)

    for payload in (index(two_rows())[:24], index(two_rows())[24:] * 2, index(two_rows()) + bytes(24)):
        file = two_rows()
        file.chunk(b"iNDX", payload)
        assert refusal(file.data)[0] == "C8-1"


@pytest.mark.parametrize(
    ("wrong", "rule", "offset"),
    [
        ({"trailer_crc": 0}, "C9-2", 60),
        ({"n_chunks": 1}, "C9-3", 4),
        ({"n_rows": 3}, "C9-3", 8),
        ({"index_at": 1}, "C9-4", 16),
        ({"chain_crc": 0}, "C9-5", 24),
        ({"content_id": bytes(32)}, "C9-6", 28),
    ],
)
def test_trailer(wrong, rule, offset):
    file = two_rows()
    data = file.trailer(**({"n_rows": 2, "content_id": content_id(bytes([1, 2, 3, 4]))} | wrong))

    assert refusal(data) == (rule, len(file.data) + offset)


def test_nothing_follows_and_nothing_is_empty():
    assert refusal(GOOD + b"\0") == ("C9-7", len(GOOD))
    assert refusal(Builder(LATENTS).trailer(0, content_id(b"")))[0] == "C9-3"


TEXT = LATENTS | {"encoding": "text19"}
ONE, TWO = b"+1.000000000000000000e+000", b"-2.500000000000000000e-001"


@pytest.mark.parametrize(
    ("payload", "rule", "offset"),
    [
        (ONE + b" " + TWO + b" ", "C5-1", 53),
        (ONE + b"\n" + TWO + b"\n", "C5-1", 26),
        (ONE + b" " + TWO[:21] + b"E-001\n", "C5-1", 48),
        (ONE + b" +0.100000000000000000e+001\n", "C5-2", 27),
        (ONE + b" +0.000000000000000000e+001\n", "C5-2", 27),
        (ONE + b" +1.000000000000000000e-000\n", "C5-2", 27),
        (ONE + b" +1.000001907348632813e+000\n", "C5-2", 27),  # 1 + 2^-19 is a tie: ...8125
        (ONE + b" +1.000000000000000000e+309\n", "C5-3", 27),
    ],
)
def test_bad_text(payload, rule, offset):
    data, at = one_row(TEXT, payload)

    assert refusal(data) == (rule, at + offset)


@pytest.mark.parametrize("x", [0.0, -0.0, 1.0, -0.25, 1 / 3, 5e-324, 1.7976931348623157e308, 1 + 2**-19, 1e22, 100.0])
def test_a_cell_is_what_c_prints(x):
    mantissa, exponent = f"{x:+.18e}".split("e")

    assert values.text19_cell(x) == f"{mantissa}e{int(exponent):+04d}"


@pytest.mark.parametrize(
    ("encoding", "type_", "good", "bad"),
    [
        ("f64le", "f32", struct.pack("<d", 0.5), struct.pack("<d", 0.1)),
        ("f64le", "u8", struct.pack("<d", 255), struct.pack("<d", -0.0)),
        ("f64le", "i8", struct.pack("<d", -128), struct.pack("<d", 128)),
        ("f64le", "u16", struct.pack("<d", 65535), struct.pack("<d", 0.5)),
        ("f64le", "f32", struct.pack("<d", -0.0), struct.pack("<d", 1e300)),
        ("f32le", "bf16", struct.pack("<f", 1.5), struct.pack("<f", 1 + 2**-8)),
        ("f32le", "f16", struct.pack("<f", 65504), struct.pack("<f", 65520)),
        ("f16le", "i8", struct.pack("<e", -1), struct.pack("<e", 1.5)),
        ("bf16le", "u8", b"\x80\x3f", b"\xc0\x3f"),
        ("u16le", "u8", b"\xff\0", b"\0\1"),
    ],
)
def test_widened_values(encoding, type_, good, bad):
    header = LATENTS | {"encoding": encoding, "values": type_, "byte_order": "little", "dims": [1]}
    data, at = one_row(header, bad)

    assert refusal(data) == ("C5-4", at)
    assert refusal(one_row(header, good)[0])[0] == "C9-6"  # all but the content id is right


@pytest.mark.parametrize(("encoding", "payload"), [("f32le", "000080ff"), ("f16le", "007e"), ("bf16le", "807f")])
def test_values_are_finite(encoding, payload):
    header = LATENTS | {"encoding": encoding, "byte_order": "little", "dims": [1]}
    data, at = one_row(header, bytes.fromhex(payload))

    assert refusal(data) == ("C5-3", at)


ZSTD = LATENTS | {"codec": "zstd", "filter": "shuffle", "encoding": "u16le", "byte_order": "little", "dims": [500]}
RAW = bytes(n % 256 for n in range(500)) + bytes(500)  # shuffled: low bytes, then high bytes
FRAME = zstandard.ZstdCompressor(write_checksum=True).compress(RAW)


def test_compressed_rows_are_unshuffled():
    file = Builder(ZSTD)
    file.chunk(b"ROWS", FRAME, 1, 0, raw_len=1000)
    plain = b"".join(u(2, n % 256) for n in range(500))
    got = read_container(file.trailer(1, content_id(plain, "u16", ZSTD)))

    assert got["rows"] == [[n % 256 for n in range(500)]]


def compressor(**options) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(write_checksum=True, **options)


@pytest.mark.parametrize(
    ("frame", "rule"),
    [
        (b"\x50\x2a\x4d\x18" + FRAME[4:], "C6-1"),
        (FRAME[:5], "C6-1"),
        (FRAME[:4] + bytes([FRAME[4] | 8]) + FRAME[5:], "C6-1"),
        (compressor(write_content_size=False).compress(RAW), "C6-2"),
        (compressor().compress(RAW[:999]), "C6-2"),
        (zstandard.ZstdCompressor().compress(RAW), "C6-3"),
        (FRAME[:4] + bytes([FRAME[4] | 1]) + b"\7" + FRAME[5:], "C6-4"),
        (FRAME + b"\0", "C6-6"),
        (FRAME[:-1], "C6-6"),
        (FRAME[:-1] + bytes([FRAME[-1] ^ 1]), "C6-6"),
        (FRAME[:20], "C6-6"),
        (FRAME + FRAME[:10], "C6-6"),
    ],
)
def test_bad_frames(frame, rule):
    data, at = one_row(ZSTD, frame, raw_len=1000)

    assert refusal(data) == (rule, at)


def test_the_window_is_capped():
    # frame header with a window descriptor of 2^24 and a content size of 1000; 1000 - 256 in two bytes
    frame = FRAME[:4] + bytes([0b01_0_0_0_1_00, (24 - 10) << 3]) + u(2, 1000 - 256) + FRAME[7:]
    data, at = one_row(ZSTD, frame, raw_len=1000)

    assert refusal(data) == ("C6-5", at)


# --- models -----------------------------------------------------------------------------------------------------------


def test_a_model_computes():
    model = read_model(ModelBuilder().build())

    assert run_model(model, [[0, 0], [1, 2], [127, -128]])[:2] == [[130, 30, 80], [100, 90, 40]]
    with pytest.raises(SpecError, match="M4-7"):
        run_model(model, [[0, 128]])


def test_a_file_can_carry_its_decoder():
    package = ModelBuilder().build()
    header = LATENTS | {
        "decoder": bytes.fromhex(read_model(package)["model_id"]),
        "encoding": "i8",
        "image": [1, 1, 3, "u8"],
    }
    file = Builder(header)
    file.chunk(b"dECo", package)
    file.chunk(b"ROWS", ROW, 1, 0)

    assert read_container(file.trailer(1, content_id(ROW, "i8", header)))["embedded"] == package

    file = Builder(header | {"decoder": DECODER})
    file.chunk(b"dECo", package)
    assert refusal(file.data)[0] == "C7-4"

    file = Builder(header | {"dims": [1, 2]})
    file.chunk(b"dECo", package)
    assert refusal(file.data)[0] == "C3-14"


def m_layers(change):
    def edit(model: ModelBuilder) -> None:
        change(model.manifest["layers"])

    return edit


def tensor(i, shape=None, type_=None, data=None):
    def edit(model: ModelBuilder) -> None:
        old = model.tensors[i]
        model.tensors[i] = (shape or old[0], type_ or old[1], old[2] if data is None else data)

    return edit


def manifest(**change):
    return lambda model: model.manifest.update(change)


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (manifest(more=1), "M2-2"),
        (manifest(role="both"), "M2-2"),
        (manifest(layers=[]), "M2-2"),
        (manifest(layers=[{}] * 1025), "M2-2"),
        (manifest(golden={"input": 4, "output": 6}), "M2-2"),
        (manifest(decoder=DECODER), "M2-3"),
        (manifest(role="encoder"), "M2-3"),
        (manifest(output={"shape": [3], "type": "u8"}), "M2-4"),
        (manifest(input={"shape": [2], "type": "i8", "range": [-128, 127]}), "M2-5"),
        (manifest(input={"shape": [2], "type": "i8", "range": [3, 3]}), "M2-5"),
        (tensor(0, [2**20, 2**10]), "M2-6"),
        (manifest(input={"shape": [2], "type": "f32"}), "M2-7"),
        (m_layers(lambda layers: layers[0].update(kind="exec")), "M3-1"),
        (m_layers(lambda layers: layers[0].update(more=1)), "M3-2"),
        (m_layers(lambda layers: layers[1].update(shift=41)), "M3-2"),
        (m_layers(lambda layers: layers[0].update(weights=6)), "M3-2"),
        (m_layers(lambda layers: layers[0].update(inputs=[1])), "M3-3"),
        (m_layers(lambda layers: layers.append({"kind": "relu", "inputs": [3]})), "M3-4"),
        (tensor(0, [3, 2]), "M3-5"),
        (m_layers(lambda layers: layers[2].update(shape=[1, 1, 4])), "M3-5"),
        (tensor(1, None, "f32"), "M3-6"),
        (m_layers(lambda layers: layers[2].update(inputs=[1])), "M3-6"),
        (m_layers(lambda layers: layers.insert(2, {"kind": "flatten", "inputs": [0]})), "M3-7"),
        (manifest(output={"shape": [1, 3, 1], "type": "u8"}), "M3-8"),
        (lambda model: model.add([1], "u8", b"\0"), "M3-9"),
        (tensor(0, data=b"\x7f" * 5), "M1-4"),
        (tensor(1, data=struct.pack("<3i", 0, 0, 2**31 - 1)), "M4-1"),
        (tensor(2, [2], data=bytes(8)), "M4-2"),
        (tensor(2, data=bytes(4)), "M4-2"),
        (tensor(3, [15], data=bytes(15)), "M4-3"),
        (lambda m: (tensor(1, data=struct.pack("<3i", 0, 0, 2**30))(m), tensor(2, data=u(4, 2**24))(m)), "M4-4"),
        (tensor(0, data=b"\x80" + bytes(5)), "M4-5"),
        (manifest(output={"shape": [1, 1, 3], "type": "u8", "range": [0, 149]}), "M4-6"),
        (tensor(4, [1, 2], data=bytes(2)), "M6-1"),
        (manifest(input={"shape": [2], "type": "i8", "range": [0, 1]}), "M6-1"),
        (tensor(5, data=bytes(6)), "M6-2"),
    ],
)
def test_bad_models(edit, rule):
    model = ModelBuilder()
    edit(model)

    assert refusal(model.build())[0] == rule


def test_framing_of_a_package():
    good = ModelBuilder()
    data = good.build()
    manf = 24 + int.from_bytes(data[12:16], "little")

    other = Builder(data[24:manf])
    at = other.chunk(b"TENS", b"\0", pad=other.padding())
    assert refusal(other.data) == ("M1-1", at)
    assert refusal(Builder(data[24:manf]).trailer(0, bytes(32)))[0] == "M1-1"

    raw_len = int.from_bytes(data[manf + 20 : manf + 24], "little")
    raw = data[manf + 32 : manf + 32 + raw_len]
    few = Builder(data[24:manf])
    few.chunk(b"MANF", raw)
    assert refusal(few.trailer(0, hashlib.sha256(raw).digest())) == ("M1-3", len(few.data))
    again = few.chunk(b"MANF", raw)
    assert refusal(few.data) == ("M1-1", again)

    changed = Builder(data[24:manf])
    changed.chunk(b"MANF", raw[:-1] + bytes([raw[-1] ^ 1]))
    assert refusal(changed.data) == ("M1-2", changed.at[0] + 32)


def float_model(layers, input_=("f32", [2]), tensors=()) -> list[list[float]]:
    """Outputs of a float32 network without its framing."""
    used = [Tensor(shape, "f32", b"", list(numbers)) for shape, numbers in tensors]
    ends = {"input": {"type": input_[0], "shape": input_[1]}, "output": {"type": "", "shape": []}}
    model = Model({"profile": "float32", "layers": layers, **ends}, b"", 0, used)
    with pytest.raises(SpecError, match="M3-8"):  # shapes and types are known by then
        check_layers(model)
    return run_rows(model, [[-1.0, 2.0, 3.0, -4.0][: count(input_[1])]])


@pytest.mark.parametrize(
    ("kind", "want"),
    [
        ("relu", [0, 2]),
        ("sigmoid", [0.2689414213699951, 0.8807970779778823]),
        ("tanh", [-0.7615941559557649, 0.9640275800758169]),
        ("elu", [-0.6321205588285577, 2]),
        ("gelu", [-0.15865525393145707, 1.9544997361036416]),
        ("silu", [-0.2689414213699951, 1.7615941559557646]),
        ("softplus", [0.31326168751822286, 2.1269280110429727]),
        ("to_u8", [0, 255]),
    ],
)
def test_activations(kind, want):
    assert float_model([{"kind": kind, "inputs": [0]}])[0] == pytest.approx(want)


def test_convolutions_by_hand():
    conv = {"kind": "conv2d", "inputs": [0], "weights": 0, "bias": 1, "strides": [1, 1], "padding": [1, 0, 0, 1]}
    tensors = [([2, 2, 1, 1], [1, 10, 100, 1000]), ([1], [0.5])]
    # the input -1 2 / 3 -4 with a row of zeros above and a column of zeros to the right
    want = [-100 + 2000 + 0.5, 200 + 0.5, -1 + 20 + 300 - 4000 + 0.5, 2 - 400 + 0.5]
    assert float_model([conv], ("f32", [2, 2, 1]), tensors)[0] == want

    transpose = {
        "kind": "conv2d_transpose",
        "inputs": [0],
        "weights": 0,
        "bias": 1,
        "strides": [2, 1],
        "crop": [1, 0, 0, 1],
    }
    # rows 0..3, columns 0..2; row 0 and column 2 are cut off
    want = [-100 + 0.5, -1000 + 200 + 0.5, 3 + 0.5, 30 - 4 + 0.5, 300 + 0.5, 3000 - 400 + 0.5]
    assert float_model([transpose], ("f32", [2, 2, 1]), tensors)[0] == want
