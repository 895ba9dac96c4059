"""Small containers to send.  Their bytes depend on the arguments only."""

from __future__ import annotations

import hashlib
import io

import numpy as np

from aeformat.container.header import LatentsHeader
from aeformat.container.parser import ChunkRead, HeaderRead, Parser, TrailerRead
from aeformat.container.writer import LatentsWriter

DECODER = hashlib.sha256(b"a decoder").digest()


def latents(
    n_rows: int = 40,
    *,
    chunk_rows: int = 5,
    dims: int = 16,
    codec: str = "none",
    decoder: bytes = DECODER,
    seed: int = 1,
) -> bytes:
    """Make a latents file of n_rows rows, in chunks of chunk_rows."""
    sink = io.BytesIO()
    header = LatentsHeader(
        decoder=decoder,
        dims=(dims,),
        image=(28, 28, 1),
        encoding="f64le",
        codec=codec,
        filter="none" if codec == "none" else "shuffle",
    )
    rng = np.random.default_rng(seed)
    with LatentsWriter(sink, header, chunk_rows=chunk_rows) as writer:
        writer.write(rng.normal(size=(n_rows, dims)))
    return sink.getvalue()


def ends(data: bytes) -> list[int]:
    """The offsets where the header, each chunk and the trailer end."""
    found = []
    parser = Parser()
    for event in parser.feed(data):
        if isinstance(event, HeaderRead):
            found.append(event.end)
        elif isinstance(event, ChunkRead):
            found.append(event.payload_at + len(event.stored))
        elif isinstance(event, TrailerRead):
            found.append(event.at + 64)
    return found
