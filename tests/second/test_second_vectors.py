"""The second decoder and the vectors of spec/vectors agree: on every number of a valid file, on the error of a bad one."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest

from tools.second.decoder import SpecError, read_container, read_model, run_model
from tools.second.model import work
from tools.second.work import file_work

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"


def cases(folder: str) -> list[Any]:
    """The files of a folder; one that fails if there are none, so that an empty checkout does not pass."""
    found = sorted((VECTORS / folder).glob("*.aef"))
    return [pytest.param(path, id=path.stem) for path in found] or [pytest.param(None, id="no-vectors")]


def load(path: Path | None) -> tuple[bytes, dict[str, Any]]:
    assert path is not None, f"no vectors under {VECTORS}"
    return path.read_bytes(), json.loads(path.with_suffix(".json").read_text("utf-8"))


def as_json(value: Any) -> Any:
    """The vectors write binary strings as {"hex": ...}."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, list):
        return [as_json(entry) for entry in value]
    return {key: as_json(entry) for key, entry in value.items()} if isinstance(value, dict) else value


def flat(fields: dict[str, list[Any]] | None) -> object:
    """Fields so that the JSON and the second decoder say them alike: all numbers of a column, one after the other."""
    if fields is None:
        return None
    return {
        name: [_plain(v) for row in column for v in (row if isinstance(row, list) else [row])]
        for name, column in fields.items()
    }


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"hex": struct.pack("<d", value).hex()}
    return value


@pytest.mark.parametrize("path", cases("container/valid"))
def test_valid_container(path):
    data, want = load(path)

    got = read_container(data)

    header = got["header"]
    assert [header.get(key) for key in ("kind", "dims", "image", "encoding", "codec")] == [
        want[key] for key in ("kind", "dims", "image", "encoding", "codec")
    ]
    assert header.get("filter", "none") == want["filter"]
    assert (header["decoder"].hex() if "decoder" in header else None) == want["decoder"]
    assert (header["encoder"].hex() if "encoder" in header else None) == want["encoder"]
    assert as_json(header.get("ext", {})) == want["ext"]
    assert as_json(header.get("described")) == want.get("described")
    assert as_json(header.get("foreign_decoder", b"")) == {"hex": want.get("foreign_decoder", "")}
    for key in ("values", "n_rows", "n_chunks", "content_id", "values_sha256"):
        assert got[key] == want[key], key
    assert bool(got["index_at"]) == want["has_index"]
    if "names" in want:
        assert as_json(got["names_of_rows"]) == want["names"]
    else:
        assert not any(got["names_of_rows"])
    receipts = (
        ["".join(digests) for digests in want["receipts"]] if "receipts" in want else [None] * len(got["names_of_rows"])
    )
    assert got["receipts_of_rows"] == receipts
    assert got["sizes_of_rows"] == want.get("sizes", [])
    assert [flat(fields) for fields in got["fields_of_rows"]] == [
        flat(fields) for fields in want.get("fields", [None] * len(got["fields_of_rows"]))
    ]
    assert "file_work" not in want or file_work(got) == want["file_work"]


@pytest.mark.parametrize("path", cases("model/valid"))
def test_valid_model(path):
    data, want = load(path)

    got = read_model(data)

    manifest = got["manifest"]
    for key in ("role", "profile", "input", "output"):
        assert manifest[key] == want[key], key
    assert (manifest["decoder"].hex() if "decoder" in manifest else None) == want["decoder"]
    assert (got["model_id"], got["n_chunks"], len(got["tensors"])) == (
        want["model_id"],
        want["n_chunks"],
        want["n_tensors"],
    )
    assert work(got["model"]) == want["work"]
    assert "file_work" not in want or file_work(got) == want["file_work"]

    sizes = want.get("sizes_in")
    rows = run_model(got, want["rows_in"], sizes, want["sizes_out"] if sizes and want["role"] == "decoder" else None)
    if manifest["profile"] == "exact" or manifest["output"]["type"] != "f32":
        assert rows == want["rows_out"]
    else:
        assert rows == [pytest.approx(row, rel=1e-12, abs=1e-12) for row in want["rows_out"]]
    for row in want["rows_refused"]:
        with pytest.raises(SpecError, match="M4-7"):
            run_model(got, [row])


@pytest.mark.parametrize("path", [*cases("container/invalid"), *cases("model/invalid")])
def test_invalid(path):
    data, want = load(path)

    with pytest.raises(SpecError) as caught:
        read_container(data)

    if want.get("only") == "validator":
        read_container(data, validator=False)
    error = caught.value
    assert (error.rule, error.at, error.code) == (want["rule"], want["at"], want["code"]), f"{error}; {want['why']}"
