"""The golden set: what does not compute here what it computed elsewhere is not used (M6-2, section 5)."""

from __future__ import annotations

import re

import numpy as np
import pytest

from aeformat.errors import GoldenMismatch
from aeformat.model.golden import check_golden
from aeformat.model.package import ModelPackage
from model.networks import note_halves, random_exact
from model.plain import evaluate


class Says:
    """A network that gives the golden output after `change`."""

    def __init__(self, package: ModelPackage, change=lambda rows: rows) -> None:
        self._package, self._change = package, change

    def run(self, rows: np.ndarray) -> np.ndarray:
        np.testing.assert_array_equal(rows, self._package.golden_input)
        return self._change(self._package.golden_output.copy())


def off_by(amount: int, count: int):
    def change(rows: np.ndarray) -> np.ndarray:
        rows.flat[:count] = np.where(rows.flat[:count] > 128, rows.flat[:count] - amount, rows.flat[:count] + amount)
        return rows

    return change


def test_a_plain_evaluation_passes() -> None:
    package = random_exact(3)
    network = Says(package)
    network.run = lambda rows: evaluate(package, rows).astype(np.uint8)

    check_golden(package, network)


def test_one_wrong_bit_fails_an_exact_model() -> None:
    package = random_exact(3)
    check_golden(package, Says(package))

    with pytest.raises(GoldenMismatch, match=re.escape("(rule M6-2): 1 of")) as caught:
        check_golden(package, Says(package, off_by(1, 1)))

    assert package.model_id.hex()[:12] in str(caught.value)


PIXELS = 2 * 784  # of the note's decoder: 1 + 1,568 // 1,000 may be off by a level


@pytest.mark.parametrize(("change", "passes"), [(off_by(1, 2), True), (off_by(1, 3), False), (off_by(2, 1), False)])
def test_pixels_of_a_float32_model_have_a_tolerance(change, passes: bool) -> None:
    """M5-1: one grey level, on 1 + n / 1,000 pixels."""
    package = note_halves("float32")[1]
    if passes:
        check_golden(package, Says(package, change))
    else:
        with pytest.raises(GoldenMismatch):
            check_golden(package, Says(package, change))


@pytest.mark.parametrize(
    ("off", "passes"), [(2.0**-14 * 0.99, True), (2.0**-13, False), (np.nan, False), (np.inf, False)]
)
def test_float_latents_have_a_tolerance(off: float, passes: bool) -> None:
    """M5-2: 2^-14 of a value, or of 1 where that is more."""
    package = note_halves("float32")[0]
    network = Says(package, lambda rows: rows + np.float32(off))
    if passes:
        check_golden(package, network)
    else:
        with pytest.raises(GoldenMismatch):
            check_golden(package, network)


@pytest.mark.parametrize("change", [lambda rows: rows[:1], lambda rows: rows.astype(np.int16)])
def test_another_shape_or_type_fails(change) -> None:
    package = random_exact(3)
    with pytest.raises(GoldenMismatch, match="instead of"):
        check_golden(package, Says(package, change))
