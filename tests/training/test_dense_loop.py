"""What training promises: the seed fixes the result, and stopping leaves no trace in it."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from aeformat.errors import UsageError
from aeformat.pipeline.evaluate import compare
from aeformat.training import dense_loop as loop
from aeformat.training.dense_loop import train
from aeformat.training.trained import TrainedPair

pytestmark = pytest.mark.usefixtures("tensorflow")


def all_bytes(pair: TrainedPair) -> bytes:
    return b"".join(layer.weights.tobytes() + layer.bias.tobytes() for layer in pair.encoder + pair.decoder)


@pytest.fixture(scope="module")
def whole(recipe, images, tmp_path_factory):
    """The pair of one uninterrupted run."""
    return train(recipe, images[:300], images[300:], tmp_path_factory.mktemp("whole"))


def test_the_seed_fixes_every_bit(recipe, images, whole, tmp_path):
    """The same seed gives the same weights, another seed other weights."""
    again = train(recipe, images[:300], images[300:], tmp_path / "again")
    other = train(replace(recipe, seed=recipe.seed + 1), images[:300], images[300:], tmp_path / "other")

    assert all_bytes(again) == all_bytes(whole)
    assert all_bytes(other) != all_bytes(whole)


class StoppedError(Exception):
    """Stands for Ctrl-C."""


@pytest.mark.parametrize("stop_at", [6, 11, 15], ids=lambda n: f"epoch-{n}")
def test_a_resumed_run_ends_with_the_same_bits(recipe, images, whole, tmp_path, monkeypatch, stop_at):
    """Stopped in any phase, a run that is resumed ends where the uninterrupted one does."""

    def stop(trainer, epoch, shuffler):
        if epoch == stop_at:  # the last checkpoint is up to an epoch older: that work is lost and done again
            raise StoppedError
        return run_epoch(trainer, epoch, shuffler)

    run_epoch = loop._Trainer.run_epoch
    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(loop._Trainer, "run_epoch", stop)
        train(recipe, images[:300], images[300:], tmp_path)
    resumed = train(recipe, images[:300], images[300:], tmp_path, resume=True)

    assert all_bytes(resumed) == all_bytes(whole)


def test_resuming_a_finished_run_changes_nothing(recipe, images, tmp_path):
    """--resume on a finished run is how its weights are read back."""
    first = train(recipe, images[:300], images[300:], tmp_path)
    second = train(recipe, images[:300], images[300:], tmp_path, resume=True)

    assert all_bytes(second) == all_bytes(first)
    assert second.test == first.test
    assert second.seconds == first.seconds


def test_training_brings_the_error_down(images, whole):
    """Images it has not seen come out at least 2 dB closer than the mean image would be."""
    mean_image = np.broadcast_to(images[:300].mean(axis=0).round().astype(np.uint8), images[300:].shape)
    assert whole.test.psnr > compare([images[300:]], [mean_image]).psnr + 2


def test_a_checkpoint_is_only_resumed_by_its_own_recipe(recipe, images, tmp_path):
    """Another seed or number of epochs is refused, and so is a folder without a checkpoint."""
    with pytest.raises(UsageError, match="no checkpoint"):
        train(recipe.with_epochs(3), images, images, tmp_path, resume=True)
    train(recipe.with_epochs(3), images, images, tmp_path)
    with pytest.raises(UsageError, match="another recipe"):
        train(recipe.with_epochs(4), images, images, tmp_path, resume=True)
    with pytest.raises(UsageError, match="another recipe"):
        train(replace(recipe.with_epochs(3), seed=99), images, images, tmp_path, resume=True)


@pytest.mark.parametrize(
    "bad",
    [np.zeros((3, 7, 7, 1), np.uint8), np.zeros((3, 6, 6, 1), np.float32), np.zeros((0, 6, 6, 1), np.uint8)],
    ids=["size", "dtype", "none"],
)
def test_images_that_do_not_fit_are_refused(recipe, images, tmp_path, bad):
    with pytest.raises(UsageError, match="8-bit images of 36 pixels"):
        train(recipe, bad, images, tmp_path)


def test_progress_is_lines_where_there_is_no_terminal(recipe, images, tmp_path):
    """One line a checkpoint, with the distances of the test images."""
    stream = io.StringIO()
    train(recipe, images, images[:50], tmp_path, progress=stream)

    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[0] for line in lines] == [f"tiny: epoch {n}/16" for n in (5, 10, 15, 16)]
    assert all("PSNR" in line for line in lines)
