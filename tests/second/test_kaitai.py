"""spec/aef.ksy compiles, and the parser made from it finds the framing of every valid vector where the second decoder does.

Needs node with the npm packages `kaitai-struct-compiler` and `js-yaml` (AEFORMAT_KAITAI: their --prefix) and Python's
`kaitaistruct`.  Skipped where one is missing; AEFORMAT_REQUIRE_ALL=1 turns that into a failure.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tools.second.decoder import read_container

from .test_second_vectors import VECTORS, cases

HERE = Path(__file__).parent


def missing(what: str) -> None:
    if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1":
        pytest.fail(f"missing: {what}")
    pytest.skip(f"missing: {what}")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The Python module that the compiler makes of aef.ksy."""
    prefix, node = os.environ.get("AEFORMAT_KAITAI"), shutil.which("node")
    if node is None:
        missing("node")
    if not prefix:
        missing("AEFORMAT_KAITAI, the folder of `npm install --prefix`")
    for package in ("kaitai-struct-compiler", "js-yaml"):
        if not (Path(str(prefix)) / "node_modules" / package).is_dir():
            missing(f"npm package {package}")
    if importlib.util.find_spec("kaitaistruct") is None:
        missing("kaitaistruct")
    out = tmp_path_factory.mktemp("kaitai")
    subprocess.run(
        [str(node), str(HERE / "compile_ksy.js"), str(prefix), str(VECTORS.parent / "aef.ksy"), str(out)],
        check=True,
        timeout=120,
    )
    spec = importlib.util.spec_from_file_location("aef_ksy", out / "aef.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def framing(parsed: Any) -> list[tuple[Any, ...]]:
    """Of each chunk: byte, byte of the payload, the seven fields of its header, the payload."""
    at = 24 + parsed.preamble.header_len
    found = []
    for entry in parsed.chunks[:-1]:
        c = entry.chunk
        payload_at = at + 32 + len(c.padding)
        payload = getattr(c, "payload", None)
        if entry.tag == "SIZE":
            payload = struct.pack(f"<{len(c.sizes)}I", *c.sizes)
        if entry.tag == "iNDX":
            payload = b"".join(struct.pack("<QQII", e.at, e.first_row, e.n_rows, e.number) for e in c.index)
        fields = (c.n_rows, c.first_row, c.stored_len, c.raw_len, c.payload_crc, c.chunk_crc)
        found.append((at, payload_at, entry.tag.encode(), *fields, payload))
        at = payload_at + c.stored_len
    return found


@pytest.mark.parametrize("path", [*cases("container/valid"), *cases("model/valid")])
def test_framing(generated, path):
    """Tags, counts, lengths, offsets, payloads and trailer are those that the second decoder finds."""
    assert path is not None, "no vectors"
    data = path.read_bytes()
    want = read_container(data)

    with generated.Aef.from_bytes(data) as parsed:
        assert parsed.preamble.minor == want["minor"]
        assert [parsed.header.byte_order.text, parsed.header.codec.text] == [
            want["header"]["byte_order"],
            want["header"]["codec"],
        ]
        assert framing(parsed) == [
            (
                *(
                    c.at,
                    c.payload_at,
                    c.tag,
                    c.n_rows,
                    c.first_row,
                    c.stored_len,
                    c.raw_len,
                    c.payload_crc,
                    c.chunk_crc,
                ),
                c.stored,
            )
            for c in want["chunks"]
        ]
        trailer = parsed.chunks[-1].trailer
        assert (trailer.n_chunks, trailer.n_rows, trailer.index_at, trailer.content_id.hex()) == (
            want["n_chunks"],
            want["n_rows"],
            want.get("index_at", 0),
            want["content_id"],
        )
        assert struct.pack("<II", trailer.chain_crc, trailer.trailer_crc) == data[-40:-36] + data[-4:]
        assert parsed._io.pos() == len(data)


def without_framing() -> list[Any]:
    """The vectors that end early or do not begin with the magic."""
    found = []
    for case in cases("container/invalid"):
        (path,) = case.values
        want = json.loads(path.with_suffix(".json").read_text("utf-8")) if path else {"code": "truncated"}
        if want["code"] in ("truncated", "not-aef") and "inside" not in want:
            found.append(case)
    return found


@pytest.mark.parametrize("path", without_framing())
def test_a_file_without_framing_does_not_parse(generated, path):
    """A file that ends early or does not begin with the magic is no tree of half its chunks."""
    assert path is not None, "no vectors"

    with pytest.raises((EOFError, generated.kaitaistruct.ValidationFailedError)):
        generated.Aef.from_bytes(path.read_bytes())
