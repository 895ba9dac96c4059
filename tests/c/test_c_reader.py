"""Promise: the reader in C, under sanitizers, finds in every vector what its JSON says, on little- and on big-endian machines."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard

from .compiled import SANITIZERS, VECTORS, C, ask, compile_c, expected, missing, run_lines, vectors, with_zstd

VALID = vectors("container/valid", "model/valid", "history/1.0.0")
INVALID = vectors("container/invalid", "model/invalid")
EXACT = [path for path in vectors("model/valid") if expected(path)["profile"] == "exact"]
TYPES = ["f64", "f32", "f16", "bf16", "u8", "i8", "u16"]


def vector_id(path: Path) -> str:
    return f"{path.parts[-3]}-{path.stem}"


@pytest.fixture(scope="module")
def conformance(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The runner, with AddressSanitizer and UndefinedBehaviorSanitizer."""
    to = tmp_path_factory.mktemp("c") / "conformance"
    return [str(compile_c(C / "conformance.c", to, *SANITIZERS, *with_zstd()))]


@pytest.fixture(scope="module")
def said(conformance: list[str]) -> dict[Path, dict[str, Any]]:
    """What the runner says of each vector."""
    files = [*VALID, *INVALID]
    return dict(zip(files, ask(conformance, [f"check {path}" for path in files]), strict=True))


def error(answer: dict[str, Any] | None) -> tuple[str, str, int, str] | None:
    if answer is None:
        return None
    return answer["code"], answer["rule"], answer["at"], "dECo" if answer["inside"] else ""


@pytest.mark.parametrize("path", INVALID, ids=vector_id)
def test_invalid_file_is_refused_by_its_rule(path: Path, said: dict[Path, dict[str, Any]]) -> None:
    """Code, rule, byte and place of the first broken rule; by the reader too, unless only others see it."""
    want, got = expected(path), said[path]
    wanted = (want["code"], want["rule"], want["at"], want.get("inside", ""))

    if want["rule"] == "M6-2" and not got.get("computes", 1):
        assert got["validator"] is None  # a golden set of floats: this reader does not compute them
        return
    assert error(got["validator"]) == wanted
    unseen = "only" in want or want["rule"] == "M6-2"
    assert error(got["reader"]) in ((None, wanted) if unseen else (wanted,))


def as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def sizes_of(text: str, n_free: int) -> list[list[int]]:
    numbers = struct.unpack(f"<{len(text) // 8}I", bytes.fromhex(text))
    return [list(numbers[i : i + 1 + n_free]) for i in range(0, len(numbers), 1 + n_free)]


def names_of(got: dict[str, Any], first: int, n: int) -> dict[str, Any] | None:
    """The names of the rows of a block, as the vectors have them."""
    columns = {key: values[first : first + n] for key, values in got["names"].items()}
    found = {
        key: [as_json(msgpack.unpackb(bytes.fromhex(item))) for item in values]
        for key, values in columns.items()
        if all(values)
    }
    return found or None


NUMBERS = {
    "int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q",
    "float16": "e", "float32": "f", "float64": "d", "bool": "?",
}  # fmt: skip


def field_value(kind: str, sizes: list[int], text: str | None) -> Any:
    """A value as the vectors have it."""
    data = None if text is None else bytes.fromhex(text)
    if data is None or kind in ("text", "bytes"):
        return data if data is None else data.decode("utf-8") if kind == "text" else {"hex": text}
    numbers = [number for (number,) in struct.iter_unpack("<" + NUMBERS[kind], data)]
    assert len(numbers) == math.prod(sizes)
    plain = [n if math.isfinite(n) else {"hex": struct.pack("<d", n).hex()} for n in numbers]
    return plain if sizes else plain[0]


def fields_of(got: dict[str, Any], first: int, n: int) -> dict[str, Any] | None:
    """The fields of the rows of a block, as the vectors have them."""
    columns: dict[str, list[Any]] = {}
    for row in got["fields"][first : first + n]:
        for name, kind, sizes, text in row:
            columns.setdefault(bytes.fromhex(name).decode("utf-8"), []).append(field_value(kind, sizes, text))
    return columns or None


@pytest.mark.parametrize("path", [p for p in VALID if expected(p)["kind"] == "latents"], ids=vector_id)
def test_valid_latents_are_read(path: Path, said: dict[Path, dict[str, Any]]) -> None:
    """Header, all values, names, fields, sizes, receipts and ids; row by row backwards through the index, too."""
    want, got = expected(path), said[path]
    assert got["reader"] is None and got["validator"] is None
    header = msgpack.unpackb(bytes.fromhex(got["header"]))
    n_free = header["dims"].count(0) + header.get("image", []).count(0)
    found = {
        "dims": header["dims"], "image": header.get("image"), "encoding": header["encoding"], "codec": header["codec"],
        "filter": header.get("filter", "none"), "values": TYPES[got["type"]], "ext": as_json(header.get("ext", {})),
        "decoder": header["decoder"].hex() if "decoder" in header else None,
        "foreign_decoder": header.get("foreign_decoder", b"").hex() or None, "described": as_json(header.get("described")),
        "encoder": header["encoder"].hex() if "encoder" in header else None,
        "n_rows": got["n_rows"], "n_chunks": got["n_chunks"], "has_index": bool(got["has_index"]),
        "content_id": got["content_id"], "values_sha256": got["values_sha256"], "values_hex": got["values_hex"],
        "sizes": [sizes_of(block[2], n_free) for block in got["blocks"]],
        "receipts": [[block[3][i : i + 64] for i in range(0, len(block[3]), 64)] for block in got["blocks"]],
        "names": [names_of(got, block[0], block[1]) for block in got["blocks"]],
        "fields": [fields_of(got, block[0], block[1]) for block in got["blocks"]],
    }  # fmt: skip
    if path.parts[-3] == "history":
        found["names"] = None if found["names"][0] is None else [n for block in found["names"] for n in block["names"]]
    assert {key: found[key] for key in want if key in found} == {key: want[key] for key in want if key in found}
    assert got["known"] and got["seek_same"] and got["seek_fields"] == got["fields"]
    assert "fields" in want or not any(found["fields"])
    assert "receipts" in want or not any(found["receipts"])
    assert want.get("names") or not any(names or () for names in found["names"] or ())


def with_compressed_fields(data: bytes) -> bytes:
    """A file of codec "zstd" whose fields are stored as they are, with each fLDs as a zstd frame."""
    at = 24 + struct.unpack_from("<I", data, 12)[0]
    out, chain, number, index, index_at = bytearray(data[:at]), 0, 0, b"", 0
    while data[at : at + 4] != b"TAIL":
        tag, n_rows, first, stored, raw = struct.unpack_from("<4sIQII", data, at)
        payload, front = data[at + 32 : at + 32 + stored], data[16:20] + struct.pack("<I", number)
        if tag == b"fLDs":
            payload = zstandard.ZstdCompressor(write_checksum=True).compress(payload)
            assert len(payload) < raw
        if tag == b"ROWS":
            index += struct.pack("<QQII", len(out), first, n_rows, number)
        if tag == b"iNDX":
            payload, index_at = index, len(out)
        head = struct.pack("<4sIQIII", tag, n_rows, first, len(payload), raw, zlib.crc32(front + payload))
        checksum = struct.pack("<I", zlib.crc32(front + head))
        out += head + checksum + payload
        at, number, chain = at + 32 + stored, number + 1, zlib.crc32(checksum, chain)
    tail = data[at : at + 16] + struct.pack("<QI", index_at, chain) + data[at + 28 : at + 60]
    return bytes(out) + tail + struct.pack("<I", zlib.crc32(data[16:20] + tail[4:8] + tail))


def test_compressed_fields_are_read(conformance: list[str], said: dict[Path, dict[str, Any]], tmp_path: Path) -> None:
    """Forward and through the index as if they were stored as they are; without memory the file is refused."""
    stored, path = VECTORS / "container/valid/252-fields-zstd.aef", tmp_path / "fields.aef"
    path.write_bytes(with_compressed_fields(stored.read_bytes()))

    got, starved = ask(conformance, [f"check {path}", f"starve {path}"])

    assert got["reader"] is None and got["validator"] is None and got["seek_same"]
    assert got["fields"] == got["seek_fields"] == said[stored]["fields"]
    assert starved["refused"] == starved["allocations"] > 4


@pytest.mark.parametrize("path", [p for p in VALID if expected(p)["kind"] == "model"], ids=vector_id)
def test_valid_package_is_read(path: Path, said: dict[Path, dict[str, Any]]) -> None:
    """Model id, manifest, number of chunks, and the work that M7-1 counts."""
    want, got = expected(path), said[path]
    assert got["reader"] is None and got["validator"] is None
    manifest = msgpack.unpackb(bytes.fromhex(got["manifest"]))
    found = {
        **{key: manifest[key] for key in ("role", "profile", "input", "output")},
        "decoder": manifest["decoder"].hex() if "decoder" in manifest else None, "model_id": got["content_id"],
        "n_chunks": got["n_chunks"], "n_tensors": len(manifest["tensors"]), "work": got["work"],
    }  # fmt: skip
    assert {key: found[key] for key in want if key in found} == {key: want[key] for key in want if key in found}
    assert got["computes"] == (want["profile"] == "exact")


@pytest.mark.parametrize("path", EXACT, ids=vector_id)
def test_package_computes_its_rows(path: Path, conformance: list[str]) -> None:
    """Every row of profile "exact" comes out bit for bit; a number out of range is refused (M4-7)."""
    lines, answers = run_lines(path)
    assert ask(conformance, lines) == answers


def test_floats_are_refused(conformance: list[str]) -> None:
    """A package of profile "float32" opens, and computes nothing."""
    lines = [f"run {VECTORS}/model/valid/012-float-decoder.aef 0 0 0 0 00"]
    assert ask(conformance, lines) == [{"code": "unsupported", "out": ""}]


def test_pixels_are_those_of_the_receipts(conformance: list[str], said: dict[Path, dict[str, Any]]) -> None:
    """By the decoder inside or by one handed over; rows of their own size too; another decoder is refused."""
    one, other = VECTORS / "container/valid/120-receipt.aef", VECTORS / "model/valid/080-free-decoder.aef"
    sized = VECTORS / "container/valid/190-sized-free-decoder.aef"
    receipt = said[one]["blocks"][0][3]
    rows = said[sized]["n_rows"]
    commands = [f"pixels {one} - 0", f"pixels {one} {other} 0", *(f"pixels {sized} - {row}" for row in range(rows))]

    first, refused, *all_rows = ask(conformance, commands)

    assert hashlib.sha256(bytes.fromhex(first["out"])).hexdigest() == receipt
    assert refused["code"] == "decoder-mismatch"
    assert {answer["code"] for answer in all_rows} == {"ok"} and all(answer["out"] for answer in all_rows)


@pytest.mark.parametrize(
    "name",
    ["container/valid/122-receipts-and-names", "container/valid/201-passes-lanes", "model/valid/010-convolutions"],
)
def test_no_memory_is_an_error_like_others(name: str, conformance: list[str]) -> None:
    """Each allocation fails once: the file is refused, and nothing leaks or breaks."""
    (answer,) = ask(conformance, [f"starve {VECTORS}/{name}.aef"])
    assert answer["refused"] == answer["allocations"] > 10


@pytest.fixture(scope="module")
def big_endian(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The runner without zstd on an emulated s390x.  qemu-s390x-static stands beside AEFORMAT_PYTHON_BE, or on the PATH."""
    beside = Path(os.environ.get("AEFORMAT_PYTHON_BE", "/")).parent / "usr" / "bin" / "qemu-s390x-static"
    qemu = str(beside) if beside.exists() else shutil.which("qemu-s390x-static")
    if qemu is None:
        missing("qemu-s390x-static (Debian: qemu-user-static)")
    to = tmp_path_factory.mktemp("be") / "conformance"
    return [str(qemu), str(compile_c(C / "conformance.c", to, "-O2", "-static", compiler="s390x-linux-gnu-gcc"))]


def test_big_endian_says_the_same(big_endian: list[str], said: dict[Path, dict[str, Any]]) -> None:
    """Of each vector that needs no zstd every word is the same; of the others "unsupported"; all rows come out."""
    files = [*VALID, *INVALID]
    there = dict(zip(files, ask(big_endian, [f"check {path}" for path in files]), strict=True))
    needs_zstd = [
        path for path in files if (there[path]["validator"] or {}).get("code") == "unsupported" != code(said[path])
    ]
    different = [vector_id(path) for path in files if path not in needs_zstd and there[path] != said[path]]
    assert different == []
    assert 20 < len(needs_zstd) < 60
    runs = [run_lines(path) for path in EXACT if path not in needs_zstd]
    lines, answers = ([item for pair in runs for item in pair[i]] for i in range(2))
    assert ask(big_endian, lines) == answers


def code(answer: dict[str, Any]) -> str:
    return str((answer["validator"] or {}).get("code", ""))


def test_header_is_small_and_compiles_everywhere(tmp_path: Path) -> None:
    """At most 2,000 lines; no warning by gcc and clang, as C99 and as C++, with zstd and without."""
    assert len((C / "aef.h").read_text("utf-8").splitlines()) <= 2_000
    for name, compiler in (("one.c", "gcc"), ("one.c", "clang"), ("one.cpp", "clang")):
        source = tmp_path / name
        source.write_text('#define AEF_IMPLEMENTATION\n#include "aef.h"\n', "utf-8")
        compile_c(source, tmp_path / "one.o", "-c", "-O2", compiler=compiler)
        compile_c(source, tmp_path / "one.o", "-c", "-O2", with_zstd()[0], compiler=compiler)
