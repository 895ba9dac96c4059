"""aeformat info: what a file says of itself, from its header and trailer.  It checks no rows; validate does."""

from __future__ import annotations

import argparse
import math
import os
from typing import Any

from aeformat.cli import common
from aeformat.container.assigned import TRAILER
from aeformat.container.header import LatentsHeader, ModelHeader
from aeformat.container.parser import ChunkRead, HeaderRead, Parser
from aeformat.container.wire import TRAILER_BYTES
from aeformat.errors import LimitExceeded, Truncated

_READ_BYTES = 1 << 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat info`."""
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="as one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print what the file says.  Returns 3 if it is incomplete."""
    n_bytes = os.stat(common.existing(options.file)).st_size  # noqa: PTH116 - see common.existing
    with common.error_source(options.file):
        header = _header(options.file)
        facts: dict[str, Any] = {"file": options.file, "bytes": n_bytes, "kind": header.kind}
        facts |= _latents(options.file, header) if isinstance(header, LatentsHeader) else _model(options.file, header)
    if options.json:
        common.print_json(facts)
    else:
        _print(facts)
    return 3 if facts.get("complete") is False else 0


def _header(name: str) -> LatentsHeader | ModelHeader:
    parser = Parser()
    with common.input_file(name) as file:
        while data := file.read(_READ_BYTES):
            for event in parser.feed(data):
                if isinstance(event, HeaderRead):
                    return event.header
    parser.close()
    raise AssertionError("a file without a header does not close")


def _latents(name: str, header: LatentsHeader) -> dict[str, Any]:
    from aeformat.reader import open_latents

    facts: dict[str, Any] = {
        "decoder": header.decoder.hex(),
        "encoder": None if header.encoder is None else header.encoder.hex(),
        "dims": list(header.dims),
        "image": [*header.image, "u8"],
        "encoding": header.encoding,
        "values": header.values,
        "byte_order": header.encoding_spec.byte_order,
        "codec": header.codec,
        "filter": header.filter,
    }
    try:
        with open_latents(name) as latents:
            facts |= {
                "complete": True,
                "rows": latents.n_rows,
                "chunks": latents.trailer.n_chunks,
                "index": bool(latents.trailer.index_at),
                "content_id": latents.trailer.content_id.hex(),
                "embedded_decoder": latents.embedded_decoder is not None,
                "receipts": latents.has_receipts,
            }
    except Truncated as error:
        facts |= {"complete": False, "problem": str(error)}
    return facts


def _model(name: str, header: ModelHeader) -> dict[str, Any]:
    """From the header and the manifest; the tensors are not read."""
    from aeformat.container.limits import MANIFEST_BYTES
    from aeformat.container.raw import raw_payload
    from aeformat.model.manifest import Manifest, tensors_of
    from aeformat.reader import events

    facts: dict[str, Any] = {"model": header.model.hex(), "name": header.ext.get("name"), "codec": header.codec}
    with common.input_file(name) as file:
        seen = events(file)
        chunk = next(event for event in seen if isinstance(event, ChunkRead))  # MANF, or the parser raises
        if chunk.header.raw_bytes > MANIFEST_BYTES:
            raise LimitExceeded("M1-1", chunk.payload_at, f"a manifest of {chunk.header.raw_bytes} bytes")
        manifest = Manifest.parse(bytes(raw_payload(chunk, header)), chunk.payload_at)
        file.seek(-TRAILER_BYTES, os.SEEK_END)
        is_complete = file.read(len(TRAILER)) == TRAILER
    weights = {n for layer in manifest.layers for key, n in tensors_of(layer).items() if key in ("weights", "bias")}
    return facts | {
        "complete": is_complete,
        "role": manifest.role,
        "profile": manifest.profile,
        "input": f"{manifest.input.type} {list(manifest.input.shape)}",
        "output": f"{manifest.output.type} {list(manifest.output.shape)}",
        "decoder": None if manifest.decoder is None else manifest.decoder.hex(),
        "prior": None if manifest.prior is None else common.prior_text(manifest),
        "layers": len(manifest.layers),
        "parameters": sum(math.prod(manifest.tensors[n].shape) for n in weights),
    }


def _print(facts: dict[str, Any]) -> None:
    width = max(len(key) for key in facts)
    for key, value in facts.items():
        if value is not None:
            text = common.size(value) if key == "bytes" else f"{value:,}" if type(value) is int else str(value)
            print(f"{key.replace('_', ' '):{width}}  {text}")
    if facts.get("rows"):
        print(f"{'bytes an image':{width}}  {facts['bytes'] / facts['rows']:,.1f}")
