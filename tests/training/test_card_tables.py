"""The tables of models/README.md that a command makes are those of the data files beside it, and the data are true.

`python -m tools.train.note --redraw`, `python -m tools.rate_distortion` and `python -m tools.cost_table` make them anew.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from aeformat.container.prior import COST_BITS
from aeformat.pipeline.cost import break_even
from tools import card, cost_table
from tools.photo_steps import __main__ as photo_steps
from tools.rate_distortion import digits as rate_distortion
from tools.rate_distortion import ours, tables
from tools.rate_distortion.photos import report
from tools.rate_distortion.point import EACH, Point, bits_at
from tools.train.note import __main__ as note
from tools.train.note.published import ITERATIONS, LATENT_DIMS, NoteRecipe
from tools.train.note.report import rows

MODELS = card.CARD.parent
SHAPE = (28, 28, 1)


def data(name):
    return json.loads((MODELS / name).read_text(encoding="utf-8"))


def points():
    return [Point(**fields) for fields in data("rate_distortion.json")["points"]]


def made():
    """Name, the table as it would be made now."""
    measured, costs = points(), data(cost_table.DATA_FILE)
    yield note.TABLE, card.markdown(rows(data(f"note/{note.DATA_FILE}")), right=2)
    for name, (make, right) in rate_distortion.TABLES.items():
        yield name, card.markdown(make(measured), right=right)
    yield rate_distortion.MADE_WITH, rate_distortion.made_with(data("rate_distortion.json"))
    for name, (make, right) in cost_table.TABLES.items():
        yield name, card.markdown(make(costs), right=right)
    yield from photographs()


def photographs():
    """The same of photographs: nothing until they were measured."""
    path = MODELS / f"{report.RECORD}.json"
    found = data(path.name) if path.exists() else None
    for name, (make, right) in report.TABLES.items():
        yield name, "" if found is None else card.markdown(make(report.points_of(found)), right=right)
    yield report.CURVES, "" if found is None else report.CURVES_LINE
    yield report.MADE_WITH, "" if found is None else report.made_with(found)
    path = MODELS / photo_steps.DATA_FILE
    yield photo_steps.TABLE, card.markdown(data(path.name)) if path.exists() else ""


@pytest.mark.parametrize(("name", "table"), list(made()), ids=[name for name, _ in made()])
def test_the_card_holds_the_table_of_its_data(name, table):
    """Character for character."""
    assert card.table_in(card.CARD.read_text(encoding="utf-8"), name) == table


def test_the_note_was_reproduced_as_it_says():
    """Its whole recipe, four networks, 200 epochs; the marks lie on the curves; it learnt what the note says it learns."""
    found = data(f"note/{note.DATA_FILE}")
    recipe = NoteRecipe(64)
    assert [network["latent_dims"] for network in found["networks"]] == list(LATENT_DIMS)
    assert {key: getattr(recipe, key) for key in found["recipe"]} == found["recipe"]
    for network in found["networks"]:
        assert len(network["test_by_epoch"]) == len(network["running_train_by_epoch"]) == 200
        assert network["test_by_epoch"][-1] == network["test"]
        assert list(network["train_after"]) == [str(epoch) for epoch in ITERATIONS]
        # after an epoch the weights are a little better than they were on average within it
        running = network["running_train_by_epoch"][199]
        assert network["train_after"]["200"] == pytest.approx(running, rel=0.15)


def test_every_model_has_points_and_costs():
    """What lies in models/ was measured as it lies there; whoever adds a model runs the two commands again."""
    names = set(ours.model_names(MODELS, SHAPE))
    sizes = {name: (MODELS / f"{name}.decoder.aef").stat().st_size for name in names}
    assert {p.setting.split(",")[0]: p.decoder_bytes for p in points() if p.kind == "ours"} == sizes
    assert {model["name"]: model["decoder_bytes"] for model in data(cost_table.DATA_FILE)["models"]} == sizes


@pytest.mark.parametrize("aim", tables.AIMS, ids=lambda aim: f"{aim.psnr:g} dB")
def test_the_aims_are_reached(aim):
    """Fewer bits than the aim at its PSNR, from a real file; the tiny family too."""
    best = tables.reached(points(), aim.psnr, tables.DECODER_LIMIT)
    assert best is not None and best.is_real and best.bits <= aim.aim
    tiny = tables.reached(points(), aim.psnr - tables.TINY_LOSS, tables.TINY_DECODER_LIMIT)
    assert tiny is not None and tiny.is_real and tiny.bits <= aim.aim


def test_costs_add_up():
    """Every break-even of the data file, computed once more."""
    for model in data(cost_table.DATA_FILE)["models"]:
        bytes_of = {row["type"]: row["decoder_bytes"] for row in model["weights"]}
        for basis in model["bases"]:
            saved = basis["bytes_per_image"], basis["latent_bytes"]
            assert basis["break_even_images"] == break_even(model["decoder_bytes"], *saved)
            for kind, count in basis["break_even_by_weights"].items():
                assert count == break_even(bytes_of[kind], *saved)
        assert {basis["basis"].split(",")[0] for basis in model["bases"]} >= {
            "19-digit text", "raw pixels", "PNG", "zlib -9", "xz -6", "AVIF",
        }  # fmt: skip


class Once:
    """A network that computes the same rows once: every way to pack a model holds the same latents."""

    def __init__(self, network):
        self._network, self._known = network, {}
        self.package = network.package

    def run(self, rows):
        key = rows.shape, rows.dtype.str, hashlib.sha256(np.ascontiguousarray(rows)).digest()
        if key not in self._known:
            self._known[key] = self._network.run(rows)
        return self._known[key]


@pytest.fixture
def quick_networks(monkeypatch, quick_backend):
    """Exact networks, on the backend that is quickest for convolutions."""
    monkeypatch.setattr(ours, "network", lambda package, _n_rows: Once(quick_backend.load(package)))


@pytest.mark.usefixtures("quick_networks")
@pytest.mark.parametrize("name", [name for name in ours.model_names(MODELS, SHAPE) if ours.is_exact(MODELS, name)])
def test_our_points_are_what_the_models_do(name, mnist_test):
    """The pixels exactly, wherever this runs; bytes within 1 %, because they depend on zstd's release.

    Refined points are not made again: that takes minutes each.
    """
    wanted = {p.setting: p for p in points() if p.kind == "ours" and p.setting.split(",")[0] == name}
    found = ours.measure(MODELS, name, mnist_test, refine=False)
    assert {p.setting for p in found} == {setting for setting in wanted if "refined" not in setting}
    for point in found:
        assert point.mse == wanted[point.setting].mse
        assert point.bits == pytest.approx(wanted[point.setting].bits, rel=0.01)


def sheets_at(psnr):
    """What AVIF's sheets need there, in bits an image."""
    sheets = [point for point in points() if point.family == tables.SHEET_FAMILY and point.layout != EACH]
    return bits_at(sheets, psnr)


def test_what_the_readme_says_of_avif_sheets_is_in_the_data():
    """README.md, What to expect."""
    text = " ".join((card.CARD.parents[1] / "README.md").read_text(encoding="utf-8").split())
    (exact,) = (point for point in points() if point.setting.startswith("mnist-exact,"))
    fewer = 1 - sheets_at(exact.psnr) / exact.bits
    assert f"{100 * fewer:.0f} % fewer bytes than `mnist-exact` at its {exact.psnr:.1f} dB" in text
    best = [tables.reached(points(), psnr, tables.DECODER_LIMIT) for psnr in (30, 24)]
    shares = [100 * point.bits / sheets_at(point.psnr) for point in best]
    assert "refined, {:.0f} % of the bits of those sheets at 30 dB, {:.0f} % at 24".format(*shares) in text
    pays = [8 * point.decoder_bytes / (sheets_at(point.psnr) - point.bits) for point in best]
    assert "after some {:,} and {:,} images".format(*(round(n / 500) * 500 for n in pays)) in text


@pytest.mark.parametrize(("name", "n_images"), [("mnist-rd-22", 16_679), ("mnist-rd-24", 14_430)])
def test_what_the_card_says_of_the_better_sheets_is_in_the_data(name, n_images):
    (point,) = (point for point in points() if point.setting == f"{name}, rans")
    sheet_bytes = sheets_at(point.psnr) / 8
    assert break_even(point.decoder_bytes, sheet_bytes, point.bits / 8) == n_images
    assert f"{n_images:,}" in card.CARD.read_text(encoding="utf-8")
    (model,) = (model for model in data(cost_table.DATA_FILE)["models"] if model["name"] == name)
    (untuned,) = (row["bytes_per_image"] for row in model["bases"] if row["basis"].startswith("AVIF"))
    assert sheet_bytes < 0.8 * untuned


@pytest.mark.usefixtures("quick_networks")
@pytest.mark.parametrize("name", ["mnist-rd-22", "mnist-rd-tiny-24"])
def test_rans_files_are_within_one_percent_of_the_ideal_code(name, mnist_test):
    """Of all 10,000 test images, the file's framing included; the card says so."""
    encoder, decoder = ours.read_pair(MODELS, name)
    assert decoder.prior is not None
    latents = ours.network(encoder, len(mnist_test)).run(mnist_test)
    _, costs = decoder.prior.choose(latents)
    ideal = costs.sum() / (1 << COST_BITS) / len(latents)
    (point,) = (point for point in points() if point.setting == f"{name}, rans")
    assert ideal < point.bits < 1.01 * ideal
