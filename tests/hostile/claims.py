"""Small files that claim to be enormous, every checksum right.  Built without the package (tools/build_vectors)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgpack
import zstandard

from tools.build_vectors.framing import Chunk, Draft, Trailer

MIB: Final = 1 << 20
CHUNK: Final = 256 * MIB  # the most that C4-4 allows
_HUGE_ARRAY: Final = b"\xdd\xff\xff\xff\xff"
_DENSE: Final = 16_384  # squared, in i8: the largest tensor


@dataclass(frozen=True)
class Claim:
    """One file.  rules: what may refuse it.  cap: bytes of memory that it takes at most.  chunk_bytes: the reader's limit."""

    build: Callable[[], bytes]
    rules: str
    cap: int = 16 * MIB
    chunk_bytes: int = CHUNK


def latents(*chunks: Chunk, trailer: Trailer | None = None, **changes: Any) -> bytes:
    """A latents file with these chunks.  changes: to its header."""
    codec = "zstd" if "filter" in changes else "none"
    head = {"byte_order": "none", "codec": codec, "decoder": bytes(32), "dims": [1], "encoding": "u8"}
    head |= {"image": [1, 1, 1, "u8"], "kind": "latents"} | changes
    is_sized = 0 in head["dims"]
    draft = Draft(_map(head), chunks, trailer or Trailer(bytes(32)), minor=is_sized, flags=is_sized)
    return draft.build().data


def sizes(*entries: tuple[int, ...]) -> Chunk:
    """A SIZE of so many rows and their free sizes."""
    words = [word for entry in entries for word in entry]
    return Chunk(b"SIZE", struct.pack(f"<{len(words)}I", *words), sum(entry[0] for entry in entries) % 2**32)


def model(manifest: bytes, *chunks: Chunk, codec: str = "none", **changes: Any) -> bytes:
    """A model package with this manifest.  changes: to the MANF chunk."""
    model_id = hashlib.sha256(manifest).digest()
    head = {"byte_order": "little", "codec": codec, "kind": "model", "model": model_id}
    head |= {} if codec == "none" else {"filter": "none"}
    first = Chunk(b"MANF", changes.pop("payload", manifest), **changes)
    return Draft(_map(head), (first, *chunks), Trailer(model_id), frozenset({b"TENS"})).build().data


def rows(payload: bytes, **fields: Any) -> Chunk:
    return Chunk(b"ROWS", payload, **{"n_rows": 1} | fields)


def frame(raw: bytes, *, window_log: int = 20) -> bytes:
    """A zstd frame as the spec wants it."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        1, source_size=len(raw), window_log=window_log, write_checksum=True, write_content_size=True
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(raw)


def stated(content_bytes: int, *, window: int = 0x50, blocks: bytes = b"\x01\0\0") -> bytes:
    """A frame whose header states any content size (in 8 bytes) and window; by default it holds nothing."""
    return b"\x28\xb5\x2f\xfd\xc4" + bytes([window]) + content_bytes.to_bytes(8, "little") + blocks + bytes(4)


def names(what: bytes, n: int) -> Chunk:
    """A nAMe chunk of n labels that are all `what`, compressed."""
    raw = b"\x81\xa6labels\xdd" + n.to_bytes(4, "big") + what * n
    return Chunk(b"nAMe", frame(raw), n_rows=n, raw_len=len(raw))


def manifest(
    tensors: list[tuple[list[int], str]], layers: list[dict[str, Any]], start: list[int], end: list[int]
) -> bytes:
    """An exact decoder from u8 `start` to u8 `end`; its golden set is the last two tensors."""
    n = len(tensors)
    return _map(
        {
            "role": "decoder", "profile": "exact", "layers": layers, "golden": {"input": n - 2, "output": n - 1},
            "input": {"shape": start, "type": "u8"}, "output": {"shape": end, "type": "u8"},
            "tensors": [{"shape": shape, "type": kind, "sha256": bytes(32)} for shape, kind in tensors],
        }
    )  # fmt: skip


def _map(tree: Any) -> bytes:
    return bytes(msgpack.packb(_sorted(tree)))


def _sorted(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _sorted(tree[key]) for key in sorted(tree)}
    return [_sorted(item) for item in tree] if isinstance(tree, list) else tree


def _golden(start: list[int], end: list[int]) -> list[tuple[list[int], str]]:
    return [([1, *start], "u8"), ([1, *end], "u8")]


def _flattened(n_layers: int) -> bytes:
    layers: list[dict[str, Any]] = [{"kind": "flatten", "inputs": [k]} for k in range(n_layers - 1)]
    layers.append({"kind": "reshape", "inputs": [n_layers - 1], "shape": [1, 2, 1]})
    return manifest(_golden([2], [1, 2, 1]), layers, [2], [1, 2, 1])


def _many_large(n_tensors: int) -> bytes:
    """n_tensors layers with weights of 256 MiB each: all that the manifest says is allowed."""
    tensors: list[tuple[list[int], str]] = [([_DENSE], "i32"), ([1], "i32"), ([256], "u8")]
    layers: list[dict[str, Any]] = []
    for k in range(n_tensors):
        tensors.append(([_DENSE, _DENSE], "i8"))
        layers.append({"kind": "dense", "inputs": [2 * k], "weights": 3 + k, "bias": 0})
        layers.append({"kind": "lookup", "inputs": [2 * k + 1], "multiplier": 1, "shift": 0, "table": 2})
    layers.append({"kind": "reshape", "inputs": [2 * n_tensors], "shape": [128, 128, 1]})
    return manifest(tensors + _golden([_DENSE], [128, 128, 1]), layers, [_DENSE], [128, 128, 1])


def _tensor(**fields: Any) -> bytes:
    """A package whose first tensor is what `fields` say, with weights of 256 MiB to come."""
    return model(_many_large(1), Chunk(b"TENS", b"\0" * 100, **fields), codec="zstd")


def _header_of(header_len: int) -> bytes:
    head = _map({"kind": "latents"})
    return Draft(head, (), None, header_len=header_len).build().data


def _nested(depth: int) -> bytes:
    return b"\x81\xa3ext" + _HUGE_ARRAY * depth


CLAIMS: Final[dict[str, Claim]] = {
    "a header of 64 KiB that is not there": Claim(lambda: _header_of(65_536), "C2-7"),
    "a header of 4 GiB": Claim(lambda: _header_of(2**32 - 1), "C2-5"),
    "a header of nested array32": Claim(lambda: Draft(_nested(10_000), (), None).build().data, "C3-1"),
    "a header 60,000 deep": Claim(
        lambda: Draft(b"\x81\xa3ext" + b"\x91" * 60_000 + b"\0", (), None).build().data, "C3-5"
    ),
    "a header full of empty lists": Claim(
        lambda: Draft(b"\x81\xa3ext\xdd\0\0\xff\0" + b"\x90" * 0xFF00, (), None).build().data, "C3-3 C3-6"
    ),
    "dims whose product is 2^248": Claim(lambda: latents(dims=[2**31 - 1] * 8), "C3-13"),
    "2^32 - 1 rows of their own size in 8 bytes": Claim(
        lambda: latents(sizes((2**32 - 1, 1)), rows(b"\0", n_rows=2**32 - 1), dims=[0]), "C4-8"
    ),
    "2^33 rows of their own size, counted in 32 bits": Claim(
        lambda: latents(sizes((2**32 - 1, 1), (2**32 - 1, 2), (2, 1)), rows(b"\0"), dims=[0]), "C4-7 C4-8 C5-5"
    ),
    "a row of its own size of 2^248 values": Claim(
        lambda: latents(sizes((1, *[2**31 - 1] * 8)), rows(b"\0"), dims=[0] * 8), "C5-8"
    ),
    "an image of its own size of 2^32 pixels": Claim(
        lambda: latents(sizes((1, 1, 65_535, 65_535)), rows(b"\0"), dims=[0], image=[0, 0, 3, "u8"]), "C5-8"
    ),
    "a SIZE of 256 MiB that is not there": Claim(
        lambda: latents(Chunk(b"SIZE", bytes(8), 2**26, stored_len=CHUNK, raw_len=CHUNK), dims=[0]), "C4-8 C4-10"
    ),
    "256 Mi rows of one byte in 25 kB": Claim(
        lambda: latents(
            sizes((CHUNK, 1)), rows(frame(bytes(CHUNK)), n_rows=CHUNK, raw_len=CHUNK), dims=[0], filter="none"
        ),
        "C9-6 good",
        4 * CHUNK,
    ),
    "100,000 rows, each of another size than the one before": Claim(
        lambda: latents(sizes(*[(1, 1), (1, 2)] * 50_000), rows(bytes(150_000), n_rows=100_000), dims=[0]),
        "C9-6 good",
        32 * MIB,
    ),
    "dims of 2^53": Claim(lambda: latents(dims=[2**53 - 1]), "C3-8"),
    "a chunk of 256 MiB that is not there": Claim(
        lambda: latents(rows(b"\0", stored_len=CHUNK, raw_len=CHUNK), dims=[CHUNK]), "C4-10"
    ),
    "a chunk of 4 GiB": Claim(lambda: latents(rows(b"\0", stored_len=2**32 - 1, raw_len=2**32 - 1)), "C4-4"),
    "2^32 - 1 rows in a byte": Claim(lambda: latents(rows(b"\0", n_rows=2**32 - 1)), "C4-8"),
    "2^64 - 1 rows and an index beyond everything": Claim(
        lambda: latents(rows(b"\0"), trailer=Trailer(bytes(32), n_rows=2**64 - 1, index_at=2**63)), "C9-3 C9-4"
    ),
    "2^32 - 1 chunks": Claim(lambda: latents(rows(b"\0"), trailer=Trailer(bytes(32), n_chunks=2**32 - 1)), "C9-3"),
    "a frame that states 2^60 bytes": Claim(
        lambda: latents(rows(stated(2**60), raw_len=MIB), filter="none", dims=[MIB]), "C6-2"
    ),
    "a frame of 64 MiB in a chunk of 1 MiB": Claim(
        lambda: latents(rows(frame(bytes(64 * MIB)), raw_len=MIB), filter="none", dims=[MIB]), "C6-2"
    ),
    "a frame that gives 64 MiB and states 1 MiB": Claim(
        lambda: latents(rows(_lying(64 * MIB, MIB), raw_len=MIB), filter="none", dims=[MIB]), "C6-6"
    ),
    "a window of 2 GiB": Claim(
        lambda: latents(rows(stated(MIB, window=0xA8), raw_len=MIB), filter="none", dims=[MIB]), "C6-5"
    ),
    "an empty frame that states 256 MiB": Claim(
        lambda: latents(rows(stated(CHUNK), raw_len=CHUNK), filter="none", dims=[CHUNK]), "C6-6", CHUNK + 16 * MIB
    ),
    "256 MiB of zeros in 25 kB": Claim(
        lambda: latents(rows(frame(bytes(CHUNK)), raw_len=CHUNK), filter="none", dims=[CHUNK]), "C9-6 good", 4 * CHUNK
    ),
    "256 MiB of zeros for a reader of 1 MiB": Claim(
        lambda: latents(rows(frame(bytes(CHUNK)), raw_len=CHUNK), filter="none", dims=[CHUNK]), "C4-4", chunk_bytes=MIB
    ),
    "256 MiB of rows in the state of one worker": Claim(
        lambda: latents(Chunk(b"ROWS", b"\0\0\0\1\0", CHUNK, raw_len=CHUNK), codec="rans"), "C6-8"
    ),
    "2^255 lanes": Claim(lambda: latents(Chunk(b"ROWS", b"\xff" * 5, CHUNK, raw_len=CHUNK), codec="rans"), "C6-7"),
    "row names of 64 MiB": Claim(lambda: latents(names(b"\0", 64 * MIB), rows(b"\0"), filter="none"), "C4-4"),
    "labels that are a million empty lists": Claim(
        lambda: latents(names(b"\x90", MIB), rows(b"\0"), filter="none"), "C7-1 C4-7", 32 * MIB
    ),
    "labels nested in array32": Claim(
        lambda: latents(Chunk(b"nAMe", b"\x81\xa6labels" + _HUGE_ARRAY * 1_000, n_rows=1), rows(b"\0")), "C3-1"
    ),
    "a manifest of 256 MiB": Claim(
        lambda: model(b"\x80", codec="zstd", payload=frame(bytes(CHUNK)), raw_len=CHUNK), "M1-1"
    ),
    "a manifest of nested array32": Claim(lambda: model(_nested(100_000)), "M2-1"),
    "a manifest of a million empty lists": Claim(
        lambda: model(b"\x81\xa6layers\xdd\0\x0f\xff\xf0" + b"\x90" * 0xFFFF0), "M2-1 M2-2", 192 * MIB
    ),
    "tensors of 2^53 by 2^53 by ...": Claim(
        lambda: model(manifest([([2**53 - 1] * 8, "f32")] * 3, [{}], [1], [1, 1, 1])), "M2-6"
    ),
    "an input of 2^371 numbers": Claim(
        lambda: model(
            manifest(_golden([1], [1, 1, 1]), [{"kind": "flatten", "inputs": [0]}], [2**53 - 1] * 7, [1, 1, 1])
        ),
        "M3-5",
    ),
    "1,025 layers": Claim(lambda: model(_flattened(1_025)), "M2-2"),
    "20,000 layers": Claim(lambda: model(_flattened(20_000)), "M2-2", 64 * MIB),
    "1,024 layers and no tensor": Claim(lambda: model(_flattened(1_024)), "M1-3"),
    "tensors of 1.25 GiB together": Claim(lambda: model(_many_large(5)), "M2-6"),
    "a tensor of 256 MiB that is not there": Claim(
        lambda: model(_many_large(1), Chunk(b"TENS", b"\0", stored_len=CHUNK, raw_len=CHUNK)), "C4-10"
    ),
    "a tensor of 256 MiB for a bias": Claim(lambda: _tensor(raw_len=CHUNK), "M1-4"),
}


def _lying(gives: int, states: int) -> bytes:
    good = frame(bytes(gives))
    descriptor, n_stated = good[4], (1, 2, 4, 8)[good[4] >> 6]
    at = 5 + (0 if descriptor & 0x20 else 1)
    assert int.from_bytes(good[at : at + n_stated], "little") == gives
    return good[:at] + states.to_bytes(n_stated, "little") + good[at + n_stated :]
