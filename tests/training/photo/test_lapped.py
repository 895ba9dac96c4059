"""The lapped transform that the photograph models start from."""

import numpy as np
import pytest

from aeformat.training.photo import lapped


def test_functions_shifted_by_the_bands_are_orthonormal() -> None:
    basis = lapped.transform()
    assert np.allclose(basis.T @ basis, np.eye(16))
    assert np.allclose(basis[:16].T @ basis[16:], 0)


def test_it_packs_the_model_it_is_optimal_for() -> None:
    """Coding gain for an AR(1) source of 0.95; the block cosine transform of 16 bands has 9.46 dB."""
    distance = np.abs(np.subtract.outer(np.arange(32), np.arange(32)))
    variances = np.diag(lapped.transform().T @ 0.95**distance @ lapped.transform())
    assert 10 * np.log10(variances.mean() / np.exp(np.log(variances).mean())) == pytest.approx(9.77, abs=0.01)


def test_the_lowest_frequencies_come_first() -> None:
    assert lapped.frequencies(4) == ((0, 0), (0, 1), (1, 0), (1, 1))
    assert len(set(lapped.frequencies(256))) == 256
    assert np.allclose(lapped.basis_images(1)[0].sum(), 16 * lapped.transform()[:, 0].sum() ** 2 / 16)


def test_colours_are_orthonormal_and_the_first_is_grey() -> None:
    assert np.allclose(lapped.COLOURS @ lapped.COLOURS.T, np.eye(3))
    assert np.allclose(lapped.COLOURS[1:].sum(axis=1), 0)


def test_with_the_corrections_an_image_comes_back_up_to_its_borders() -> None:
    image = np.random.default_rng(1).normal(size=(48, 32))
    basis = lapped.basis_images(256)
    padded = np.pad(image, 8)
    blocks = np.array([[padded[y : y + 32, x : x + 32] for x in (0, 16)] for y in (0, 16, 32)])
    found = np.einsum("hwyx,nyx->hwn", blocks, basis)
    left, right, top, bottom = lapped.border_corrections(256)
    found[:, 0] += found[:, 0] @ left
    found[:, -1] += found[:, -1] @ right
    found[0] += found[0] @ top
    found[-1] += found[-1] @ bottom
    made = np.zeros_like(padded)
    for row in range(3):
        for column in range(2):
            made[16 * row : 16 * row + 32, 16 * column : 16 * column + 32] += np.tensordot(found[row, column], basis, 1)
    assert np.allclose(made[8:-8, 8:-8], image)
