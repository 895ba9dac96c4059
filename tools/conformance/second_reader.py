"""What the second decoder (tools/second) says of a vector: plain Python, laid out like the specification."""

from __future__ import annotations

import struct
from math import isfinite
from typing import Any

from tools.conformance.vectors import Vector, as_json
from tools.second.decoder import SpecError, read_container, read_model, run_model
from tools.second.model import work
from tools.second.work import file_work


def second_says(vector: Vector) -> dict[str, Any]:
    """By a validator; where only one sees the broken rule, by a reader too."""
    if vector.is_valid:
        return _package(vector) if vector.is_model else _latents(vector)
    said = {"validator": _error(vector)}
    return said | {"reader": _error(vector, validator=False)} if vector.want.get("only") == "validator" else said


def _error(vector: Vector, *, validator: bool = True) -> dict[str, Any] | None:
    try:
        read_container(vector.data, validator=validator)
    except SpecError as error:
        return {"rule": error.rule, "code": error.code, "at": error.at}
    return None


def _latents(vector: Vector) -> dict[str, Any]:
    got = read_container(vector.data)
    header = got["header"]
    hexes = {key: header[key].hex() if key in header else None for key in ("decoder", "encoder", "foreign_decoder")}
    return {
        **{key: header.get(key) for key in ("kind", "dims", "image", "encoding", "codec")}, **hexes,
        **{key: got[key] for key in ("values", "n_rows", "n_chunks", "content_id", "values_sha256")},
        "filter": header.get("filter", "none"), "ext": as_json(header.get("ext", {})),
        "described": as_json(header.get("described")), "has_index": bool(got["index_at"]), "names": _names(vector, got),
        "receipts": [_digests(text) for text in got["receipts_of_rows"]], "sizes": got["sizes_of_rows"],
        "fields": [fields and {name: [_value(value) for value in column] for name, column in fields.items()} for fields in got["fields_of_rows"]], "file_work": file_work(got),
    }  # fmt: skip


def _names(vector: Vector, got: dict[str, Any]) -> Any:
    if vector.name.startswith("history/"):
        return got["names"]
    return as_json(got["names_of_rows"])


def _digests(text: str | None) -> list[str] | None:
    return None if text is None else [text[i : i + 64] for i in range(0, len(text), 64)]


def _value(value: Any) -> Any:
    """One value of a field; a NaN or an infinity as the hex of its float64."""
    if isinstance(value, list):
        return [_value(item) for item in value]
    return (
        {"hex": struct.pack("<d", value).hex()} if isinstance(value, float) and not isfinite(value) else as_json(value)
    )


def _package(vector: Vector) -> dict[str, Any]:
    want, got = vector.want, read_model(vector.data)
    manifest, sizes = got["manifest"], want.get("sizes_in")
    images = want["sizes_out"] if sizes and want["role"] == "decoder" else None
    return {
        "kind": "model", **{key: manifest[key] for key in ("role", "profile", "input", "output")},
        "decoder": manifest["decoder"].hex() if "decoder" in manifest else None, "model_id": got["model_id"],
        "n_chunks": got["n_chunks"], "n_tensors": len(got["tensors"]), "work": work(got["model"]), "file_work": file_work(got),
        "rows_out": run_model(got, want.get("rows_in", []), sizes, images),
        "rows_refused": [row for row in want.get("rows_refused", []) if _is_refused(got, row)],
    }  # fmt: skip


def _is_refused(got: dict[str, Any], row: list[Any]) -> bool:
    try:
        run_model(got, [row])
    except SpecError as error:
        return error.rule == "M4-7"
    return False
