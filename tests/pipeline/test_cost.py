"""What a model costs: bytes of weights in each type, rivals measured fairly, and when a decoder pays."""

from __future__ import annotations

import io

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.images import demo_digits
from aeformat.model.builder import PackageBuilder
from aeformat.model.file_io import package_bytes, read_package
from aeformat.model.manifest import Endpoint
from aeformat.model.store import shipped_file
from aeformat.pipeline import weights
from aeformat.pipeline.cost import N_MEASURED, TEXT_BASIS, bases, break_even, png_bytes, unfiltered_png
from aeformat.pipeline.evaluate import Fidelity

RNG = np.random.default_rng(11)
SHAPE = (4, 4, 1)  # of a latent
KERNEL = RNG.normal(0, 0.3, (3, 3, 6, 1)).astype(np.float32)  # conv2d_transpose: kh, kw, out, in
DENSE = RNG.normal(0, 0.3, (9 * 9 * 6, 64)).astype(np.float32)


def decoder(dtype):
    """A transposed convolution and a dense layer whose weights and biases have `dtype`: 4 x 4 latents to 8 x 8 images."""
    b = PackageBuilder(
        role="decoder", profile="float32", input=Endpoint(SHAPE, "f32"), output=Endpoint((8, 8, 1), "u8")
    )
    b.layer("conv2d_transpose", weights=b.tensor(KERNEL.astype(dtype)), bias=b.tensor(np.linspace(-1, 1, 6).astype(dtype)),
            strides=(2, 2), crop=(0, 0, 0, 0))  # fmt: skip
    b.layer("flatten")
    b.layer("dense", weights=b.tensor(DENSE.astype(dtype)), bias=b.tensor(np.linspace(-2, 2, 64).astype(dtype)))
    b.layer("sigmoid")
    b.layer("reshape", shape=(8, 8, 1))
    b.layer("to_u8")
    latents = RNG.normal(0, 1, (4, *SHAPE)).astype(np.float32)
    return b.build(
        golden_input=latents, golden_output=lambda draft: NumpyBackend().load(draft).run(latents), name="tiny"
    )


@pytest.mark.parametrize(
    ("decoder_bytes", "image", "latent", "wanted"),
    [
        (100, 10, 5, 20),
        (101, 10, 5, 21),
        (0, 10, 5, 0),
        (100, 5, 5, None),
        (100, 5, 6, None),
        (374_679, 784, 201.5, 644),
    ],
)
def test_a_decoder_pays_from_where_the_savings_exceed_it(decoder_bytes, image, latent, wanted):
    assert break_even(decoder_bytes, image, latent) == wanted


def costs_of(package):
    return {cost.type: cost for cost in weights.weight_costs(package, len(package_bytes(package)))}


def test_a_float_network_is_counted_in_every_type():
    """Numbers: 4, 2 and 1 byte a weight, with int8 a float32 scale a channel and float32 biases."""
    costs = costs_of(decoder(np.float32))
    n_weights, n_biases, n_channels = KERNEL.size + DENSE.size, 6 + 64, 6 + 64
    assert costs["float32"].numbers_bytes == 4 * (n_weights + n_biases)
    assert costs["float16"].numbers_bytes == 2 * (n_weights + n_biases)
    assert costs["int8"].numbers_bytes == n_weights + 4 * n_channels + 4 * n_biases
    assert costs["float32"].package_bytes == len(package_bytes(decoder(np.float32)))
    assert (
        costs["float32"].package_bytes > costs["float16"].package_bytes > costs["int8"].package_bytes > n_weights * 0.7
    )


def test_the_float16_size_is_that_of_a_float16_package():
    """Counted from the float32 package, and from one that is really built; hashes in the manifest compress by chance."""
    real = len(package_bytes(decoder(np.float16)))
    assert costs_of(decoder(np.float32))["float16"].package_bytes == pytest.approx(real, abs=16)
    assert costs_of(decoder(np.float16))["float16"].package_bytes == real


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_int8_keeps_every_weight_within_half_a_step(axis):
    """One scale a channel, its greatest weight at 127; a channel of zeros stays zero."""
    tensor = RNG.normal(0, 1, (5, 4, 3)).astype(np.float32)
    index = [slice(None)] * 3
    index[axis] = 1
    tensor[tuple(index)] = 0
    levels, scale = weights.to_int8(tensor, axis)
    others = tuple(i for i in range(3) if i != axis)
    assert scale.shape == tuple(n if i == axis else 1 for i, n in enumerate(tensor.shape))
    assert np.abs(levels * scale - tensor).max() <= scale.max() * 0.5001
    assert sorted(set(np.abs(levels.astype(int)).max(axis=others))) == [0, 127]


@pytest.mark.parametrize(("type", "most"), [("float32", 0), ("float16", 1), ("int8", 16)])
def test_rounded_networks_compute_nearly_the_same(type, most):
    """Grey levels, on latents like the golden ones.  The scale lies on the output channels of each kind of layer."""
    package = decoder(np.float32)
    latents = RNG.normal(0, 1, (50, *SHAPE)).astype(np.float32)
    exact, other = (NumpyBackend().load(p).run(latents).astype(int) for p in (package, weights.rounded(package, type)))
    assert np.abs(exact - other).max() <= most
    assert [weights.scaled_axis(package, number) for number in (0, 2)] == [2, 1]


def test_an_exact_network_is_int8_as_it_is():
    """Its package is the one that is there; floats are only counted."""
    package = read_package(shipped_file("mnist-exact", "decoder"))
    size = shipped_file("mnist-exact", "decoder").stat().st_size
    costs = {cost.type: cost for cost in weights.weight_costs(package, size)}
    assert weights.rounded(package, "int8") is package
    assert (costs["float32"].package_bytes, costs["float16"].package_bytes, costs["int8"].package_bytes) == (
        None,
        None,
        size,
    )
    assert costs["float32"].numbers_bytes == 4 * package.n_params
    assert package.n_params < costs["int8"].numbers_bytes < 1.2 * package.n_params


@pytest.mark.parametrize("channels", [1, 3])
def test_an_unfiltered_png_is_a_png(channels):
    """Any reader gives the pixels back, grey and colour."""
    image_module = pytest.importorskip("PIL.Image", reason='Pillow is not installed: pip install "aeformat[images]"')
    image = RNG.integers(0, 256, (5, 7, channels), np.uint8)
    decoded = np.asarray(image_module.open(io.BytesIO(unfiltered_png(image)))).reshape(image.shape)
    assert np.array_equal(decoded, image)


class Counter:
    """A progress that adds up."""

    total = 0

    def update(self, n_rows):
        self.total += n_rows


def test_every_rival_is_measured_and_tells_how_far_it_is():
    """On this project's own digits: all bases, each rival's progress complete, no rival larger than raw pixels."""
    images, counter = demo_digits()[:60], Counter()
    found = {basis.name: basis for basis in bases(images, Fidelity(60, 0.01), counter)}
    assert counter.total == N_MEASURED * len(images)
    assert found[TEXT_BASIS].n_bytes == 27 * 784
    assert found["raw pixels"].n_bytes == 784
    rivals = [basis.n_bytes for name, basis in found.items() if name not in (TEXT_BASIS, "raw pixels")]
    assert len(rivals) >= 3
    assert 0 < max(rivals) < 784
    assert found["PNG, one file each"].n_bytes == png_bytes(images) <= np.mean([len(unfiltered_png(i)) for i in images])
