"""Promise: the fields of a file are an Arrow table, or a pandas frame, of the same names, types and values."""

from __future__ import annotations

import importlib.util
import os
import sys

import numpy as np
import pytest

import aeformat
from aeformat.errors import UsageError

missing = [name for name in ("pyarrow", "pandas") if importlib.util.find_spec(name) is None]
if missing:
    reason = f'not installed: {", ".join(missing)}; pip install "aeformat[arrow]"'
    if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)

N_ROWS = 50
TYPES = {
    "text": str, "data": bytes, "flag": bool, "label": int, "score": float, "small": "uint8", "half": "float16",
    "crop": ("int32", (4,)), "grid": ("float32", (2, 3)), "mask": ("bool", (2,)),
}  # fmt: skip


@pytest.fixture
def latents(tmp_path):
    rows = range(N_ROWS)
    with aeformat.create(tmp_path / "a.aef", append=True, dims=2, encoding="u8", fields=TYPES) as file:
        for first in range(0, N_ROWS, 20):
            part = rows[first : first + 20]
            file.write(
                np.zeros((len(part), 2), np.uint8),
                text=[None if row % 3 == 0 else f"ü{row}" for row in part],
                data=[None if row % 4 == 0 else bytes([row]) for row in part],
                flag=[row % 2 == 0 for row in part], label=list(part), score=[row / 3 for row in part],
                small=list(part), half=np.array(part, np.float16), crop=[[row, 1, 2, 3] for row in part],
                grid=[np.full((2, 3), row) for row in part], mask=[[row % 2 == 0, True] for row in part],
            )  # fmt: skip
            file.flush()
    with aeformat.open(tmp_path / "a.aef") as opened:
        yield opened


@pytest.mark.parametrize("rows", [..., slice(15, 45), [49, 0, 21], []], ids=["all", "slice", "list", "none"])
def test_the_table_holds_what_the_fields_hold(latents, rows):
    import pyarrow

    table = latents.fields.to_arrow(rows)

    assert table.column_names == list(latents.fields)
    for name in latents.fields:
        wanted = latents.field(name, rows)
        found = table.column(name).to_pylist()
        assert found == (wanted if isinstance(wanted, list) else wanted.tolist()), name
    types = {name: table.schema.field(name).type for name in table.column_names}
    assert types["text"] == pyarrow.large_string() and types["data"] == pyarrow.large_binary()
    assert (types["flag"], types["label"], types["half"]) == (pyarrow.bool_(), pyarrow.int64(), pyarrow.float16())
    assert types["crop"] == pyarrow.list_(pyarrow.int32(), 4)
    assert types["grid"] == pyarrow.list_(pyarrow.list_(pyarrow.float32(), 3), 2)


def test_the_frame_holds_them_too(latents):
    frame = latents.fields.to_pandas(slice(0, 30))

    assert frame["label"].tolist() == list(range(30))
    assert frame["crop"][7].tolist() == [7, 1, 2, 3]
    assert frame["text"].isna().tolist() == [row % 3 == 0 for row in range(30)]


@pytest.mark.parametrize("name", ["pyarrow", "pandas"])
def test_what_is_missing_is_named(latents, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(UsageError, match=rf'{name} is not installed: pip install "aeformat\[arrow\]"'):
        latents.fields.to_pandas()
