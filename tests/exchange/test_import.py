"""A whole Keras file becomes two packages that compute what Keras computes, in float32 and, nearly, in integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aeformat.backends.golden_check import check
from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.backends.tensorflow_backend import TensorflowBackend
from aeformat.cli.advice import describe
from aeformat.errors import UsageError
from aeformat.exchange.exact_import import loss, make_exact
from aeformat.exchange.keras_import import Imported, Options, import_keras
from aeformat.exchange.pixels import numbers_of, pixels_of
from aeformat.exchange.samples import golden_images, patterns
from aeformat.model.file_io import package_bytes, read_package
from exchange.nets import NETS, randomise, skips


@pytest.fixture(scope="module")
def imported(keras, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Imported]]:
    """All of NETS."""
    folder = tmp_path_factory.mktemp("nets")
    found = {}
    for name, (build, bottleneck, pixels_in, pixels_out) in NETS.items():
        path = folder / f"{name}.keras"
        build(keras).save(path)
        options = Options(path, bottleneck, name, pixels_in=pixels_in, pixels_out=pixels_out)
        found[name] = path, import_keras(options)
    return found


@pytest.mark.parametrize("name", NETS)
def test_the_packages_give_the_pixels_of_keras(keras, imported, name: str) -> None:
    """From the file, through both packages read back from their bytes, to pixels: Keras's own, but for a level here or there."""
    path, made = imported[name]
    encoder, decoder = (read_package(package_bytes(package)) for package in (made.encoder, made.decoder))
    images = patterns(encoder.input.shape, 40)
    _, _, pixels_in, pixels_out = NETS[name]
    model = keras.models.load_model(path)
    wanted = pixels_of(np.asarray(model(numbers_of(images, pixels_in).reshape(-1, *model.input_shape[1:]))), pixels_out)

    found = NumpyBackend().load(decoder).run(NumpyBackend().load(encoder).run(images))

    apart = np.abs(found.astype(int) - wanted.reshape(found.shape))
    assert apart.max() <= 1 and (apart > 0).mean() < 1e-3
    assert np.ptp(found) > 20  # it is no blank image that both give
    assert encoder.manifest.decoder == decoder.model_id
    assert encoder.name == decoder.name == name
    assert made.comparison.n_images == 32 and made.comparison.latents < 2**-13
    for package in (encoder, decoder):
        check(package)


@pytest.mark.parametrize("name", NETS)
def test_the_exact_packages_lose_little_and_are_exact(imported, name: str) -> None:
    """Within 40 dB of the float network, on images that were not looked at; the same integers in TensorFlow and NumPy."""
    _, made = imported[name]
    images = patterns(made.encoder.input.shape, 200)

    pair = make_exact(made.graphs, images[:150], name)
    lost = loss((made.encoder, made.decoder), pair, images[150:])

    assert lost.n_images == 50 and lost.between > 40
    for package in pair:
        assert package.profile == "exact"
        check(package)
        rows = images if package is pair[0] else NumpyBackend().load(pair[0]).run(images)
        np.testing.assert_array_equal(
            TensorflowBackend().load(package).run(rows), NumpyBackend().load(package).run(rows)
        )


def test_skip_connections_stay_sums_in_integers(imported) -> None:
    """What is added to a convolution is multiplied up to its scale, and both go into one lookup."""
    _, made = imported["skips"]
    encoder, decoder = make_exact(made.graphs, patterns((8, 8, 1), 50), "skips")

    for package in (encoder, decoder):
        (add,) = (step for step in package.plan if step.kind == "add")
        assert {package.plan[i - 1].kind for i in add.inputs} == {"conv2d", "affine"}
        takers = [step.kind for step in package.plan if package.plan.index(add) + 1 in step.inputs]
        assert takers == ["lookup"] * len(takers)


def test_latents_for_a_transposed_convolution_keep_zero_where_it_is(imported) -> None:
    """Its border has fewer products, which no bias can make good for."""
    _, made = imported["signed"]
    encoder, decoder = make_exact(made.graphs, patterns((9, 9, 1), 50), "signed")

    assert encoder.output == decoder.input
    assert (encoder.output.type, encoder.output.range) == ("i8", (-127, 127))


def test_functions_of_one_number_become_one_table(keras, tmp_path: Path) -> None:
    """relu6 is an affine, two relus and an add in float32, and a single lookup in integers."""
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((4, 4, 1)),
            layers.Flatten(),
            layers.Dense(3, "relu6", name="z"),
            layers.Dense(16, "hard_sigmoid"),
            layers.Rescaling(2.0, offset=-1.0),
            layers.Reshape((4, 4, 1)),
        ]
    )
    path = tmp_path / "net.keras"
    randomise(model).save(path)
    made = import_keras(Options(path, "z", "net", pixels_out="signed"))

    pair = make_exact(made.graphs, patterns((4, 4, 1), 50), "net")

    assert [step.kind for package in pair for step in package.plan] == [
        "reshape",
        "dense",
        "lookup",
        "dense",
        "lookup",
        "reshape",
    ]


def test_padding_stays_zero_where_no_pixel_stands_for_it(keras, tmp_path: Path) -> None:
    """Pixels moved up to 2..3: the zeros that a convolution puts around them are none of these."""
    layers = keras.layers
    steps = [
        layers.Rescaling(1.0, offset=2.0),
        layers.Conv2D(4, 5, padding="same"),
        layers.Flatten(),
        layers.Dense(6, name="z"),
    ]
    ends = [layers.Dense(36, "sigmoid"), layers.Reshape((6, 6, 1))]
    path = tmp_path / "net.keras"
    randomise(keras.Sequential([layers.Input((6, 6, 1)), *steps, *ends])).save(path)
    made = import_keras(Options(path, "z", "net"))
    images = patterns((6, 6, 1), 80)

    pair = make_exact(made.graphs, images, "net")

    assert loss((made.encoder, made.decoder), pair, images).between > 40


def test_averages_over_padding_have_no_exact_form(keras, tmp_path: Path) -> None:
    layers = keras.layers
    steps = [
        layers.AveragePooling2D(2, padding="same", name="mean"),
        layers.Flatten(),
        layers.Dense(2, name="z"),
        layers.Dense(9),
    ]
    path = tmp_path / "net.keras"
    randomise(keras.Sequential([layers.Input((3, 3, 1)), *steps])).save(path)
    made = import_keras(Options(path, "z", "net"))

    with pytest.raises(UsageError, match="no exact form for 'mean'"):
        make_exact(made.graphs, patterns((3, 3, 1), 50), "net")


def refusal(keras, tmp_path: Path, make, bottleneck: str = "z", **more) -> str:
    path = tmp_path / "net.keras"
    make(keras.layers).save(path)
    with pytest.raises(UsageError) as caught:
        import_keras(Options(path, bottleneck, "net", **more))
    return describe(caught.value)


def test_all_that_has_no_form_is_named_at_once(keras, tmp_path: Path) -> None:
    """By layer and class; what stands behind an unknown layer is looked at, too."""
    what = refusal(
        keras,
        tmp_path,
        lambda k: keras.Sequential(
            [k.Input((8, 8, 1)), k.LayerNormalization(name="norm"), k.Conv2D(2, 3, activation="softmax", name="soft"),
             k.UpSampling2D(2, interpolation="bilinear", name="up"), k.Flatten(), k.Dense(3, name="z"), k.Dense(64)]
        ),
    )  # fmt: skip

    for part in (
        "'norm' (LayerNormalization: ",
        "'soft' (Conv2D: activation softmax)",
        "'up' (UpSampling2D: interpolation",
    ):
        assert part in what
    assert "\n" not in what


# what is in the way: (layers and input -> what the bottleneck takes, the refusal)
NO_LAYERS = {
    "an operation with the name of a layer": (lambda keras, x: keras.ops.reshape(x, (-1, 32, 2)), "'reshape' (Reshape: an operation; its layer has a form)"),
    "an average that is an operation": (lambda keras, x: keras.ops.average(x, axis=1), "'average' (Average: an operation; its layer has a form)"),
    "a slice": (lambda keras, x: x[:, ::2, ::2, :], "'get_item' (GetItem: not in the registry of layers)"),
    "several results": (lambda keras, x: keras.ops.split(x, 2, axis=1)[1], "'split' (Split: not in the registry of layers)"),
    "an activation that makes fewer numbers": (lambda keras, x: keras.layers.Dense(6, "glu", name="halves")(x), "'halves' (Dense: activation glu)"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_LAYERS)
def test_what_keras_could_not_run_by_itself_is_refused_by_name(keras, tmp_path: Path, name: str) -> None:
    """A layer without a form is never run."""
    keras.backend.clear_session()  # operations are numbered from here
    build, what = NO_LAYERS[name]
    image = keras.Input((8, 8, 1))
    z = keras.layers.Dense(3, name="z")(keras.layers.Flatten()(build(keras, image)))

    assert what in refusal(keras, tmp_path, lambda k: keras.Model(image, k.Dense(64)(z)))


def test_operations_on_two_values_are_as_good_as_layers(keras, tmp_path: Path) -> None:
    layers, ops = keras.layers, keras.ops
    image = keras.Input((16,))
    a, b = layers.Dense(4)(image), layers.Dense(4)(image)
    z = layers.Dense(3, name="z")(ops.concatenate([ops.subtract(a + b, layers.Dense(4)(image)), b], axis=-1))
    randomise(keras.Model(image, layers.Dense(16)(z))).save(tmp_path / "net.keras")

    made = import_keras(Options(tmp_path / "net.keras", "z", "net"))

    assert [step.kind for step in made.encoder.plan].count("add") == 2


@pytest.mark.parametrize("where", ["the model", "a nested model"])
def test_one_input_and_one_output_may_have_names(keras, tmp_path: Path, where: str) -> None:
    layers = keras.layers
    image = keras.Input((16,), name="image")
    z = layers.Dense(3, name="z")(image)
    model = keras.Model({"image": image}, {"pixels": layers.Dense(16)(z)}, name="inner")
    if where == "a nested model":
        start = keras.Input((16,))
        model = keras.Model([start], [model({"image": layers.Dense(16)(start)})["pixels"]])
    model.save(tmp_path / "net.keras")

    made = import_keras(Options(tmp_path / "net.keras", "z", "net"))

    assert made.encoder.output.shape == (3,)


def mixed(keras, policy):
    """A network of another precision, an activation that is a layer and a nested model included."""
    layers = keras.layers
    keras.config.set_dtype_policy(policy)
    try:
        inner = [
            layers.Input((8, 8, 1)),
            layers.Conv2D(2, 3, activation=layers.LeakyReLU(0.1)),
            layers.BatchNormalization(),
        ]
        steps = [
            keras.Sequential(inner),
            layers.Flatten(),
            layers.Dense(5, "tanh", name="z"),
            layers.Dense(64, "sigmoid"),
        ]
        return keras.Sequential([layers.Input((8, 8, 1)), *steps])
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_mixed_precision_is_imported_as_float32(keras, tmp_path: Path, policy: str) -> None:
    mixed(keras, policy).save(tmp_path / "net.keras")

    made = import_keras(Options(tmp_path / "net.keras", "z", "net"))

    assert made.comparison.latents < 2**-13 and made.comparison.levels <= 1


@pytest.mark.parametrize("policy", ["float16", "bfloat16"])
def test_narrow_weights_are_refused_with_a_way_out(keras, tmp_path: Path, policy: str) -> None:
    what = refusal(keras, tmp_path, lambda _: mixed(keras, policy))

    assert f"'z' (Dense: computes in {policy}; save it with dtype policy float32)" in what


def test_quantised_layers_are_refused_with_a_way_out(keras, tmp_path: Path) -> None:
    model = NETS["dense"][0](keras)
    model.quantize("int8")

    assert "'z' (Dense: quantised to int8; save it before" in refusal(keras, tmp_path, lambda _: model)


def crossing(keras):
    layers = keras.layers
    image = keras.Input((4, 4, 1))
    first = layers.Dense(6, name="first")(layers.Flatten()(image))
    second = layers.Dense(6, name="z")(first)
    return keras.Model(image, layers.Dense(16)(layers.Add(name="sum")([first, second])))


def twins(keras):
    halves = [
        keras.Sequential([keras.layers.Input((16,)), keras.layers.Dense(16, name="same")], name=name) for name in "ab"
    ]
    return keras.Sequential([keras.layers.Input((16,)), *halves])


# name: (network, options, part of the refusal)
REFUSED = {
    "a skip connection across the cut": (crossing, {}, "from 'first' to 'sum'"),
    "a bottleneck that is not there": (skips, {"bottleneck": "zz"}, "no layer 'zz'; its layers are batch_normalization"),
    "a bottleneck that two layers are": (twins, {"bottleneck": "same"}, "2 layers 'same'; its layers are a/same, a, b/same, b"),
    "an image that does not fit": (skips, {"image": (4, 4, 1)}, "[4, 4, 1] does not fit the model, which takes [8, 8, 1]"),
    "a vector that is no square": (lambda keras: line(keras, (50,)), {}, "--image HxWxC"),
    "any size": (lambda keras: line(keras, (None, None, 1)), {}, "--image HxWxC"),
    "no image out": (lambda keras: line(keras, (49,), 48), {}, "no image like its input"),
}  # fmt: skip


def line(keras, shape, n_out=50):
    layers = keras.layers
    middle = layers.Conv2D(1, 3, name="z") if len(shape) == 3 else layers.Dense(3, name="z")
    end = layers.Conv2DTranspose(1, 3) if len(shape) == 3 else layers.Dense(n_out)
    return keras.Sequential([layers.Input(shape), middle, end])


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_cut_or_is_no_autoencoder_is_refused(keras, tmp_path: Path, name: str) -> None:
    keras.backend.clear_session()  # layers without a name are numbered from here
    build, options, what = REFUSED[name]

    assert what in refusal(keras, tmp_path, lambda _: build(keras), **options)


@pytest.mark.parametrize(("shape", "image"), [((50,), (5, 10, 1)), ((None, None, 1), (5, 7, 1)), ((4, 6), (4, 6, 1))])
def test_images_are_of_the_shape_that_is_given_or_follows(keras, tmp_path: Path, shape, image) -> None:
    path = tmp_path / "net.keras"
    model = line(keras, shape) if len(shape) != 2 else keras.Sequential(
        [keras.layers.Input(shape), keras.layers.Flatten(), keras.layers.Dense(3, name="z"), keras.layers.Dense(24)]
    )  # fmt: skip
    randomise(model).save(path)

    made = import_keras(Options(path, "z", "net", image=image if len(shape) != 2 else None))

    assert made.encoder.input.shape == made.decoder.output.shape == image


@pytest.mark.parametrize(
    ("data", "name", "what"),
    [
        (b"nonsense", "net.keras", "is no .keras file"), (b"nonsense", "net.h5", "Keras cannot load it"),
        (b"", "net.pt", "a Keras file ends in .keras, .h5, .hdf5"), (None, "net.keras", "no such file"),
    ],
)  # fmt: skip
def test_what_is_no_keras_file_is_refused(keras, tmp_path: Path, data, name, what) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)

    with pytest.raises(UsageError, match=what):
        import_keras(Options(tmp_path / name, "z", "net"))


def test_python_code_in_a_keras_file_is_not_run(keras, tmp_path: Path) -> None:
    """Keras's own safe mode is on; it is no protection against a file made to get around it."""
    layers = keras.layers
    path = tmp_path / "net.keras"
    steps = [layers.Lambda(lambda x: x, name="code"), layers.Flatten(), layers.Dense(2, name="z"), layers.Dense(16)]
    keras.Sequential([layers.Input((4, 4, 1)), *steps]).save(path)

    with pytest.raises(UsageError, match=r"'code' \(Lambda: code"):
        import_keras(Options(path, "z", "net"))


def test_a_network_that_comes_out_otherwise_is_not_imported(
    keras, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison with Keras is a real one."""
    from aeformat.exchange import keras_activations

    monkeypatch.setitem(keras_activations._ACTIVATIONS, "gelu", keras_activations._ACTIVATIONS["silu"])

    assert "pixels differ from Keras's" in refusal(keras, tmp_path, lambda _: NETS["dense"][0](keras))


def test_golden_images_are_this_projects_own() -> None:
    """No person's sample travels with a package; large images come in small numbers."""
    assert golden_images((28, 28, 1)).shape == (16, 28, 28, 1)
    assert golden_images((256, 256, 3)).shape == (1, 256, 256, 3)
    np.testing.assert_array_equal(golden_images((6, 8, 3)), golden_images((6, 8, 3)))
