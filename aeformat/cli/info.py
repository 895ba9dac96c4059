"""aeformat info: what a file says of itself.

Of an ordinary file it reads header and trailer only; what can be read once only, forward, it reads to its end.  It checks no
values; validate does.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, BinaryIO, cast

from aeformat.cli import common
from aeformat.cli.streams import shown
from aeformat.container.assigned import DECODER, RECEIPT, ROWS, TRAILER
from aeformat.container.described import Described
from aeformat.container.field_types import FieldTypes
from aeformat.container.header import LatentsHeader, ModelHeader
from aeformat.container.parser import ChunkRead, HeaderRead, Parser, TrailerRead
from aeformat.container.sizes import Run
from aeformat.container.wire import TRAILER_BYTES, Trailer
from aeformat.errors import LimitExceeded, Truncated

_READ_BYTES = 1 << 16
_MOST_NUMBERS = 16  # of a list that are printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `aeformat info`."""
    parser.add_argument("file", metavar="FILE", help="latents, a set or a model package; - for stdin")
    parser.add_argument("--json", action="store_true", help="as one JSON document")


def run(options: argparse.Namespace) -> int:
    """Print what the file says.  Returns 3 if it is incomplete."""
    with common.error_source(options.file):
        facts = _of_set(options.file) if common.is_set(options.file) else {}
        facts = facts or (_of_file(options.file) if common.is_ordinary(options.file) else _of_stream(options.file))
    if options.json:
        common.print_json(facts)
    else:
        _print(facts)
    return 3 if facts.get("complete") is False else 0


def _of_file(name: str) -> dict[str, Any]:
    """By random access."""
    header = _header(name)
    facts: dict[str, Any] = {"file": name, "bytes": os.stat(name).st_size, "kind": header.kind}  # noqa: PTH116 - see common.existing
    return facts | (_latents(name, header) if isinstance(header, LatentsHeader) else _model(name, header))


def _of_set(name: str) -> dict[str, Any]:
    """By its manifest."""
    from aeformat.sets.set_reader import LatentsSet

    with LatentsSet(name) as latents:
        manifest = latents.manifest
    facts: dict[str, Any] = {
        "file": latents.name,
        "bytes": sum(shard.bytes for shard in manifest.shards),
        "kind": "set",
    }
    facts |= {"generation": manifest.generation, "rows": manifest.n_rows} | _latents_header(manifest.header)
    facts |= _fields(manifest.field_types)
    return facts | {"shards": [{"name": s.name, "rows": s.rows, "sha256": s.digest.hex()} for s in manifest.shards]}


def _fields(types: FieldTypes) -> dict[str, Any]:
    return {"fields": {name: " ".join(map(str, (of.name, *of.sizes))) for name, of in types.items()}} if types else {}


def _of_stream(name: str) -> dict[str, Any]:
    """Read forward, once.  Raises FormatError for damage anywhere; a cut is a fact."""
    from aeformat.reader import events

    header: LatentsHeader | ModelHeader | None = None
    manifest: dict[str, Any] = {}
    trailer: Trailer | None = None
    tags: set[bytes] = set()
    runs: list[Run] = []
    problem = None
    with common.input_file(name) as file:
        counted = common.CountedInput(file)
        try:
            for event in events(cast("BinaryIO", counted)):
                if isinstance(event, HeaderRead):
                    header = event.header
                elif isinstance(event, TrailerRead):
                    trailer = event.trailer
                elif isinstance(event, ChunkRead):
                    if isinstance(header, ModelHeader) and not tags:
                        manifest = _manifest(event, header)
                    tags.add(event.header.tag)
                    if event.header.tag == ROWS and event.sizes is not None:
                        runs += event.sizes.runs()
        except Truncated as error:
            problem = error
    if header is None or (isinstance(header, ModelHeader) and not manifest):
        assert problem is not None  # else the parser has seen both
        raise problem
    facts: dict[str, Any] = {"file": name, "bytes": counted.n_bytes, "kind": header.kind}
    if isinstance(header, ModelHeader):
        return facts | _model_header(header) | {"complete": trailer is not None} | manifest
    if trailer is None:
        return facts | _latents_header(header) | {"complete": False, "problem": str(problem)}
    done = _complete(trailer, DECODER in tags, RECEIPT in tags)
    images = _images(runs, header) if header.form.has_free_image else {}
    return facts | _latents_header(header) | done | images


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

    facts = _latents_header(header)
    try:
        with open_latents(name) as latents:
            assert latents.trailer is not None  # it is complete
            done = _complete(latents.trailer, latents.embedded_decoder is not None, latents.has_receipts)
            done |= _fields(latents.field_types)
            return facts | done | (_images(latents.sizes().runs(), header) if header.form.has_free_image else {})
    except Truncated as error:
        return facts | {"complete": False, "problem": str(error)}


def _images(runs: Iterable[Run], header: LatentsHeader) -> dict[str, Any]:
    """What rows of their own size say of their images: how many pixels, and which has the fewest and the most."""
    sizes = [(run.n_rows, header.form.image_of(run.sizes)[:2]) for run in runs]
    by_pixels = sorted((size for _, size in sizes), key=lambda size: (size[0] * size[1], size))
    n_pixels = sum(n_rows * height * width for n_rows, (height, width) in sizes)
    return {"pixels": n_pixels, "smallest": list(by_pixels[0]), "largest": list(by_pixels[-1])}


def _latents_header(header: LatentsHeader) -> dict[str, Any]:
    return {
        "decoder": header.decoder.hex() or None,
        "foreign_decoder": header.foreign_decoder.hex() or None,
        "encoder": None if header.encoder is None else header.encoder.hex(),
        "dims": list(header.dims),
        "image": [*header.image, "u8"] if header.image else None,
        "encoding": header.encoding,
        "values": header.values,
        "byte_order": header.encoding_spec.byte_order,
        "codec": header.codec,
        "filter": header.filter,
        "described": None if header.described is None else _described(header.described),
    }


def _described(described: Described) -> dict[str, Any]:
    """What is said, in the order of Described; ids in hex."""
    said = described.to_map()
    plain = {field.name: getattr(described, field.name) for field in fields(described) if field.name in said}
    return {key: value.hex() if isinstance(value, bytes) else value for key, value in plain.items()}


def _complete(trailer: Trailer, has_decoder: bool, has_receipts: bool) -> dict[str, Any]:
    return {
        "complete": True,
        "rows": trailer.n_rows,
        "chunks": trailer.n_chunks,
        "index": bool(trailer.index_at),
        "content_id": trailer.content_id.hex(),
        "embedded_decoder": has_decoder,
        "receipts": has_receipts,
    }


def _model(name: str, header: ModelHeader) -> dict[str, Any]:
    """From the header and the manifest; the tensors are not read."""
    from aeformat.reader import events

    with common.input_file(name) as file:
        seen = events(file)
        chunk = next(event for event in seen if isinstance(event, ChunkRead))  # MANF, or the parser raises
        manifest = _manifest(chunk, header)
        file.seek(-TRAILER_BYTES, os.SEEK_END)
        is_complete = file.read(len(TRAILER)) == TRAILER
    return _model_header(header) | {"complete": is_complete} | manifest


def _model_header(header: ModelHeader) -> dict[str, Any]:
    return {"model": header.model.hex(), "name": header.ext.get("name"), "codec": header.codec}


def _manifest(chunk: ChunkRead, header: ModelHeader) -> dict[str, Any]:
    from aeformat.container.limits import MANIFEST_BYTES
    from aeformat.container.raw import raw_payload
    from aeformat.model.manifest import Manifest, tensors_of

    if chunk.header.raw_bytes > MANIFEST_BYTES:
        raise LimitExceeded("M1-1", chunk.payload_at, f"a manifest of {chunk.header.raw_bytes} bytes")
    manifest = Manifest.parse(bytes(raw_payload(chunk, header)), chunk.payload_at, minor=header.minor)
    weights = {n for layer in manifest.layers for key, n in tensors_of(layer).items() if key in ("weights", "bias")}
    return {
        "role": manifest.role,
        "profile": manifest.profile,
        "input": f"{manifest.input.type} {list(manifest.input.shape)}",
        "output": f"{manifest.output.type} {list(manifest.output.shape)}",
        "decoder": None if manifest.decoder is None else manifest.decoder.hex(),
        "prior": None if manifest.prior is None else common.prior_text(manifest),
        "layers": len(manifest.layers),
        "parameters": sum(math.prod(manifest.tensors[n].shape) for n in weights),
    }


def _in_short(value: Any) -> str:
    """A list of numbers may have thousands."""
    if not isinstance(value, list | tuple) or len(value) <= _MOST_NUMBERS:
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"{', '.join(map(str, value[:_MOST_NUMBERS]))}, ... ({len(value):,} numbers)"


def _print(facts: dict[str, Any]) -> None:
    said = {f"described {key}": _in_short(value) for key, value in (facts.get("described") or {}).items()}
    facts = facts | {"described": None} | said
    width = max(len(key) for key in facts)
    for key, value in facts.items():
        if value is not None:
            if key in ("dims", "image"):
                value = ", ".join(str(size) if size else "free" for size in value)
            if key == "fields":
                value = ", ".join(f"{name} {of}" for name, of in value.items())
            if key == "shards":
                value = ", ".join(f"{s['name']} ({s['rows']:,} rows)" for s in value) or "none"
            if key in ("smallest", "largest"):
                value = f"{value[0]} x {value[1]} (height x width)"
            text = common.size(value) if key == "bytes" else f"{value:,}" if type(value) is int else shown(str(value))
            print(f"{key.replace('_', ' '):{width}}  {text}")
    if facts.get("rows"):
        print(f"{'bytes an image':{width}}  {facts['bytes'] / facts['rows']:,.1f}")
    if facts.get("pixels"):
        print(f"{'bits a pixel':{width}}  {8 * facts['bytes'] / facts['pixels']:.4g}")
