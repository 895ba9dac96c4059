"""What our package says of a vector, and its reader as one file (tools/bundle_reader.py)."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import aeformat.reader
from aeformat.backends.base import array_type
from aeformat.backends.golden_check import check
from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.backends.numpy_passes import prior_of
from aeformat.container.encodings import content_bytes
from aeformat.container.parser import TrailerRead
from aeformat.errors import FormatError, ValueInvalid
from aeformat.model.file_io import read_package
from aeformat.model.package import ModelPackage
from aeformat.pipeline.checking import Decoders
from aeformat.validator import validate
from tools.conformance.vectors import ROOT, LeftOut, Say, Vector, as_json

SILENT_BUNDLE = ("n_chunks", "has_index", "file_work")  # the reader that others embed does not tell them
SILENT = ("file_work",)


def package_says(vector: Vector) -> dict[str, Any]:
    """Of a vector, by aeformat itself: forward reader, validator, and NumPy where something is computed."""
    if not vector.is_valid:
        return {"reader": _error(partial(_read_forward, vector)), "validator": _first_problem(vector)}
    if _first_problem(vector) is not None:
        return {"problem": _first_problem(vector)}
    return _package(vector) if vector.is_model else _latents(aeformat.reader, vector)


def bundle_says(path: Path) -> Say:
    """By the reader as one file, written to that path."""
    subprocess.run([sys.executable, ROOT / "tools" / "bundle_reader.py", path], check=True, stdout=subprocess.DEVNULL)
    spec = importlib.util.spec_from_file_location("aeformat_reader", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return partial(_reader_says, module)


def _reader_says(reader: ModuleType, vector: Vector) -> dict[str, Any]:
    if vector.is_model or vector.want.get("rule", "").startswith("M"):
        raise LeftOut("model packages")
    if "only" in vector.want:
        raise LeftOut("for validators alone")
    try:
        if vector.is_valid:
            return _latents(reader, vector)
        list(
            reader.events(io.BytesIO(vector.data))
            if _is_model(vector)
            else reader.stream_latents(io.BytesIO(vector.data))
        )
    except reader.DecoderMissing as error:
        raise LeftOut("passes, which a network computes") from error
    except reader.FormatError as error:
        return {"reader": _plain(error)}
    return {"reader": None}


def _is_model(vector: Vector) -> bool:
    data = vector.data
    return b"\xa4kind\xa5model" in data[: 24 + int.from_bytes(data[12:16], "little")]


def _plain(error: Any) -> dict[str, Any]:
    found = {"rule": error.rule, "code": error.code, "at": error.at}
    return found | {"inside": error.inside} if hasattr(error, "inside") else found


def _error(read: Any) -> dict[str, Any] | None:
    try:
        read()
    except FormatError as error:
        return _plain(error)
    return None


def _first_problem(vector: Vector) -> dict[str, Any] | None:
    decoders = Decoders()
    report = validate(
        io.BytesIO(vector.data), find_receipt_check=decoders.receipt_check, check_golden=check, prior_of=prior_of
    )
    return _plain(report.problems[0]) if report.problems else None


def _read_forward(vector: Vector) -> None:
    if _is_model(vector):
        read_package(vector.data)
    else:
        list(_with_prior(aeformat.reader.stream_latents(io.BytesIO(vector.data))))


def _with_prior(stream: Any) -> Any:
    """Rows with passes take a network, which the reader alone does not have."""
    if stream.needs_prior and stream.embedded_decoder is not None:
        stream.give_prior(prior_of(read_package(stream.embedded_decoder)))
    return stream


def _latents(reader: ModuleType, vector: Vector) -> dict[str, Any]:
    stream = reader.stream_latents(io.BytesIO(vector.data))
    blocks = list(_with_prior(stream) if reader is aeformat.reader else stream)
    header, trailer = stream.header, stream.trailer
    values = b"".join(bytes(content_bytes(_flat(block.values), header)) for block in blocks)
    return {
        "kind": "latents", "dims": list(header.dims), "image": [*header.image, "u8"] if header.image else None,
        "encoding": header.encoding, "codec": header.codec, "filter": header.filter, "values": header.values,
        "decoder": header.decoder.hex() or None, "foreign_decoder": header.foreign_decoder.hex() or None,
        "encoder": None if header.encoder is None else header.encoder.hex(), "ext": as_json(header.ext),
        "described": None if header.described is None else as_json(header.described.to_map()),
        "n_rows": trailer.n_rows, "n_chunks": trailer.n_chunks, "has_index": bool(trailer.index_at),
        "content_id": trailer.content_id.hex(), "values_sha256": hashlib.sha256(values).hexdigest(), "values_hex": values.hex(),
        "names": _names(blocks, is_history=vector.name.startswith("history/")),
        "receipts": [_digests(block.receipts) for block in blocks], "sizes": [_sizes(block.values) for block in blocks],
        "fields": [_fields(block.fields) for block in blocks],
    }  # fmt: skip


def _is_ragged(values: Any) -> bool:
    return not isinstance(values, np.ndarray)


def _flat(values: Any) -> Any:
    return values.flat if _is_ragged(values) else values


def _sizes(values: Any) -> list[list[int]] | None:
    return [[run.n_rows, *run.sizes] for run in values.sizes.runs()] if _is_ragged(values) else None


def _names(blocks: list[Any], *, is_history: bool) -> list[Any] | None:
    if is_history:
        return [name for block in blocks if block.names for name in block.names.names]
    return [None if block.names is None else _columns(block.names) for block in blocks]


def _columns(names: Any) -> dict[str, Any]:
    found = {key: getattr(names, key) for key in ("labels", "names", "sources")}
    return {key: as_json(column) for key, column in found.items() if column is not None}


def _digests(receipts: Any) -> list[str] | None:
    return (
        None if receipts is None else [receipts.digests[i : i + 32].hex() for i in range(0, len(receipts.digests), 32)]
    )


def _fields(fields: Any) -> dict[str, Any] | None:
    return None if fields is None else {name: [_value(value) for value in fields[name]] for name in fields.types}


def _value(value: Any) -> Any:
    """One value, as the vectors write it."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, np.ndarray):
        return [_value(item) for item in value.reshape(-1)]
    if isinstance(value, np.floating) and not np.isfinite(value):
        return {"hex": np.array(value, "<f8").tobytes().hex()}
    return value.item() if isinstance(value, np.generic) else value


def _package(vector: Vector) -> dict[str, Any]:
    package = read_package(vector.data)
    manifest, want = package.manifest, vector.want
    network = NumpyBackend().load(package)

    def run(row: list[Any], i: int) -> list[Any]:
        rows = np.array(row, array_type(package.input)).reshape(_shape(package, want, i))
        if package.role == "encoder" or "sizes_out" not in want:
            return list(network.run(rows).reshape(-1).tolist())
        return list(network.run(rows, tuple(want["sizes_out"][i])).reshape(-1).tolist())

    return {
        "kind": "model", "model_id": package.model_id.hex(), "role": package.role, "profile": package.profile,
        "decoder": None if manifest.decoder is None else manifest.decoder.hex(), "input": package.input.to_map(),
        "output": package.output.to_map(), "n_tensors": len(package.tensors), "n_chunks": _trailer(vector).n_chunks,
        "work": manifest.n_multiply_adds + manifest.n_made, "rows_out": [run(row, i) for i, row in enumerate(want.get("rows_in", []))],
        "rows_refused": [row for row in want.get("rows_refused", []) if _is_refused(run, row)],
    }  # fmt: skip


def _shape(package: ModelPackage, want: dict[str, Any], i: int) -> tuple[int, ...]:
    sizes = want["sizes_in"][i] if "sizes_in" in want else package.input.shape[:-1]
    return (1, *sizes, package.input.shape[-1])


def _trailer(vector: Vector) -> Any:
    *_, end = aeformat.reader.events(io.BytesIO(vector.data))
    assert isinstance(end, TrailerRead)
    return end.trailer


def _is_refused(run: Any, row: list[Any]) -> bool:
    try:
        run(row, 0)
    except ValueInvalid as error:
        return error.rule == "M4-7"
    return False
