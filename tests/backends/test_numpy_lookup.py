"""Every path through the NumPy lookup gives the spec's index, at the ends of what the bounds allow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeformat.backends.numpy_layers import Scratch
from aeformat.backends.numpy_lookup import Sums, lookup
from aeformat.model.package import Step
from aeformat.model.values import Interval, Value


def steps(bound: int, bias: int, multiplier: int, shift: int, n: int) -> tuple[Step, Step]:
    """A lookup and the layer whose sums it takes, as far as the lookup looks."""
    table = (np.arange(n) % 251).astype(np.uint8)
    arrays = {"multiplier": np.array([multiplier], np.int32), "table": table}
    sums = Step(
        "dense", (0,), {}, {"bias": np.array([bias])}, (1,), Value((1,), "acc"), Interval(-bound, bound), (bound,)
    )
    return Step("lookup", (1,), {"shift": shift}, arrays, (1,), Value((1,), "u8"), Interval(0, 250), None), sums


def taken(sums: Step, dtype: type) -> Sums:
    """What a lookup takes of the layer before it, in that type and still without the bias."""
    assert sums.bounds is not None
    return Sums(np.dtype(dtype), tuple(int(b) for b in sums.arrays["bias"]), sums.bounds)


def expected(a: int, multiplier: int, shift: int, table: np.ndarray) -> int:
    h = 2 ** (shift - 1) if shift else 0
    n = len(table)
    return int(table[min(max((a * multiplier + h) // 2**shift + n // 2, 0), n - 1)])


def check(bound: int, bias: int, multiplier: int, shift: int, n: int, dtype: type) -> None:
    """At both ends, around zero, and around the sums where the index steps."""
    step, sums = steps(bound, bias, multiplier, shift, n)
    near = {0, bound - abs(bias), -(bound - abs(bias)), *range(-3 - bias, 4 - bias)}
    for index in (-n // 2, -1, 0, 1, n // 2):
        edge = (index * 2**shift - (2 ** (shift - 1) if shift else 0)) // multiplier
        near |= {edge - bias + d for d in (-1, 0, 1, 2)}
    products = sorted(p for p in near if abs(p) + abs(bias) <= bound)
    op = lookup(step, taken(sums, dtype), np.uint8)

    found = op(np.array(products, dtype).reshape(-1, 1), Scratch(), (0, 0, 0, 0))

    table = step.arrays["table"]
    assert found.ravel().tolist() == [expected(p + bias, multiplier, shift, table) for p in products]


CASES = {
    "float32, power of two": (2**23, 1000, 2**6, 19, 512, np.float32),
    "float32, small": (30_000, -77, 11, 8, 256, np.float32),
    "float64 from float32 sums": (2**24 - 1, 2**22, 12_345, 26, 4096, np.float32),
    "float64": (2**31 - 1, -(2**30), 2**21, 40, 65_536, np.float64),
    "the largest product": (2**29 - 1, 3, 2**24, 0, 256, np.float64),
    "an offset beyond 2^53": (2**29 - 2**16, 3, 2**24 - 1, 40, 65_536, np.float64),
    "an index beyond 2^31": (2**30, 2**29, 2**22, 0, 2, np.float64),
    "shift 0": (255, 0, 1, 0, 256, np.float32),
    "a table of two": (1, 1, 1, 0, 2, np.float32),
    "sums that are all zero": (0, 0, 2**24, 40, 2, np.float32),
}


@pytest.mark.parametrize("name", CASES)
def test_each_path_gives_the_index_of_the_spec(name: str) -> None:
    check(*CASES[name])


@settings(max_examples=400)
@given(st.data())
def test_random_numbers_give_the_index_of_the_spec(data: st.DataObject) -> None:
    """Anything that M4-1 to M4-4 let through."""
    shift = data.draw(st.integers(0, 40))
    h = 2 ** (shift - 1) if shift else 0
    multiplier = data.draw(st.one_of(st.integers(1, 2**24), st.integers(0, 24).map(lambda k: 2**k)))
    bound = data.draw(st.integers(0, min(2**31 - 1, (2**53 - 1 - h) // multiplier)))
    bias = data.draw(st.integers(-bound, bound))
    n = 2 * data.draw(st.integers(1, 32_768))
    dtype = np.float32 if bound < 2**24 and data.draw(st.booleans()) else np.float64

    check(bound, bias, multiplier, shift, n, dtype)


def test_a_sum_one_unit_below_a_step_stays_below_it() -> None:
    """With shift 40 and a table of 65,536, float64 cannot hold the index and its fraction together: floor comes first."""
    shift, n = 40, 65_536
    for multiplier in range(2**24 - 1, 0, -2):
        a = (-1 - 2 ** (shift - 1)) * pow(multiplier, -1, 2**shift) % 2**shift
        a -= 2**shift if a >= 2 ** (shift - 1) else 0
        if 2**27 < abs(a) < 2**28:
            break
    assert (a * multiplier + 2 ** (shift - 1)) % 2**shift == 2**shift - 1
    step, sums = steps(2**28, 0, multiplier, shift, n)

    found = lookup(step, taken(sums, np.float64), np.uint8)(np.array([[a], [a + 1]], float), Scratch(), (0, 0, 0, 0))

    assert found.ravel().tolist() == [expected(b, multiplier, shift, step.arrays["table"]) for b in (a, a + 1)]


def test_channels_keep_their_own_multiplier_and_bias() -> None:
    """Tiles end between rows, whatever the number of channels."""
    rng = np.random.default_rng(0)
    for channels in (1, 3, 784, 40_000):
        bias, multiplier = rng.integers(-500, 500, channels), rng.integers(1, 90, channels)
        table = np.arange(256, dtype=np.uint8)
        sums = Step(
            "dense",
            (0,),
            {},
            {"bias": bias},
            (1,),
            Value((channels,), "acc"),
            Interval(-9999, 9999),
            (9999,) * channels,
        )
        arrays = {"multiplier": multiplier.astype(np.int32), "table": table}
        step = Step("lookup", (1,), {"shift": 9}, arrays, (1,), Value((channels,), "u8"), Interval(0, 255), None)
        products = rng.integers(-9499, 9499, (50, channels))

        found = lookup(step, taken(sums, np.float32), np.uint8)(products.astype(np.float32), Scratch(), (0, 0, 0, 0))

        index = ((products + bias) * multiplier + 256 >> 9) + 128
        np.testing.assert_array_equal(found, table[np.clip(index, 0, 255)])
