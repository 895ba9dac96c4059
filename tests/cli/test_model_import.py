"""aeformat model import: two packages or none, one line for each mistake, and what was imported packs and unpacks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from exchange.needs import need

from aeformat.backends.runtime import load_tensorflow
from aeformat.model.graph import Graph
from aeformat.model.values import Value


@pytest.fixture
def net(folder: Path) -> Path:
    """net.keras: 28 x 28, bottleneck "z"; its weights are random."""
    need("tensorflow")
    keras = load_tensorflow().keras
    keras.utils.set_random_seed(0)
    layers = keras.layers
    steps = [
        layers.Flatten(),
        layers.Dense(8, "tanh", name="z"),
        layers.Dense(784, "sigmoid"),
        layers.Reshape((28, 28, 1)),
    ]
    keras.Sequential([layers.Input((28, 28, 1)), *steps]).save("net.keras")
    return folder / "net.keras"


def spoil(net: Path, target: str) -> None:
    """The network with a weight that is NaN."""
    model = load_tensorflow().keras.models.load_model(net)
    weights, bias = model.get_layer("z").get_weights()
    weights[3, 4] = np.nan
    model.get_layer("z").set_weights([weights, bias])
    model.save(target)


def listing() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def test_what_is_imported_packs_and_unpacks(aeformat, net):
    """Both profiles; the report says what was compared."""
    for more, profile in (([], "float32"), (["--exact", "--samples", "digits.npy"], "exact")):
        ran = aeformat("model", "import", net, "--bottleneck", "z", "-o", profile, "--name", "mine", "--json", *more)
        assert ran.code == 0, ran.err
        report = json.loads(ran.out)
        assert report["profile"] == profile and report["latents"]["shape"] == [8]
        assert [p["role"] for p in report["packages"]] == ["encoder", "decoder"]
        assert report["against_keras"]["largest_level_difference"] <= 1
        assert (report["exact_loss"] is None) == (profile == "float32")

        assert aeformat("validate", *(package["path"] for package in report["packages"])).code == 0
        assert aeformat("pack", "digits.npy", "-o", f"{profile}.aef", "--model", profile).code == 0
        decoder = report["packages"][1]["path"]
        assert aeformat("unpack", f"{profile}.aef", "-o", f"{profile}.npy", "--decoder", decoder).code == 0
        assert aeformat("model", "show", f"{profile}/mine").code == 0
    apart = np.abs(np.load("exact.npy").astype(int) - np.load("float32.npy"))
    assert report["exact_loss"]["between"] > 35 and apart.mean() < 3


def test_the_report_is_for_people_by_default(aeformat, net):
    ran = aeformat("model", "import", net, "--bottleneck", "z", "-o", "out")

    assert ran.code == 0 and not ran.out
    assert "net.encoder.aef: float32, 4 layers" in ran.err and "against Keras on 32 images" in ran.err


def test_what_is_passed_over_is_said(aeformat, folder):
    """The mean of a variational autoencoder for the bottleneck: what draws around it is left out, and the report says so."""
    need("tensorflow")
    keras = load_tensorflow().keras
    layers = keras.layers
    image = keras.Input((28, 28, 1))
    both = [layers.Dense(4, name=name)(layers.Flatten()(image)) for name in ("z_mean", "z_log_var")]
    drawn = layers.Lambda(lambda values: values[0] + values[1], name="drawn")(both)
    keras.Model(image, layers.Dense(784, "sigmoid")(drawn)).save("vae.keras")
    command = ["model", "import", "vae.keras", "-o", "out", "--bottleneck"]

    ran = aeformat(*command, "drawn")
    assert ran.code == 2 and "take the mean for the bottleneck: 'z_mean'" in ran.err and ran.err.count("\n") == 1
    assert not Path("out").exists()

    ran = aeformat(*command, "z_mean")
    assert ran.code == 0 and "'drawn' is passed over: the decoder takes the bottleneck as it is" in ran.err
    ran = aeformat(*command, "z_mean", "--json", "--force")
    assert json.loads(ran.out)["passed_over"] == ["drawn"]


# what is wrong: (arguments, exit code, part of the line)
WRONG = {
    "no such file": (["other.keras", "--bottleneck", "z"], 2, "other.keras: no such file"),
    "no such layer": (["net.keras", "--bottleneck", "q"], 2, "the model has no layer 'q'; its layers are"),
    "no bottleneck": (["net.keras"], 2, "--bottleneck"),
    "no Keras file": (["digits.npy", "--bottleneck", "z"], 2, "a Keras file ends in"),
    "exact without samples": (["net.keras", "--bottleneck", "z", "--exact"], 2, "give --samples INPUT"),
    "samples of another size": (["net.keras", "--bottleneck", "z", "--samples", "wide.npy"], 1, "give images that fit"),
    "an image of two numbers and a half": (
        ["net.keras", "--bottleneck", "z", "--image", "28x28x"],
        2,
        "is not like 28x28",
    ),
    "an image of nothing": (["net.keras", "--bottleneck", "z", "--image", "0x28"], 2, "is not like 28x28"),
    "unknown pixels": (["net.keras", "--bottleneck", "z", "--pixels-in", "zscore"], 2, "--pixels-in"),
    "an image too large": (["net.keras", "--bottleneck", "z", "--image", "99999x99999x1"], 2, "16,777,216 numbers"),
    "no name": (["net.keras", "--bottleneck", "z", "--name", ""], 2, "a model's name"),
    "no archive": (["noise.keras", "--bottleneck", "z"], 2, "noise.keras: is no .keras file"),
    "half an archive": (["cut.keras", "--bottleneck", "z"], 2, "cut.keras: is no .keras file"),
    "weights that are no numbers": (["nan.keras", "--bottleneck", "z"], 2, "z/kernel hold NaN"),
    "a file for a folder": (["net.keras", "--bottleneck", "z", "-o", "digits.npy"], 2, "-o digits.npy: "),
    "a folder in a file": (["net.keras", "--bottleneck", "z", "-o", "digits.npy/x"], 2, "-o digits.npy/x: "),
    "an impossible name": (["net.keras", "--bottleneck", "z", "--name", "../x"], 2, "a model's name"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_line_and_writes_nothing(aeformat, net, name):
    arguments, code, what = WRONG[name]
    np.save("wide.npy", np.zeros((3, 20, 30), np.uint8))
    Path("noise.keras").write_bytes(b"noise")
    Path("cut.keras").write_bytes(net.read_bytes()[:3000])
    if name == "weights that are no numbers":
        spoil(net, "nan.keras")
    before = listing()

    ran = aeformat("model", "import", "-o", "out", *arguments)

    assert ran.code == code and what in ran.err
    assert ran.err.count("\n") == 1
    assert listing() == before


@pytest.mark.parametrize(
    ("module", "step", "what"),
    [
        ("keras_import", "fold", "net.keras has no form as packages: "),
        ("exact_import", "make_exact", "net.keras in integers has no form as packages: "),
    ],
)
def test_a_network_that_breaks_a_rule_of_packages_is_a_mistake_of_its_own(
    aeformat, net, monkeypatch, module, step, what
):
    """Whichever rule that may be: not a program's that wrote a bad file, and with the network's name."""
    from importlib import import_module

    def breaks_a_rule(*_):
        graph = Graph(Value((2, 2, 1), "f32"))
        graph.add("upsample", 0, factors=(17, 1))

    monkeypatch.setattr(import_module(f"aeformat.exchange.{module}"), step, breaks_a_rule)

    ran = aeformat("model", "import", net, "--bottleneck", "z", "-o", "out", "--exact", "--samples", "digits.npy")

    assert ran.code == 2 and what in ran.err and "factors" in ran.err and "(rule M" in ran.err
    assert ran.err.count("\n") == 1 and "spec/model.md" not in ran.err


def test_what_is_there_stays_without_force(aeformat, net):
    """Seen before Keras is loaded, so that nobody waits for nothing; with --force both are replaced."""
    assert aeformat("model", "import", net, "--bottleneck", "z", "-o", "out").code == 0
    ran = aeformat("model", "import", "gone.keras", "--bottleneck", "z", "-o", "out", "--name", "net")
    assert ran.code == 2 and "net.encoder.aef" in ran.err

    assert aeformat("model", "import", net, "--bottleneck", "z", "-o", "out", "--force").code == 0


def test_without_tensorflow_it_says_what_to_install(aeformat, folder, monkeypatch):
    from aeformat.backends import runtime
    from aeformat.errors import BackendUnavailable
    from aeformat.exchange import keras_load

    def missing():
        raise BackendUnavailable('TensorFlow is not installed: pip install "aeformat[tensorflow]"')

    monkeypatch.setattr(keras_load, "load_keras", missing)
    assert runtime  # the one module that imports it
    Path("net.keras").write_bytes(b"")

    ran = aeformat("model", "import", "net.keras", "--bottleneck", "z", "-o", "out")

    assert ran.code == 2 and 'pip install "aeformat[tensorflow]"' in ran.err


def test_what_cannot_be_written_is_said_before_the_work(aeformat, net, monkeypatch):
    """No network is loaded for an output that is no folder, or for an image that is too large."""

    def load(path):
        raise AssertionError("loaded")

    monkeypatch.setattr("aeformat.exchange.keras_import.load_model", load)
    for more in (["-o", "digits.npy"], ["-o", "digits.npy/x"], ["-o", "out", "--image", "99999x99999x1"]):
        assert aeformat("model", "import", net, "--bottleneck", "z", *more).code == 2
