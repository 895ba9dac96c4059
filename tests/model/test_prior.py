"""The prior in a package: it travels, it is part of the model id, and the builder checks it as a reader does."""

from __future__ import annotations

import numpy as np
import pytest
from container.priors import decoder_of, random_prior

from aeformat.container.decoder_prior import read_decoder_prior
from aeformat.container.limits import Limits
from aeformat.container.prior import BadPrior, Prior
from aeformat.errors import LimitExceeded, ManifestInvalid
from aeformat.model.file_io import package_bytes, read_package
from aeformat.model.match import prior_of

ARRAYS = ("classes", "tables", "means", "picks")


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_prior_comes_back_as_it_was(codec: str) -> None:
    """From the package, and from the part of it that a reader of latents looks at."""
    prior = random_prior(1, dims=(2, 2))
    package = decoder_of(prior, lo=-6, hi=9, dims=(2, 2))
    data = package_bytes(package, codec=codec)

    for found in (read_package(data).prior, read_decoder_prior(data).prior, prior_of(package).prior):
        assert found is not None
        assert (found.bits, found.lo, found.hi, found.dims) == (12, -6, 9, (2, 2))
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(found, name), getattr(prior, name))
    assert read_decoder_prior(data)[:4] == prior_of(package)[:4]


def test_a_decoder_without_one_has_none() -> None:
    package = decoder_of(None, lo=-6, hi=9, dims=(3,))

    assert package.prior is None and read_decoder_prior(package_bytes(package)).prior is None


def test_a_reader_s_limit_holds_for_priors_too() -> None:
    """Nothing is taken for tensors that are too large together."""
    data = package_bytes(decoder_of(random_prior(1), lo=-6, hi=9, dims=(5,)))

    with pytest.raises(LimitExceeded) as caught:
        read_decoder_prior(data, limits=Limits(package_bytes=300))

    assert caught.value.rule == "M2-6"


def test_the_prior_is_part_of_the_model_id() -> None:
    """One frequency more here and one less there is another decoder."""
    prior = random_prior(1, dims=(3,))
    tables = prior.tables.copy()
    tables[0, [0, 1]] += (1, -1) if tables[0, 1] > 1 else (-1, 1)
    other = Prior(bits=12, lo=-6, hi=9, classes=prior.classes, tables=tables, means=prior.means, picks=prior.picks)

    assert len({decoder_of(p, lo=-6, hi=9, dims=(3,)).model_id for p in (None, prior, other)}) == 3


@pytest.mark.parametrize("lo, hi, dims", [(-6, 8, (5,)), (-6, 9, (4,)), (0, 15, (1, 5))])
def test_the_builder_refuses_a_prior_of_another_range_or_shape(lo: int, hi: int, dims: tuple[int, ...]) -> None:
    """By the rule that a reader would refuse the package by."""
    with pytest.raises(ManifestInvalid) as caught:
        decoder_of(random_prior(1), lo=lo, hi=hi, dims=dims)

    assert caught.value.rule == "M10-2"


@pytest.mark.parametrize(
    "rule, changes",
    [
        ("M10-2", {"classes": np.zeros((0,), np.int32)}),
        ("M10-2", {"tables": np.full((1, 15), 1, np.int32)}),
        ("M10-3", {"classes": np.array([4095, 2])}),
        ("M10-3", {"classes": np.array([4096, 0])}),
        ("M10-4", {"tables": np.full((1, 16), 257, np.int32)}),
        ("M10-5", {"means": np.full((2, 1), 16, np.uint8)}),
        ("M10-5", {"picks": np.full((2, 1), 1, np.uint8)}),
    ],
)
def test_arrays_that_are_no_prior_are_refused(rule: str, changes: dict[str, np.ndarray]) -> None:
    """By BadPrior, which names the rule."""
    good = {
        "classes": np.array([4095, 1]), "tables": np.full((1, 16), 256),
        "means": np.zeros((2, 1), np.uint8), "picks": np.zeros((2, 1), np.uint8),
    }  # fmt: skip
    Prior(bits=12, lo=0, hi=15, **good)

    with pytest.raises(BadPrior) as caught:
        Prior(bits=12, lo=0, hi=15, **(good | changes))

    assert caught.value.rule == rule
