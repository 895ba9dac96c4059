"""Promise: spec/registry.json and the code assign the same names and numbers."""

from __future__ import annotations

import json

from aeformat import errors
from aeformat.cli.advice import exit_code
from aeformat.container import assigned as codes
from aeformat.container import described, field_types, header, limits, names
from aeformat.exchange import network_id, onnx_read, safetensors_read
from aeformat.model import layers, manifest, values
from aeformat.transport import problems

from .vectors import SPEC

ASSIGNED = json.loads((SPEC / "registry.json").read_text("utf-8"))


def assigned(name: str, key: str) -> list[str]:
    """The names of one list.  None is assigned twice."""
    found = [entry[key] for entry in ASSIGNED[name]]
    assert len(set(found)) == len(found), name
    return found


def test_magic_and_versions():
    newest = ASSIGNED["versions"][-1]

    assert bytes.fromhex(ASSIGNED["magic"]) == codes.MAGIC
    assert (newest["major"], newest["minor"]) == (codes.MAJOR, codes.MINOR)
    assert newest["format"] == f"{codes.MAJOR}.{codes.MINOR}"


def test_flags():
    since = {entry["bit"]: entry["since"] for entry in ASSIGNED["flags"]}

    assert {1 << bit: int(version.partition(".")[2]) for bit, version in since.items()} == codes.MINOR_OF_FLAG


def test_tags():
    assert {(e["tag"].encode(), e["kind"]) for e in ASSIGNED["tags"]} == set(codes.KIND_OF_TAG.items())
    assert {e["tag"].encode() for e in ASSIGNED["tags"] if not e["compressed"]} == codes.NEVER_COMPRESSED
    assert ASSIGNED["trailer"].encode() == codes.TRAILER


def test_encodings_and_value_types():
    assert {(e["encoding"], e["bytes"], e["byte_order"], *e["holds"]) for e in ASSIGNED["encodings"]} == {
        (e.name, e.n_bytes, e.byte_order, *e.holds) for e in codes.ENCODINGS.values()
    }
    assert {(e["type"], e["bytes"]) for e in ASSIGNED["value_types"]} == {
        (t.name, t.n_bytes) for t in codes.VALUE_TYPES.values()
    }


def test_names_in_headers():
    assert assigned("kinds", "kind") == list(codes.KINDS)
    assert assigned("codecs", "codec") == list(codes.CODECS)
    assert assigned("filters", "filter") == list(codes.FILTERS)
    assert assigned("image_types", "type") == list(codes.IMAGE_TYPES)
    for kind, required, optional in (
        ("latents", header._LATENTS_KEYS, header._LATENTS_OPTIONAL),
        ("model", header._MODEL_KEYS, header._MODEL_OPTIONAL),
    ):
        keys = [entry for entry in ASSIGNED["header_keys"] if kind in entry["kinds"]]
        assert {entry["key"] for entry in keys if entry["required"]} == required
        assert {entry["key"] for entry in keys if not entry["required"]} == optional
    assert set(assigned("name_keys", "key")) == names._CHECKS.keys()


def test_field_types():
    sizes = field_types.NUMBER_BYTES | {field_types.TEXT: 0, field_types.BYTES: 0}
    assert {e["type"]: e["bytes"] for e in ASSIGNED["field_types"]} == sizes


def test_what_latents_are():
    assert set(assigned("described_keys", "key")) == described.DESCRIBED_KEYS
    assert {e["key"]: tuple(e["names"]) for e in ASSIGNED["described_keys"] if "names" in e} == described.ASSIGNED_NAMES


def test_types_of_foreign_networks():
    types = ASSIGNED["network_types"]

    assert {e["type"]: e["bytes"] for e in types} == network_id.TYPE_BYTES
    assert {e["safetensors"]: e["type"] for e in types} == safetensors_read.TYPES
    assert {e["onnx"]: e["type"] for e in types} == onnx_read._TYPES


def test_layers():
    assert {e["kind"]: (tuple(e["keys"]), tuple(e["profiles"])) for e in ASSIGNED["layers"]} == {
        name: (kind.keys, kind.profiles) for name, kind in layers.KINDS.items()
    }


def test_names_in_manifests():
    assert {(e["type"], e["bytes"]) for e in ASSIGNED["tensor_types"]} == set(values.ITEM_BYTES.items())
    assert assigned("endpoint_types", "type") == list(values.ENDPOINT_TYPES)
    assert assigned("roles", "role") == [manifest.ENCODER, manifest.DECODER]
    assert assigned("profiles", "profile") == list(layers.BOTH)


def test_limits():
    for entry in ASSIGNED["limits"]:
        assert getattr(limits, entry["limit"].upper()) == entry["value"], entry


def test_error_codes():
    """Every error class of aeformat.errors and of the transport has its code and exit code here, and no code is lost."""
    classes = [errors.AeformatError]
    for kind in classes:
        classes += [sub for sub in kind.__subclasses__() if sub.__module__ in (errors.__name__, problems.__name__)]

    assert {(e["code"], e["exit_code"]) for e in ASSIGNED["errors"]} == {(c.code, exit_code(c.code)) for c in classes}
    for entry in ASSIGNED["errors"]:
        kind = next(c for c in classes if c.code == entry["code"])
        speaks_of_a_rule = issubclass(kind, errors.FormatError) and kind is not errors.FormatError
        assert entry["broken_rule"] == (speaks_of_a_rule or kind is errors.GoldenMismatch), entry
