"""Bytes for the tests: files built field by field, so that any one field can be wrong.  Checks nothing."""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import Any

from tools.second.msgpack import pack

MAGIC = b"\x89AEF\r\n\x1a\n"


def u(size: int, n: int) -> bytes:
    return n.to_bytes(size, "little")


def preamble(header: bytes, **wrong: int) -> bytes:
    """wrong: major, minor, flags, header_len, header_crc, preamble_crc."""
    field = {"major": 1, "minor": 0, "flags": 0, "header_len": len(header), "header_crc": zlib.crc32(header)} | wrong
    data = MAGIC + u(1, field["major"]) + u(1, field["minor"]) + u(2, field["flags"]) + u(4, field["header_len"])
    data += u(4, field["header_crc"])
    return data + u(4, field.get("preamble_crc", zlib.crc32(data)))


class Builder:
    """A file that grows chunk by chunk."""

    def __init__(self, header: dict[str, Any] | bytes, **wrong: int) -> None:
        self.header = header if isinstance(header, bytes) else pack(header)
        self.data = preamble(self.header, **wrong) + self.header
        self.prefix = u(4, zlib.crc32(self.header))
        self.chunk_crcs: list[bytes] = []
        self.at: list[int] = []  # of each chunk header

    def chunk(
        self, tag: bytes, payload: bytes, n_rows: int = 0, first_row: int = 0, *, pad: bytes = b"", **wrong: int
    ) -> int:
        """Appends one; returns the byte of its header.  wrong: raw_len, number, payload_crc, chunk_crc, stored_len."""
        prefix = self.prefix + u(4, wrong.get("number", len(self.at)))
        head = tag + u(4, n_rows) + u(8, first_row) + u(4, wrong.get("stored_len", len(payload)))
        head += u(4, wrong.get("raw_len", len(payload))) + u(4, wrong.get("payload_crc", zlib.crc32(prefix + payload)))
        chunk_crc = u(4, wrong.get("chunk_crc", zlib.crc32(prefix + head)))
        self.at.append(len(self.data))
        self.chunk_crcs.append(chunk_crc)
        self.data += head + chunk_crc + pad + payload
        return self.at[-1]

    def padding(self) -> bytes:
        """What stands between the next chunk's header and its payload where C4-9 wants any."""
        return bytes(-(len(self.data) + 32) % 64)

    def trailer(self, n_rows: int, content_id: bytes, index_at: int = 0, **wrong: int) -> bytes:
        """The finished file.  wrong: n_chunks, chain_crc, trailer_crc."""
        n_chunks = u(4, wrong.get("n_chunks", len(self.at)))
        tail = b"TAIL" + n_chunks + u(8, n_rows) + u(8, index_at)
        tail += u(4, wrong.get("chain_crc", zlib.crc32(b"".join(self.chunk_crcs)))) + content_id
        return self.data + tail + u(4, wrong.get("trailer_crc", zlib.crc32(self.prefix + n_chunks + tail)))


DECODER = bytes(range(32))
LATENTS = {
    "byte_order": "none", "codec": "none", "decoder": DECODER, "dims": [2], "encoding": "u8", "image": [1, 1, 1, "u8"],
    "kind": "latents",
}  # fmt: skip


def content_id(values: bytes, type_: str = "u8", header: dict[str, Any] = LATENTS) -> bytes:
    """Of latents whose little-endian values are these."""
    identity = {key: header[key] for key in ("decoder", "dims", "image")} | {"values": type_}
    return hashlib.sha256(pack(identity) + values).digest()


def two_rows() -> Builder:
    """The rows (1, 2) and (3, 4), in two chunks; no trailer yet."""
    file = Builder(LATENTS)
    file.chunk(b"ROWS", bytes([1, 2]), 1, 0)
    file.chunk(b"ROWS", bytes([3, 4]), 1, 1)
    return file


class ModelBuilder:
    """A package: one `dense` and one `lookup` of the exact profile, from i8 [2] to u8 [1, 1, 3]."""

    def __init__(self) -> None:
        self.tensors: list[tuple[list[int], str, bytes]] = []
        self.manifest: dict[str, Any] = {
            "role": "decoder",
            "profile": "exact",
            "input": {"shape": [2], "type": "i8"},
            "output": {"shape": [1, 1, 3], "type": "u8"},
            "layers": [
                {"kind": "dense", "inputs": [0], "weights": 0, "bias": 1},
                {"kind": "lookup", "inputs": [1], "multiplier": 2, "shift": 1, "table": 3},
                {"kind": "reshape", "inputs": [2], "shape": [1, 1, 3]},
            ],
            "golden": {"input": 4, "output": 5},
        }
        self.add([2, 3], "i8", struct.pack("<6b", 1, 2, 3, -4, 5, -6))
        self.add([3], "i32", struct.pack("<3i", 10, -10, 0))
        self.add([1], "i32", struct.pack("<i", 1))
        self.add([16], "u8", bytes(range(0, 160, 10)))
        self.add([2, 2], "i8", struct.pack("<4b", 0, 0, 1, 2))
        # sums 10, -10, 0 and 3, 2, -9; half of them, rounded half up: 5, -5, 0 and 2, 1, -4; +8: 13, 3, 8 and 10, 9, 4
        self.add([2, 1, 1, 3], "u8", bytes([130, 30, 80, 100, 90, 40]))

    def add(self, shape: list[int], type_: str, data: bytes) -> None:
        self.tensors.append((shape, type_, data))

    def build(self, raw_manifest: bytes | None = None, codec: str = "none") -> bytes:
        entries = [{"shape": s, "type": t, "sha256": hashlib.sha256(d).digest()} for s, t, d in self.tensors]
        raw = raw_manifest or pack({"tensors": entries} | self.manifest)
        model_id = hashlib.sha256(raw).digest()
        file = Builder({"byte_order": "little", "codec": codec, "kind": "model", "model": model_id})
        file.chunk(b"MANF", raw)
        for _, _, data in self.tensors:
            file.chunk(b"TENS", data, pad=file.padding())
        return file.trailer(0, model_id)
