"""Histogram and map of latents: they are what NumPy finds."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
from js.running import program

from .running import PAGE


def survey(rows: list[np.ndarray], dims: list[int]) -> dict:
    """What tools/page/src/survey.js says of rows."""
    script = (
        f"import {{ survey }} from {json.dumps((PAGE / 'src' / 'survey.js').as_uri())};"
        f"const all = {json.dumps([row.reshape(-1).tolist() for row in rows])};"
        f"const shapes = {json.dumps([list(row.shape) for row in rows])};"
        "const rows = async (i) => ({ values: Float64Array.from(all[i]), sizes: [{ dims: shapes[i] }], names: [String(i)] });"
        f"console.log(JSON.stringify(await survey({{ header: {{ dims: {json.dumps(dims)} }}, length: all.length, rows }})));"
    )
    done = subprocess.run(
        [program("node"), "--input-type=module", "-"], input=script, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def principal(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along the two directions of the largest variance, and the share of each."""
    centred = points - points.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    return (left * sizes)[:, :2], (sizes**2 / np.sum(sizes**2))[:2]


def check_map(found: dict, points: np.ndarray) -> None:
    at, share = principal(points)
    made = np.array(found["map"]["points"])
    made *= np.sign(np.sum(made * at, axis=0))  # a direction has no sign
    np.testing.assert_allclose(made, at, atol=1e-3 * np.abs(at).max())
    np.testing.assert_allclose(found["map"]["share"], share, rtol=1e-3)


def test_rows_of_one_shape():
    random = np.random.default_rng(11)
    points = np.round(random.normal(size=(300, 6)) * [30, 12, 3, 2, 1, 1]).astype(int)

    found = survey(list(points), [6])

    histogram = found["histogram"]
    values, counts = np.unique(points, return_counts=True)
    assert histogram["low"] == values[0] and histogram["high"] == values[-1] and sum(histogram["bins"]) == points.size
    edges = values[0] + histogram["step"] * np.arange(len(histogram["bins"]) + 1)
    assert histogram["bins"] == np.histogram(points, edges - 0.5)[0].tolist()
    assert histogram["zeros"] == counts[values == 0][0] and histogram["mean"] == pytest.approx(points.mean())
    check_map(found, points)
    assert found["rows"] == list(range(300))


def test_rows_of_their_own_size_by_the_mean_of_each_channel():
    random = np.random.default_rng(12)
    rows = [random.normal(size=(2 + i % 3, 1 + i % 4, 3)) + np.array([i, 0, i % 7]) for i in range(20)]

    found = survey(rows, [0, 0, 3])

    check_map(found, np.array([row.mean(axis=(0, 1)) for row in rows]))


def test_many_rows_are_sampled_over_the_whole_file():
    found = survey([np.array([i, 1.5]) for i in range(5000)], [2])

    assert len(found["rows"]) == 2000
    assert found["rows"][0] == 0 and found["rows"][-1] > 4990 and found["rows"] == sorted(set(found["rows"]))


def test_rows_that_are_all_alike():
    """No direction differs; nothing is divided by zero."""
    found = survey([np.array([2.0, 2.0])] * 4, [2])

    assert found["map"] == {"points": [[0, 0]] * 4, "share": [0, 0]}
    assert sum(found["histogram"]["bins"]) == 8
