"""Promise: the benchmark of loaders measures the same rows for all, and its table says what was measured."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tools.bench_loaders.__main__ import options_of
from tools.bench_loaders.data import bits_of
from tools.bench_loaders.state import State, asked_of, steps
from tools.bench_loaders.table import size_table, table

ROOT = Path(__file__).resolve().parents[2]


def test_the_rows_are_drawn_smooth_and_no_copies():
    rows = np.concatenate(list(bits_of(600, 16)))
    values = (rows.astype(np.uint32) << 16).view(np.float32)

    assert rows.shape == (600, 4, 16, 16)
    np.testing.assert_array_equal(rows, np.concatenate(list(bits_of(600, 16))))
    assert len(np.unique(rows.reshape(600, -1), axis=0)) == 600
    beside = np.corrcoef(values[..., 1:].ravel(), values[..., :-1].ravel())[0, 1]
    assert 0.4 < beside < 0.9 and 0.5 < values.std() < 1.5
    spread = values.std(axis=(0, 2, 3))
    assert spread.max() / spread.min() > 1.1


def test_the_table_has_medians_of_the_rounds():
    def runs(*rates: float) -> list[dict[str, float]]:
        return [{"rows_a_second": rate} for rate in rates]

    results = {
        "machine": "a machine", "batch_size": 8, "workers": [0], "rounds": 3, "versions": {"b": "2", "a": "1"},
        "data": [{
            "rows": 1000, "size": 32, "left_out": {"other": "it is not here"},
            "contenders": {
                "aeformat": {"bytes": 1e6, "files": 1, "runs": {"cold 0": runs(10, 20, 30), "warm 0": runs(1, 2, 3)}},
                "npz a row": {"bytes": 2e6, "files": 9, "runs": {"cold 0": runs(5, 10, 10), "warm 0": runs(2, 4, 3)}},
            },
        }],
    }  # fmt: skip

    text = table(results)

    assert "| aeformat | 1.0 | 1 | 20 | 2 |" in text
    assert "| npz a row | 2.0 | 9 | 10 (2.00) | 3 (0.50) |" in text
    assert "Not measured: other: it is not here." in text and "a machine; a 1, b 2." in text


def test_a_contender_writes_and_loads_all_rows(torch_command, environment, tmp_path):
    """Ours and one that needs nothing but torch; the others are run where their libraries are."""
    code = "import sys; from tools.bench_loaders.child import main; main(sys.argv[1])"
    sizes = {}
    for name in ("aeformat", "npz a row"):
        folder = tmp_path / name
        folder.mkdir()
        given = {"name": name, "folder": str(folder), "rows": 300, "size": 16}
        load = {"do": "load", "cold": True, "batch_size": 32, "workers": 1, "seed": 0}
        for asked in ({**given, "do": "write"}, {**given, **load}):
            done = subprocess.run(
                [*torch_command, "-c", code, json.dumps(asked)],
                cwd=ROOT, env=environment, capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr[-2000:]
            found = json.loads(done.stdout.splitlines()[-1])
            if "bytes" in found:
                sizes[name] = found["bytes"]
        assert found["rows"] == 300
    assert sizes["aeformat"] < 0.8 * sizes["npz a row"]


def test_the_page_has_what_was_measured():
    """docs/loading.md has both tables of docs/loaders.json, and in size ours is the first."""
    results = json.loads((ROOT / "docs" / "loaders.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "loading.md").read_text(encoding="utf-8")

    assert size_table(results) in page and table(results) in page
    for data in results["data"]:
        sizes = {name: found["bytes"] for name, found in data["contenders"].items()}
        assert len(sizes) == 8 and min(sizes, key=sizes.__getitem__) == "aeformat"


def options(*more: str):
    """As of the command line, with two contenders."""
    return options_of(["--data", "8x16", "--only", "npz a row", "--workers", "0", "--rounds", "2", *more])


def test_a_benchmark_goes_on_where_it_stopped(tmp_path):
    """Each step is done once, whoever asks; more rounds come behind; other batches are another benchmark."""
    asked = options("--work", str(tmp_path))
    names = asked.only
    state = State(tmp_path, asked_of(asked, names), {"Python": "3"})
    todo = list(steps(asked, names))
    assert names == ["aeformat", "npz a row"]
    assert [step.column for step in todo] == ["", "", *(["warm 0"] * 2 + ["cold 0"] * 2) * 2]
    assert state.given(todo[0])["do"] == "write" and (tmp_path / "8x16" / "0").is_dir()
    for number, step in enumerate(todo[:-1]):
        found = {"rows_a_second": number} if step.column else {"bytes": 1, "files": 1, "versions": {"torch": "2"}}
        assert not state.has(step)
        state.note(step, found)

    again = State(tmp_path, asked_of(asked, names), {"Python": "other"})
    assert [step for step in todo if not again.has(step)] == todo[-1:]
    again.note(todo[-1], {"rows_a_second": 9})
    results = again.results(asked, {})
    assert results["versions"] == {"Python": "3", "torch": "2"}
    runs = results["data"][0]["contenders"]["npz a row"]["runs"]["cold 0"]
    assert [run["rows_a_second"] for run in runs] == [5, 9]
    more = options("--work", str(tmp_path), "--rounds", "3")
    assert [step.round for step in steps(more, names) if not again.has(step)] == [2] * 4
    with pytest.raises(SystemExit, match="other batches"):
        State(tmp_path, asked_of(options("--work", "x", "--batch-size", "2"), names), {})
