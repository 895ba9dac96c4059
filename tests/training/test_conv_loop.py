"""Training for rate: the seed fixes the result, stopping leaves no trace, and packages come out that are worth having."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.errors import UsageError
from aeformat.model.file_io import read_package
from aeformat.model.golden import check_golden
from aeformat.pipeline.refine import Refinement
from aeformat.training import conv_loop as loop
from aeformat.training import mixture
from aeformat.training.checkpoint import Checkpoint
from aeformat.training.conv_loop import train
from aeformat.training.export import export_pair
from aeformat.training.recipe import ConvPhase, ConvRecipe
from aeformat.training.stack import Conv, ConvTranspose, Dense, Reshape
from aeformat.training.trained import TrainedPair

pytestmark = pytest.mark.usefixtures("tensorflow")

TINY = ConvRecipe(
    name="tiny",
    shape=(6, 6, 1),
    encoder=(Conv(6, 3, 2, "raised_gelu"), Reshape((54,)), Dense(5, "latent")),
    decoder=(
        Dense(54, "raised_gelu", 31, gain=0.3), Reshape((3, 3, 6)), ConvTranspose(4, 3, 2, "raised_gelu", 63),
        Conv(1, 3, 1, "sigmoid"),
    ),
    phases=(
        ConvPhase(14, 2e-2, augmented=0.2),
        ConvPhase(6, 1e-2, n_classes=3),
        ConvPhase(4, 2e-3, n_classes=3, rounded=True),
    ),
    price=60,
    prior=(3, 8),
    batch=16,
)  # fmt: skip


def all_bytes(pair: TrainedPair) -> bytes:
    return b"".join(
        np.asarray(array).tobytes()
        for layer in pair.encoder + pair.decoder
        for array in (layer.weights, layer.bias, layer.steps, layer.unit)
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def whole(images, runs):
    """The pair of one uninterrupted run."""
    return train(TINY, images[:300], images[300:], runs)


def test_the_seed_fixes_every_bit(images, whole, tmp_path):
    """The same seed gives the same weights, another seed other weights."""
    again = train(TINY, images[:300], images[300:], tmp_path / "again")
    other = train(TINY.with_seed(2), images[:300], images[300:], tmp_path / "other")

    assert all_bytes(again) == all_bytes(whole)
    assert all_bytes(other) != all_bytes(whole)


class StoppedError(Exception):
    """Stands for Ctrl-C."""


@pytest.mark.parametrize("stop_at", [3, 14, 21], ids=lambda n: f"epoch-{n}")
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(images, whole, tmp_path, monkeypatch, stop_at):
    """The same weights to the last bit, wherever it stopped."""
    seen = []
    run_epoch = loop._Trainer.run_epoch

    def stopping(self, epoch, rng):
        if len(seen) == stop_at:
            raise StoppedError
        seen.append(epoch)
        run_epoch(self, epoch, rng)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Trainer, "run_epoch", stopping)
        with pytest.raises(StoppedError):
            train(TINY, images[:300], images[300:], tmp_path)
    again = train(TINY, images[:300], images[300:], tmp_path, resume=True)

    assert all_bytes(again) == all_bytes(whole)


@pytest.mark.parametrize(
    "change",
    [{"price": 61}, {"seed": 2}, {"phases": (replace(TINY.phases[0], epochs=15), *TINY.phases[1:])}],
    ids=["price", "seed", "epochs"],
)
def test_a_checkpoint_of_another_recipe_is_refused(images, whole, runs, change):
    """What made it must be what would go on."""
    with pytest.raises(UsageError, match="another recipe"):
        train(replace(TINY, **change), images[:300], images[300:], runs, resume=True)


def test_another_prior_or_a_later_phase_is_no_other_recipe(images, whole, runs):
    """Neither has had any part in the weights so far."""
    assert Checkpoint.load(runs, replace(TINY, prior=(2, 2))).epoch == TINY.epochs
    longer = replace(TINY, phases=(*TINY.phases, ConvPhase(1, 1e-4, n_classes=3, rounded=True)))
    assert Checkpoint.load(runs, longer).epoch == TINY.epochs


def test_a_base_is_where_training_starts(images, whole, runs, tmp_path):
    """Weights of the same shape are taken from its first phase; without it there is one clear error."""
    child = replace(TINY, name="child", base="tiny", encoder=(*TINY.encoder[:2], Dense(4, "latent")))
    started = loop._start(child, runs)
    base = Checkpoint.load_base(runs, "tiny")
    assert np.array_equal(started.weights[0], base.weights[0])
    assert started.weights[2].shape == (54, 4)
    with pytest.raises(UsageError, match="starts from tiny"):
        train(child, images[:300], images[300:], tmp_path)


@pytest.mark.parametrize("bad", [np.zeros((4, 6, 6, 1), np.float32), np.zeros((0, 6, 6, 1), np.uint8),
                                 np.zeros((4, 5, 6, 1), np.uint8)], ids=["dtype", "empty", "shape"])  # fmt: skip
def test_images_of_another_kind_are_refused(bad, tmp_path):
    with pytest.raises(UsageError, match="8-bit images"):
        train(TINY, bad, bad, tmp_path)


def test_rate_and_error_are_learned(images, whole):
    """Far fewer bits than the pixels have, and an error far below their variance."""
    assert whole.bits is not None
    assert 5 < whole.bits < 40
    assert whole.test.mse < 0.3 * np.var(images[300:] / 255)


@pytest.fixture(scope="module")
def packages(images, whole, tmp_path_factory):
    """The packages as they are read back, encoder first."""
    paths = export_pair(
        whole, images[:300], images[300:], tmp_path_factory.mktemp("packages"), force=False, report=lambda what: None
    )
    return [read_package(path) for path in paths]


def test_packages_do_what_training_measured(images, whole, packages):
    """Golden sets pass, the error is the one of the last phase, and the prior knows its latents."""
    encoder, decoder = packages
    for package in packages:
        check_golden(package, NumpyBackend().load(package))
    latents = NumpyBackend().load(encoder).run(images[300:])
    pixels = NumpyBackend().load(decoder).run(latents)
    mse = np.square(pixels.astype(float) - images[300:]).mean() / 255**2
    assert mse == pytest.approx(whole.test.mse, rel=0.05)
    assert decoder.prior is not None
    _, costs = decoder.prior.choose(latents)
    assert costs.mean() / 65536 < 1.3 * whole.bits


def test_packages_are_not_overwritten(images, whole, tmp_path):
    for kind in ("encoder", "decoder"):
        path = tmp_path / f"tiny.{kind}.aef"
        path.write_bytes(b"mine")
        with pytest.raises(UsageError):
            export_pair(whole, images[:300], images[300:], tmp_path, force=False, report=lambda what: None)
        assert path.read_bytes() == b"mine"
        path.unlink()


def test_float_stacks_become_float_packages(images, tmp_path):
    """Without a price there is no rate, no rounding and no prior: profile float32, within the spec's tolerance."""
    recipe = replace(
        TINY, name="float", price=0, phases=(ConvPhase(8, 1e-2, n_classes=0),),
        encoder=(Conv(6, 3, 2, "gelu"), Reshape((54,)), Dense(5, "linear")),
        decoder=(Dense(54, "gelu"), Reshape((3, 3, 6)), ConvTranspose(1, 3, 2, "sigmoid")),
    )  # fmt: skip
    pair = train(recipe, images[:300], images[300:], tmp_path)
    paths = export_pair(pair, images[:300], images[300:], tmp_path, force=False, report=lambda what: None)
    encoder, decoder = (read_package(path) for path in paths)
    for package in (encoder, decoder):
        assert package.profile == "float32"
        check_golden(package, NumpyBackend().load(package))
    pixels = NumpyBackend().load(decoder).run(NumpyBackend().load(encoder).run(images[300:]))
    mse = np.square(pixels.astype(float) - images[300:]).mean() / 255**2
    assert pair.bits is None
    assert mse == pytest.approx(pair.test.mse, rel=0.02)  # weights are stored as float16


@pytest.mark.parametrize("price", [5, 60, 600])
def test_refined_latents_are_never_worse(images, packages, price):
    """Row by row, in bits plus priced error; and some are better."""
    encoder, decoder = (NumpyBackend().load(package) for package in packages)
    some = images[300:]
    before = encoder.run(some)
    after = Refinement(decoder, price).refine(before, some)

    def totals(latents):
        _, costs = decoder.package.prior.choose(latents)
        errors = np.square(decoder.run(latents).astype(float) - some).sum(axis=(1, 2, 3)) / 255**2
        return costs / 65536 + price * errors

    assert after.dtype == before.dtype
    assert (totals(after) <= totals(before) + 1e-6).all()
    assert totals(after).mean() < totals(before).mean()


def test_refining_needs_an_exact_decoder_with_a_prior(packages):
    encoder, decoder = (NumpyBackend().load(package) for package in packages)
    for network, price in ((encoder, 1), (decoder, 0), (decoder, -3), (decoder, 1e-5), (decoder, 1e9)):
        with pytest.raises(UsageError):
            Refinement(network, price)


@pytest.mark.parametrize("n_classes", [1, 4])
def test_bits_are_those_of_a_distribution(n_classes):
    """Over all integers the probabilities sum to 1; the density with noise integrates to 1."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    parameters = [
        tf.constant(array)
        for array in mixture.initial_mixture(rng.normal(1, 2, (200, 1)).astype(np.float32), n_classes, rng)
    ]
    integers = tf.constant(np.arange(-60, 61, dtype=np.float32)[:, None])
    fine = tf.constant(np.linspace(-60, 60, 24_001, dtype=np.float32)[:, None])
    assert np.exp2(-mixture.bits_of_integers(tf, parameters, integers).numpy()).sum() == pytest.approx(1, abs=2e-3)
    assert np.exp2(-mixture.bits(tf, parameters, fine).numpy()).sum() / 200 == pytest.approx(1, abs=2e-3)


def test_classes_are_found():
    """Two far clusters: two classes, each at one of them, weighed by their rows."""
    rng = np.random.default_rng(1)
    rows = np.concatenate([rng.normal(-9, 1, (300, 2)), rng.normal(9, 2, (100, 2))]).astype(np.float32)
    logits, means, scales = mixture.initial_mixture(rows, 2, rng)
    order = means[:, 0].argsort()
    assert means[order] == pytest.approx(np.array([[-9, -9], [9, 9]]), abs=0.7)
    assert np.exp(logits[order]) == pytest.approx([0.75, 0.25], abs=0.01)
    narrow, wide = np.exp(scales[order]).mean(1)
    assert 1 < narrow < wide < rows.std() / 2  # both pulled towards that of all rows
