"""An ONNX file becomes two packages that compute what onnxruntime computes from the file itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aeformat.backends.golden_check import check
from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.exchange.exact_import import loss, make_exact
from aeformat.exchange.imports import Imported, Options
from aeformat.exchange.onnx_import import import_onnx
from aeformat.exchange.pixels import numbers_of, pixels_of
from aeformat.exchange.samples import patterns
from aeformat.model.file_io import package_bytes, read_package
from exchange.needs import need, needed

needed("onnx")
from exchange import onnx_nets as nets  # noqa: E402  it needs onnx


@pytest.fixture
def onnxruntime():
    """The module."""
    need("onnxruntime")
    import onnxruntime

    return onnxruntime


def by_itself(onnxruntime, path: Path, rows: np.ndarray, *names: str) -> list[np.ndarray]:
    """What onnxruntime makes of the file, as it is, one row at a time."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    key = session.get_inputs()[0].name
    made = [session.run(list(names), {key: rows[i : i + 1]}) for i in range(len(rows))]
    return [np.concatenate(parts) for parts in zip(*made, strict=True)]


def through(made: Imported, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latents and pixels of both packages, read back from their bytes."""
    encoder, decoder = (read_package(package_bytes(package)) for package in (made.encoder, made.decoder))
    latents = NumpyBackend().load(encoder).run(images)
    return latents, NumpyBackend().load(decoder).run(latents)


def assert_same(onnxruntime, path: Path, made: Imported, images: np.ndarray, latents_axes=(0, 2, 3, 1)) -> None:
    """Latents to float32's last bits, pixels to a level here or there; and it is no blank image that both give."""
    rows = numbers_of(images, "unit").transpose(0, 3, 1, 2)
    wanted_latents, wanted = by_itself(onnxruntime, path, rows, "z", "y")
    latents, pixels = through(made, images)
    if latents.ndim == wanted_latents.ndim:
        wanted_latents = wanted_latents.transpose(latents_axes) if latents.ndim == 4 else wanted_latents
    np.testing.assert_allclose(latents, wanted_latents.reshape(latents.shape), rtol=1e-4, atol=1e-5)
    apart = np.abs(pixels.astype(int) - pixels_of(wanted, "unit").transpose(0, 2, 3, 1))
    assert apart.max() <= 1 and (apart > 0).mean() < 1e-2
    assert np.ptp(pixels) > 10


PARTS = {
    **{name: (part, None) for name, part in nets.POINTWISE.items()},
    **nets.SHAPED,
}


@pytest.mark.parametrize("name", PARTS)
def test_the_packages_compute_what_onnxruntime_does(onnxruntime, tmp_path: Path, name: str) -> None:
    """Every operator and option that has a form."""
    part, back = PARTS[name]
    net = nets.autoencoder(part, back=back)
    path = net.save(tmp_path / "net.onnx", "y", "z")

    made = import_onnx(Options(path, "z", "net"))

    assert made.comparison.by == "onnxruntime" and made.comparison.n_images == 32
    assert_same(onnxruntime, path, made, patterns((8, 8, 1), 20))
    for package in (made.encoder, made.decoder):
        check(package)


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 20])
@pytest.mark.parametrize("shape", [("n", 64), (1, 64)], ids=["any number of rows", "one row"])
def test_a_network_of_vectors_takes_square_images(onnxruntime, tmp_path: Path, opset: int, shape) -> None:
    path = nets.dense(shape, opset).save(tmp_path / "net.onnx", "y", "z")

    made = import_onnx(Options(path, "z", "net"))

    assert made.encoder.input.shape == made.decoder.output.shape == (8, 8, 1)
    images = patterns((8, 8, 1), 20)
    latents, wanted = by_itself(onnxruntime, path, numbers_of(images, "unit").reshape(-1, 64), "z", "y")
    found, pixels = through(made, images)
    np.testing.assert_allclose(found, latents, rtol=1e-4, atol=1e-5)
    assert np.abs(pixels.astype(int) - pixels_of(wanted, "unit").reshape(pixels.shape)).max() <= 1
    assert [step.kind for step in made.decoder.plan] == ["dense", "tanh", "dense", "sigmoid", "reshape", "to_u8"]


def test_latents_come_in_the_order_that_the_decoder_takes(onnxruntime, tmp_path: Path) -> None:
    """A dense layer makes them, a transposed convolution takes them: its weights are put in order, and no layer is added."""
    net = nets.Net()
    z = net.linear(net.op("Flatten", "x"), 64, 32, made="z")
    grid = net.op("Reshape", z, net.ints(-1, 8, 2, 2))
    net.op("Sigmoid", net.conv(net.op("Relu", net.up(net.op("Relu", net.up(grid, 8, 4)), 4, 4)), 4, 1), made="y")
    path = net.save(tmp_path / "net.onnx", "y", "z")

    made = import_onnx(Options(path, "z", "net"))

    assert [step.kind for step in made.encoder.plan] == ["scale", "flatten", "dense"]
    assert [step.kind for step in made.decoder.plan][:2] == ["reshape", "conv2d_transpose"]
    images = patterns((8, 8, 1), 20)
    latents, wanted = by_itself(onnxruntime, path, numbers_of(images, "unit").transpose(0, 3, 1, 2), "z", "y")
    found, pixels = through(made, images)
    moved = latents.reshape(-1, 8, 2, 2).transpose(0, 2, 3, 1).reshape(-1, 32)
    np.testing.assert_allclose(found, moved, rtol=1e-4, atol=1e-5)
    assert np.abs(pixels.astype(int) - pixels_of(wanted, "unit").reshape(pixels.shape)).max() <= 1


def test_latents_that_others_take_as_they_are_get_a_layer_that_moves_them(onnxruntime, tmp_path: Path) -> None:
    """The decoder takes them in two orders, so one of them needs a layer of zeros and ones."""
    net = nets.Net()
    z = net.linear(net.op("Flatten", "x"), 64, 8, made="z")
    row = net.op("Reshape", net.linear(z, 8, 64), net.ints(-1, 1, 8, 8))
    grid = net.op("Reshape", net.op("Relu", z), net.ints(-1, 2, 2, 2))
    grid = net.up(net.op("Relu", net.up(grid, 2, 4)), 4, 1)
    net.op("Sigmoid", net.op("Add", row, grid), made="y")
    path = net.save(tmp_path / "net.onnx", "y", "z")

    made = import_onnx(Options(path, "z", "net"))

    assert [step.kind for step in made.decoder.plan].count("dense") == 2
    assert_same(onnxruntime, path, made, patterns((8, 8, 1), 20))


# name: (the network's input, what is asked for, how the test gives images to onnxruntime)
LAYOUTS = {
    "channels last": ((1, 8, 8, 3), {}, (0, 1, 2, 3)),
    "channels first": ((1, 3, 8, 8), {}, (0, 3, 1, 2)),
    "any size, said": ((1, 3, "h", "w"), {"image": (8, 8, 3)}, (0, 3, 1, 2)),
    "a square of channels, first": ((1, 8, 8, 8), {}, (0, 3, 1, 2)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_channels_are_found(onnxruntime, tmp_path: Path, name: str) -> None:
    shape, options, axes = LAYOUTS[name]
    c = 8 if shape == (1, 8, 8, 8) else 3
    net, last = nets.Net(shape=shape), axes == (0, 1, 2, 3)
    x = net.op("Transpose", "x", perm=[0, 3, 1, 2]) if last else "x"
    y = net.op("Sigmoid", net.conv(net.conv(x, c, 2, strides=[1, 1], made="z"), 2, c), made=None if last else "y")
    if last:
        net.op("Transpose", y, perm=[0, 2, 3, 1], made="y")
    path = net.save(tmp_path / "net.onnx", "y", "z")

    made = import_onnx(Options(path, "z", "net", **options))

    assert made.encoder.input.shape == (8, 8, c)
    images = patterns((8, 8, c), 5)
    _, wanted = by_itself(onnxruntime, path, numbers_of(images, "unit").transpose(axes), "z", "y")
    _, pixels = through(made, images)
    wanted = pixels_of(wanted, "unit") if last else pixels_of(wanted, "unit").transpose(0, 2, 3, 1)
    assert np.abs(pixels.astype(int) - wanted).max() <= 1


@pytest.mark.parametrize(("kind", "dtype"), [(1, np.float32), (2, np.uint8), (10, np.float16), (11, np.float64)])
def test_the_network_may_scale_its_pixels_itself(onnxruntime, tmp_path: Path, kind: int, dtype) -> None:
    net = nets.Net(kind=kind)
    x = net.op("Div", net.op("Cast", "x", to=1), net.constant(255.0))
    net.op("Sigmoid", net.conv(net.conv(x, 1, 2, made="z"), 2, 1), made="y")
    path = net.save(tmp_path / "net.onnx", "y", "z")

    made = import_onnx(Options(path, "z", "net", pixels_in="raw"))

    images = patterns((8, 8, 1), 5)
    _, wanted = by_itself(onnxruntime, path, images.transpose(0, 3, 1, 2).astype(dtype), "z", "y")
    assert np.abs(through(made, images)[1].astype(int) - pixels_of(wanted, "unit").transpose(0, 2, 3, 1)).max() <= 1


def test_what_draws_around_the_mean_is_left_out(onnxruntime, tmp_path: Path) -> None:
    """A variational autoencoder, cut at its mean or behind what draws: the decoder takes the mean, and the report says so."""
    packages = []
    for bottleneck in ("mean", "drawn"):
        net = nets.Net()
        mean = net.conv("x", 1, 2, made="mean")
        spread = net.op("Exp", net.op("Mul", net.conv("x", 1, 2), net.constant(0.5)))
        drawn = net.op("Add", mean, net.op("Mul", spread, net.op("RandomNormalLike", mean)), made="drawn")
        net.op("Sigmoid", net.conv(drawn, 2, 1), made="y")
        path = net.save(tmp_path / "net.onnx", "y")

        made = import_onnx(Options(path, bottleneck, "net"))

        assert made.passed_over == ("/RandomNormalLike_4",)
        packages.append(made.encoder.model_id)
    assert packages[0] == packages[1]


# Free sizes.


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Imported]:
    path = nets.photo().save(tmp_path_factory.mktemp("photo") / "net.onnx", "y", "z")
    return path, import_onnx(Options(path, "z", "net"))


@pytest.mark.parametrize("size", [(8, 12), (52, 40)])
def test_a_network_of_any_size_stays_one(onnxruntime, photo, size: tuple[int, int]) -> None:
    """One pair of packages for all sizes; where the image is a whole number of latents, onnxruntime's own numbers."""
    path, made = photo

    assert made.encoder.input.shape == (0, 0, 3) and made.encoder.output.shape == made.decoder.input.shape == (0, 0, 3)
    assert made.encoder.manifest.scale == (4, 4)
    assert "slice" not in {step.kind for step in made.encoder.plan}  # the convolution makes only what is taken
    assert_same(onnxruntime, path, made, patterns((*size, 3), 3))


def test_an_image_of_no_whole_number_of_latents_is_continued(photo) -> None:
    """As the spec says, by its last row and column; so the sizes are those of the image."""
    _, made = photo
    images = patterns((9, 14, 3), 2)
    encoder, decoder = (NumpyBackend().load(package) for package in (made.encoder, made.decoder))

    latents = encoder.run(images)

    assert latents.shape == (2, 3, 4, 3)
    assert decoder.run(latents, (9, 14)).shape == images.shape
    np.testing.assert_array_equal(latents, encoder.run(np.pad(images, ((0, 0), (0, 3), (0, 2), (0, 0)), mode="edge")))


def test_means_and_zeros_around_are_convolutions_of_any_size(onnxruntime, tmp_path: Path) -> None:
    """A pool of means, and the padding of diffusion networks: one row below and one column to the right, before a convolution."""
    net = nets.Net(shape=("n", 3, "h", "w"))
    x = net.op("AveragePool", net.op("Relu", net.conv("x", 3, 4)), kernel_shape=[2, 2], strides=[2, 2])
    x = net.op("Pad", x, net.ints(0, 0, 0, 0, 0, 0, 1, 1), net.constant(0.0))
    net.conv(x, 4, 3, strides=[2, 2], pads=[0] * 4, made="z")
    net.op("Sigmoid", net.conv(net.up(net.op("Relu", net.up("z", 3, 4)), 4, 4), 4, 3), made="y")
    path = net.save(tmp_path / "net.onnx", "y", "z")

    made = import_onnx(Options(path, "z", "net"))

    assert made.encoder.manifest.scale == (4, 4)
    assert [step.kind for step in made.encoder.plan] == ["scale", "conv2d", "relu", "conv2d", "conv2d"]
    assert_same(onnxruntime, path, made, patterns((20, 28, 3), 3))


@pytest.mark.parametrize("pixels", ["unit", "signed"])
def test_free_sizes_in_integers(onnxruntime, tmp_path: Path, pixels: str) -> None:
    """Every value that a convolution pads has the integer 0 for 0; 40 dB between the two, on sizes that were not looked at."""
    path = nets.photo().save(tmp_path / "net.onnx", "y", "z")
    made = import_onnx(Options(path, "z", "net", pixels_in=pixels))

    pair = make_exact(made.graphs, patterns((48, 64, 3), 40), "net", made.encoder.manifest.scale)

    assert loss((made.encoder, made.decoder), pair, patterns((36, 20, 3), 20)).between > 40
    for package in pair:
        assert package.profile == "exact" and 0 in package.input.shape
        assert "pad" not in {step.kind for step in package.plan}
        check(package)


@pytest.mark.parametrize(
    "name", ["residual block and concat", "split", "slices", "pixel shuffle", "gelu of old opsets"]
)
def test_fixed_sizes_in_integers(tmp_path: Path, name: str) -> None:
    part, back = PARTS[name]
    path = nets.autoencoder(part, back=back).save(tmp_path / "net.onnx", "y", "z")
    made = import_onnx(Options(path, "z", "net"))
    images = patterns((8, 8, 1), 150)

    pair = make_exact(made.graphs, images[:100], "net")

    assert loss((made.encoder, made.decoder), pair, images[100:]).between > 35


def test_without_onnxruntime_onnx_itself_is_the_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from aeformat.exchange import onnx_import, onnx_run

    monkeypatch.setattr(onnx_import, "runtime", lambda: onnx_run.REFERENCE)
    path = nets.autoencoder(nets.batch_norm).save(tmp_path / "net.onnx", "y", "z")

    made = import_onnx(Options(path, "z", "net"))

    assert (made.comparison.by, made.comparison.n_images) == ("onnx's reference", 4)


def test_what_computes_otherwise_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is what stands between a mistake here and somebody's images."""
    from aeformat.errors import UsageError
    from aeformat.exchange import onnx_walk

    monkeypatch.setitem(onnx_walk._OPS, "Relu", onnx_walk._OPS["Tanh"])
    path = nets.autoencoder(nets.POINTWISE["relu"]).save(tmp_path / "net.onnx", "y", "z")

    with pytest.raises(UsageError, match=r"net.onnx: not imported: latents differ from onnx"):
        import_onnx(Options(path, "z", "net"))
