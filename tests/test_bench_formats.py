"""Promise: the benchmark of formats measures the same rows for all, and its tables say what was measured.  No test looks at a speed."""

from __future__ import annotations

import json
import platform

import numpy as np
import pytest

from tools.bench.__main__ import main
from tools.bench.data import DATA, names_of
from tools.bench.figures import best, bytes_a_row, median, ratio
from tools.bench.flips import N_FLIPS
from tools.bench.goals import goals
from tools.bench.limits import limits, limits_table
from tools.bench.rivals.all import RIVALS, missing
from tools.bench.rivals.rival import Place
from tools.bench.table import report

on_linux = pytest.mark.skipif(platform.system() != "Linux", reason="memory and flipped bits are measured on Linux")
ROWS = 40


def rows_of(dtype: str) -> np.ndarray:
    """(40, 2, 3): of uint16, the bits of bf16."""
    drawn = np.random.default_rng(0).random((ROWS, 2, 3), np.float32)
    if dtype == "uint16":
        return (drawn.view(np.uint32) >> 16).astype(np.uint16)
    return (drawn * 255).astype(np.uint8) if dtype == "uint8" else drawn.astype(dtype)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (name, dtype)
        for name, rival in RIVALS.items()
        for dtype in ("float64", "float16", "uint16", "uint8")
        if dtype in rival.types
    ],
)
def test_each_rival_gives_back_the_rows_and_their_names(tmp_path, name, dtype):
    """Whole, one by one, and in no order; those that are not installed are skipped."""
    rival = RIVALS[name]
    if absent := missing(rival):
        pytest.skip(f'not installed: {", ".join(absent)}; pip install "aeformat[bench]"')
    values = rows_of(dtype).reshape(ROWS, -1) if rival.is_text else rows_of(dtype)
    names = names_of(ROWS) if rival.names else None

    rival.write(tmp_path, values, names)
    place = Place(tmp_path, has_names=names is not None)
    found, found_names = rival.read(place)

    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)
    assert found_names == names
    if rival.open is None:
        return
    opened, picked = rival.open(place), np.array([30, 2, 39, 17, 0])
    np.testing.assert_array_equal(opened.row(31), values[31])
    np.testing.assert_array_equal(opened.rows(picked), values[picked])
    if names is not None:
        row, its_name = opened.named_row(31)
        np.testing.assert_array_equal(row, values[31])
        assert its_name == names[31] == opened.name(31)


def test_the_data_is_drawn_without_copies():
    made = {name: kind.make(60, "drawn") for name, kind in DATA.items() if name != "digits-f64-names"}

    assert {name: (values.shape[1:], values.dtype.name) for name, values in made.items()} == {
        "digits-f64": ((64,), "float64"), "digits-u8": ((64,), "uint8"),
        "fields-f16": ((4, 64, 64), "float16"), "fields-bf16": ((4, 64, 64), "uint16"),
    }  # fmt: skip
    for values in made.values():
        assert len(np.unique(values.reshape(60, -1), axis=0)) == 60
    born = made["digits-f64"]
    np.testing.assert_array_equal(born, born.astype(np.float32))
    assert born.min() >= 0 and born.max() <= 1
    assert len(set(names_of(300))) == 300


@on_linux
def test_the_command_measures_and_writes_everything(tmp_path):
    """Tiny rows, one round, what needs nothing but NumPy, and safetensors; ours refuses every flipped bit."""
    only = ["aef", "npy", "npz", "savetxt", "safetensors"]
    command = [
        "--data", "digits-f64", "--rows", str(ROWS), "--images", "drawn", "--rounds", "1", "--seconds", "0",
        "--only", *only, "--out", str(tmp_path / "out"), "--work", str(tmp_path),
    ]  # fmt: skip
    main(command)

    (data,) = json.loads((tmp_path / "out" / "formats.json").read_text())["data"].values()
    absent = {name for name in only if missing(RIVALS[name])}
    assert set(data["contenders"]) == set(only) - absent and set(data["left_out"]) == absent
    assert data["bytes"] == ROWS * 64 * 8
    for name, found in data["contenders"].items():
        assert sum(found["flips"].values()) == N_FLIPS
        assert set(found["runs"]) == ({"write", "read", "pick"} if RIVALS[name].open else {"write", "read"})
    assert data["contenders"]["aef"]["flips"]["refused"] == N_FLIPS
    assert data["contenders"]["npy"]["flips"]["wrong"] > N_FLIPS // 2
    assert bytes_a_row(data, "npy") == 512 + 128 / ROWS
    text = (tmp_path / "out" / "formats.md").read_text()
    assert "| npz |" in text and "| digits-f64 | one row, us: aef |" in text
    assert (tmp_path / "out" / "formats-digits-f64.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]

    page = tmp_path / "out.md"
    page.write_text("<!-- begin goals -->\n<!-- end goals -->\n")
    main(["--tables", "--out", str(tmp_path / "out"), "--work", str(tmp_path)])

    assert (tmp_path / "out" / "formats.md").read_text() == text
    assert "| digits-f64 | one row, us: aef |" in page.read_text()


@on_linux
def test_rounds_are_added_to_those_of_the_same_rows_only(tmp_path):
    command = [
        "--data", "digits-u8", "--images", "drawn", "--rounds", "1", "--seconds", "0",
        "--only", "aef", "--out", str(tmp_path / "out"), "--work", str(tmp_path), "--more", "--rows",
    ]  # fmt: skip
    main([*command, "8"])
    main([*command, "8"])

    (data,) = json.loads((tmp_path / "out" / "formats.json").read_text())["data"].values()
    assert data["rounds"] == 2 and len(data["contenders"]["aef"]["runs"]["pick"]) == 2
    with pytest.raises(SystemExit, match="digits-u8: the rounds so far have another"):
        main([*command, "9"])


def made_up() -> dict[str, object]:
    """Results of two rounds; 1 MB of rows."""

    def runs(write: list[float], row: list[float], size: int) -> dict[str, object]:
        pick = [{"open": 1e-4, "row": each, "batch": 100 * each} for each in row]
        return {
            "write": [{"seconds": each, "peak": 2_000_000, "bytes": size} for each in write],
            "read": [{"seconds": 0.1, "peak": None} for _ in write],
            "pick": pick,
        }

    flips = {"refused": 60, "wrong": 3, "harmless": 0, "crashed": 1}
    data = {
        "label": "rows", "rows": 1000, "dims": [4], "type": "float64", "bytes": 1_000_000, "images": "", "rounds": 3,
        "date": "2026-01-01", "machine": "a machine", "work": "tmpfs", "source": "tree 1", "versions": {"b": "2", "a": "1"},
        "left_out": {"zarr": "not installed: zarr"},
        "contenders": {
            "aef": {"runs": runs([0.1, 0.2, 0.4], [5e-5, 6e-5, 7e-5], 200_000), "flips": flips},
            "blosc2": {"runs": runs([0.1, 0.1, 0.1], [5e-5, 3e-5, 7e-5], 100_000), "flips": flips},
        },
    }  # fmt: skip
    return {"data": {"digits-f64": data}}


def test_figures_are_medians_of_the_rounds_and_ratios_within_rounds():
    data = made_up()["data"]["digits-f64"]

    assert (median(data, "aef", "write"), best(data, "aef", "write")) == (5, 10)
    assert (median(data, "aef", "row"), best(data, "aef", "row")) == pytest.approx((60, 50))
    assert ratio(data, "aef", "blosc2", "write") == 0.5
    assert ratio(data, "aef", "blosc2", "row") == 1
    assert median(data, "npy", "row") is None and ratio(data, "aef", "npy", "row") is None


def test_goals_are_reached_or_not_or_not_measured():
    found = {goal.what: goal.is_reached for goal in goals(made_up())}

    assert found["bytes a row, of blosc2's"] is False
    assert found["write, of blosc2's speed"] is False and found["read, of blosc2's speed"] is True
    assert found["one row, us: aef"] is True
    assert found["256 rows, in times of one row: aef"] is True
    assert found["one row, us: aef, stored"] is None


def test_the_tables_say_what_was_measured():
    text = report(made_up())

    assert (
        "| aef | 200.0 | 5.0, 10.0 | 10.0, 10.0 | 100, 100 | 60.0, 50.0 | 6,000, 5,000 | 2 / - | 60 refused, 3 wrong, 1 ends |"
        in text
    )
    assert "| blosc2 | 100.0 | 10.0, 10.0 (0.50) |" in text
    assert (
        "Not measured: zarr: not installed: zarr." in text
        and "a machine; work: tmpfs. a 1, b 2; aeformat/ of tree 1." in text
    )
    assert "| digits-f64 | bytes a row, of blosc2's | at most 1 | 2.00 | **not reached** |" in text


def test_the_limits_are_measured(tmp_path):
    found = limits(tmp_path, "drawn", large=1 << 16, rows=60, side=16)

    assert all(one["figure"] > 0 for one in found["figures"])
    names = " ".join(one["what"] for one in found["figures"])
    for part in (
        "memory: copy, all cores",
        "CRC-32, zlib",
        "SHA-256",
        "zstd 1: decompress",
        "GEMM",
        "file: read",
        "import numpy",
    ):
        assert part in names
    assert "| GEMM, float32, 1 thread |" in limits_table(found)
    assert list(tmp_path.iterdir()) == []
