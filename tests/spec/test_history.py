"""Promise: what any release wrote, this one reads, to the same values, names and identities."""

from __future__ import annotations

import hashlib
import io

import pytest

import aeformat
from aeformat.backends.golden_check import check
from aeformat.container.encodings import content_bytes
from aeformat.container.header import LatentsHeader
from aeformat.reader import open_latents
from aeformat.validator import validate

from .reading import read_forward
from .vectors import VECTORS, load

HISTORY = VECTORS / "history"
RELEASED = sorted(HISTORY.glob("*/*.aef"))


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_file_of_an_earlier_release_reads_to_its_json(path):
    """Read forward and validated; latents also by a reader that seeks, packages also run."""
    case = load(path)
    want = case.expected

    got = read_forward([case.data])

    assert validate(io.BytesIO(case.data), check_golden=check).problems == []
    if want["kind"] == "model":
        package = got.package
        assert [package.model_id.hex(), package.role, package.profile] == [
            want[key] for key in ("model_id", "role", "profile")
        ]
        return
    header = got.header
    assert isinstance(header, LatentsHeader)
    assert [list(header.dims), [*header.image, "u8"], header.encoding, header.codec, header.values] == [
        want[key] for key in ("dims", "image", "encoding", "codec", "values")
    ]
    assert (got.trailer.n_rows, got.trailer.content_id.hex()) == (want["n_rows"], want["content_id"])
    assert hashlib.sha256(got.values).hexdigest() == want["values_sha256"]
    names = None if got.names[0] is None else [name for block in got.names for name in block.names]
    assert names == want["names"]
    with open_latents(path) as latents:
        assert bytes(content_bytes(latents.rows(0, latents.n_rows), latents.header)) == got.values


def test_this_release_left_its_files():
    """A release that leaves nothing behind could not be told to have broken anything."""
    assert {path.parent.name for path in RELEASED} >= {aeformat.__version__}
