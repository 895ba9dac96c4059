"""What is exported computes the same elsewhere: in Keras, in onnxruntime, and imported again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from model.branches import random_branches
from model.networks import random_exact, random_float, random_rows

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.errors import UsageError
from aeformat.exchange.exact_import import make_exact
from aeformat.exchange.keras_import import Options, import_keras
from aeformat.exchange.keras_write import keras_bytes
from aeformat.exchange.onnx_write import onnx_bytes
from aeformat.exchange.safetensors_write import safetensors_bytes
from aeformat.exchange.samples import patterns
from aeformat.model.builder import PackageBuilder
from aeformat.model.manifest import Endpoint
from aeformat.model.package import ModelPackage
from exchange.needs import need
from exchange.nets import NETS

RANDOM = {
    "exact with branches": lambda seed: random_branches(seed, "exact"),
    "float32 with branches": lambda seed: random_branches(seed, "float32"),
    "exact": random_exact,
    "float32": random_float,
}


@pytest.fixture
def onnx_run():
    """(packages, rows) -> the outputs of onnxruntime."""
    need("onnx")
    need("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3

    def run(packages: list[ModelPackage], rows: np.ndarray) -> list[np.ndarray]:
        session = onnxruntime.InferenceSession(onnx_bytes(packages), options, providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: rows})

    return run


@pytest.fixture(scope="module")
def pairs(keras, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[ModelPackage, ModelPackage]]:
    """NETS as packages, in float32 and exact."""
    folder, found = tmp_path_factory.mktemp("nets"), {}
    for name, (build, bottleneck, pixels_in, pixels_out) in NETS.items():
        build(keras).save(folder / f"{name}.keras")
        options = Options(folder / f"{name}.keras", bottleneck, name, pixels_in=pixels_in, pixels_out=pixels_out)
        made = import_keras(options)
        found[name] = made.encoder, made.decoder
        found[f"{name} exact"] = make_exact(made.graphs, patterns(made.encoder.input.shape, 50), name)
    return found


@pytest.mark.parametrize("sort", RANDOM)
def test_onnxruntime_computes_what_the_package_does(onnx_run, sort: str) -> None:
    """Every kind of layer: exact packages bit for bit, wide sums included; float32 ones to a grey level."""
    for seed in range(25):
        package = RANDOM[sort](seed)
        rows = random_rows(package.input, 5, np.random.default_rng(seed))

        (found,) = onnx_run([package], rows)

        wanted = NumpyBackend().load(package).run(rows)
        assert found.dtype == wanted.dtype and found.shape == wanted.shape
        assert np.abs(found.astype(int) - wanted).max() <= (package.profile == "float32"), seed


@pytest.mark.parametrize("name", [*NETS, *(f"{name} exact" for name in NETS)])
def test_a_pair_in_onnx_gives_latents_and_image(onnx_run, pairs, name: str) -> None:
    encoder, decoder = pairs[name]
    images = patterns(encoder.input.shape, 30)
    latents = NumpyBackend().load(encoder).run(images)
    pixels = NumpyBackend().load(decoder).run(latents)

    found = onnx_run([encoder, decoder], images)

    if encoder.profile == "exact":
        np.testing.assert_array_equal(found[0], latents)
        np.testing.assert_array_equal(found[1], pixels)
    else:
        np.testing.assert_allclose(found[0], latents, rtol=2**-13, atol=2**-13)
        assert np.abs(found[1].astype(int) - pixels).max() <= 1


@pytest.mark.parametrize("name", NETS)
def test_what_is_exported_to_keras_and_imported_again_computes_the_same(pairs, tmp_path: Path, name: str) -> None:
    """The same latents but for float32's last bits, the same pixels but for a level here or there."""
    encoder, decoder = pairs[name]
    path = tmp_path / "back.keras"
    path.write_bytes(keras_bytes([encoder, decoder]))

    made = import_keras(Options(path, "latents", "back", pixels_in="raw", pixels_out="unit", image=encoder.input.shape))

    images = patterns(encoder.input.shape, 30)
    latents, again = (NumpyBackend().load(package).run(images) for package in (encoder, made.encoder))
    np.testing.assert_allclose(again, latents, rtol=1e-5, atol=1e-5)
    pixels, back = (NumpyBackend().load(package).run(latents) for package in (decoder, made.decoder))
    assert np.abs(back.astype(int) - pixels).max() <= 1


@pytest.mark.parametrize("half", [0, 1], ids=["encoder", "decoder"])
def test_one_half_in_keras_takes_and_gives_its_own_numbers(keras, pairs, tmp_path: Path, half: int) -> None:
    pair = pairs["skips"]
    images = patterns(pair[0].input.shape, 10)
    latents = NumpyBackend().load(pair[0]).run(images)
    (tmp_path / "half.keras").write_bytes(keras_bytes([pair[half]]))
    model = keras.models.load_model(tmp_path / "half.keras")

    made = np.asarray(model((images, latents)[half].astype(np.float32)))

    if half == 0:
        np.testing.assert_allclose(made, latents, rtol=1e-4, atol=1e-4)
    else:
        pixels = NumpyBackend().load(pair[1]).run(latents)
        assert np.abs(np.floor(255 * made + 0.5) - pixels).max() <= 1


def test_every_float_kind_goes_to_keras_or_says_why_not(keras, tmp_path: Path) -> None:
    """Random networks with branches: those that Keras can hold give the same pixels there."""
    n_held = 0
    for seed in range(12):
        package = random_branches(seed, "float32")
        rows = random_rows(package.input, 5, np.random.default_rng(seed))
        try:
            (tmp_path / "net.keras").write_bytes(keras_bytes([package]))
        except UsageError as error:
            assert "padding" in str(error)
            continue
        made = np.asarray(keras.models.load_model(tmp_path / "net.keras")(rows))
        pixels = NumpyBackend().load(package).run(rows)
        assert np.abs(np.floor(255 * made + 0.5).reshape(pixels.shape) - pixels).max() <= 1
        n_held += 1
    assert n_held >= 4


def test_exact_packages_are_refused_for_keras_with_a_way_out(pairs) -> None:
    with pytest.raises(UsageError, match=r"lookup tables.*\.onnx"):
        keras_bytes(list(pairs["dense exact"]))


@pytest.mark.parametrize("name", ["skips", "skips exact"])
def test_safetensors_hold_every_tensor_as_it_is(pairs, tmp_path: Path, name: str) -> None:
    need("safetensors")
    from safetensors import safe_open

    pair = pairs[name]
    (tmp_path / "pair.safetensors").write_bytes(safetensors_bytes(list(pair)))

    with safe_open(tmp_path / "pair.safetensors", "numpy") as file:
        about = file.metadata()
        for package in pair:
            layers = json.loads(about[f"{package.role}.network"])["layers"]
            assert [layer["kind"] for layer in layers] == [step.kind for step in package.plan]
            assert about[f"{package.role}.model"] == package.model_id.hex()
            for number, step in enumerate(package.plan):
                for key, array in step.arrays.items():
                    found = file.get_tensor(f"{package.role}.{number}.{step.kind}.{key}")
                    assert found.dtype == array.dtype
                    np.testing.assert_array_equal(found, array)


def test_a_convolution_too_wide_for_float32_in_two_parts_is_refused_for_onnx() -> None:
    """9,000 inputs of 255 times 8 in either nibble."""
    need("onnx")
    b = PackageBuilder(
        role="decoder", profile="exact", input=Endpoint((1, 1, 9000), "u8"), output=Endpoint((1, 1, 1), "u8")
    )
    weights, bias = np.full((1, 1, 9000, 1), 8, np.int8), np.zeros(1, np.int32)
    b.layer("conv2d", weights=b.tensor(weights), bias=b.tensor(bias), strides=(1, 1), padding=(0, 0, 0, 0))
    table = b.tensor(np.zeros(2, np.uint8))
    b.layer("lookup", multiplier=b.tensor(np.ones(1, np.int32)), shift=0, table=table)
    package = b.build(golden_input=np.zeros((1, 1, 1, 9000), np.uint8), golden_output=np.zeros((1, 1, 1, 1), np.uint8))

    with pytest.raises(UsageError, match="no exact ONNX form"):
        onnx_bytes([package])
