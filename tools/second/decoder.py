"""The second decoder: `read_container`, `read_model`, `run_model`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .container import Chunk, Decode, Decoder, File, read_latents, read_preamble
from .errors import SpecError
from .evaluate import check_golden, layer_of, run_rows
from .free import check_row
from .model import Model, read_package
from .sizes import Entry
from .values import Number

__all__ = ["SpecError", "read_container", "read_model", "run_model"]


def read_container(data: bytes, *, validator: bool = True) -> dict[str, Any]:
    """All that a file holds: latents with their header and names, or a model (`read_model`).  Raises SpecError.

    validator: look into an embedded decoder too (C7-4, C3-14), as every reader does with codec rans.
    """
    file = read_preamble(data)
    if file.header["kind"] == "model":
        return _model(file)
    return read_latents(file, _check_decoder if validator or file.header["codec"] == "rans" else None)


def read_model(data: bytes) -> dict[str, Any]:
    """A model package: manifest, tensors (shape, type, flat values), model_id.  Raises SpecError."""
    return _model(read_preamble(data))


def run_model(
    model: dict[str, Any],
    rows: list[list[Number]],
    sizes: list[list[int]] | None = None,
    images: list[list[int]] | None = None,
) -> list[list[Number]]:
    """Rows, flat in C order, through a network that `read_model` gave.  Raises SpecError (M4-7, M3-12).

    sizes, images: with free sizes, height and width of each row, and of what a decoder makes of it.
    """
    return run_rows(model["model"], rows, sizes, images)


def _model(file: File) -> dict[str, Any]:
    model = _package(file)
    return {
        "header": file.header,
        "kind": "model",
        "minor": file.minor,
        "manifest": model.manifest,
        "model": model,
        "model_id": model.model_id.hex(),
        "content_id": model.model_id.hex(),
        "n_chunks": file.n_chunks,
        "chunks": file.chunks,
        "n_rows": 0,
        "tensors": [{"shape": t.shape, "type": t.type, "values": t.values} for t in model.tensors],
        "trailer_at": file.at,
    }


def _package(file: File) -> Model:
    model = read_package(file)
    check_golden(model)
    return model


def _check_decoder(outer: File, chunk: Chunk) -> Decoder:
    """C7-4 of an embedded decoder, and C3-14 and C3-16, which it puts at hand.  Bytes inside count from its own first."""
    inner = read_preamble(chunk.stored)
    if inner.header["kind"] != "model":
        raise SpecError("C7-4", chunk.payload_at, "not of kind model")
    model = _package(inner)
    if model.manifest["role"] != "decoder" or model.model_id != outer.header["decoder"]:
        raise SpecError("C7-4", chunk.payload_at, "not the decoder that the header names")
    # C3-14
    header, input_, output = outer.header, model.manifest["input"], model.manifest["output"]
    type_ = header.get("values", _own_type(header["encoding"]))
    floats = ("f64", "f32", "f16", "bf16")
    fits = type_ in floats if input_["type"] == "f32" else type_ == input_["type"]
    if header["dims"] != input_["shape"] or header["image"][:3] != output["shape"] or not fits:
        raise SpecError("C3-14", 24, "the latents are not what the decoder takes")
    # C3-16
    if header["codec"] == "rans" and model.prior is None:
        raise SpecError("C3-16", 24, "the decoder has no prior")
    if model.passes:
        model.passes.layer_of = layer_of
    return Decoder(_decode_by(model) if model.manifest["profile"] == "exact" else None, model.prior, _sizes_by(model))


def _decode_by(model: Model) -> Decode:
    def decode(row: list[Number], entry: Entry) -> list[Number]:
        if model.scale is None:
            return run_rows(model, [row])[0]
        return run_rows(model, [row], [entry.dims[:2]], [entry.image[:2]])[0]

    return decode


def _sizes_by(model: Model) -> Callable[[Entry], None]:
    def check(entry: Entry) -> None:
        if model.scale:
            latent, image = (entry.dims[0], entry.dims[1]), (entry.image[0], entry.image[1])
            check_row(model.scale, latent, image, (entry.dims[2], entry.image[2]), 0)

    return check


def _own_type(encoding: str) -> str:
    return encoding.removesuffix("le") if encoding != "text19" else "f64"
