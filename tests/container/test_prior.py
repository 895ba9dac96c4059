"""aeformat.container.prior: numbers that are no prior are refused by their rule (spec/model.md, M10-2 to M10-5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aeformat.container.prior import BadPrior, Prior

Array = np.ndarray[Any, Any]


def parts() -> dict[str, Array]:
    """The arrays of a prior of two classes and three tables, for three symbols and latents of the shape (2, 2)."""
    return {
        "classes": np.array([200, 56]),
        "tables": np.array([[100, 100, 56], [254, 1, 1], [1, 1, 254]]),
        "means": np.array([[[0, 1], [2, 0]], [[2, 2], [2, 2]]]),
        "picks": np.array([[[0, 1], [2, 0]], [[2, 2], [2, 2]]]),
    }


def prior(arrays: dict[str, Array]) -> Prior:
    return Prior(bits=8, lo=-1, hi=1, **arrays)


NUMBERS = {
    "class of no frequency": ("classes", 0, 0, "M10-3", "the frequencies of the classes"),
    "classes with another sum": ("classes", 1, 57, "M10-3", "the sum 256"),
    "table with a zero": ("tables", (1, slice(None)), [255, 1, 0], "M10-4", "table 1"),
    "table with another sum": ("tables", (2, 0), 2, "M10-4", "table 2"),
    "mean beyond the symbols": ("means", (0, 1, 0), 3, "M10-5", "a mean is 3, there are 3 symbols"),
    "table that is not there": ("picks", (1, 0, 1), 3, "M10-5", "table 3 is picked, there are 3"),
}


@pytest.mark.parametrize(("key", "place", "value", "rule", "what"), NUMBERS.values(), ids=NUMBERS)
def test_a_number_that_is_wrong_is_refused_by_its_rule(key, place, value, rule, what):
    """One number at a time, in a prior that is good otherwise."""
    arrays = parts()
    assert prior(arrays).n_tables == 3
    arrays[key][place] = value

    with pytest.raises(BadPrior) as caught:
        prior(arrays)

    assert caught.value.rule == rule
    assert what in caught.value.what


SHAPES = {
    "classes of two axes": ("classes", (1, 2)),
    "no class": ("classes", (0,)),
    "more classes than 4,096": ("classes", (4_097,)),
    "tables of one axis": ("tables", (3,)),
    "no table": ("tables", (0, 3)),
    "more tables than 256": ("tables", (257, 3)),
    "tables of other symbols": ("tables", (3, 4)),
    "means of other classes": ("means", (3, 2, 2)),
    "picks of other latents": ("picks", (2, 2, 1)),
}


@pytest.mark.parametrize(("key", "shape"), SHAPES.values(), ids=SHAPES)
def test_a_shape_that_is_wrong_is_refused_before_any_number(key, shape):
    """M10-2, with the key and the shape; nothing but zeros in it, which M10-3 to M10-5 would refuse otherwise."""
    with pytest.raises(BadPrior) as caught:
        prior({**parts(), key: np.zeros(shape, np.int32)})

    assert caught.value.rule == "M10-2"
    assert caught.value.what.startswith(f"{key} has the shape {list(shape)}, not ")
