"""The rivals get their best and are measured honestly, ours from real files, and the tables say what the points say."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
from model.with_prior import pair_with_prior

from aeformat.errors import UsageError
from aeformat.images import demo_digits
from aeformat.model.file_io import write_package
from aeformat.model.places import shipped_folder
from aeformat.pipeline.pack import PackOptions
from tools import card
from tools.rate_distortion import byte_codecs, ours, pca, picture_codecs, plot, refined, tables
from tools.rate_distortion import digits as command
from tools.rate_distortion.picture_codecs import PICTURE_CODECS, PictureCodec, cut, sheet_layout, tile
from tools.rate_distortion.point import EACH, SOLID, Point, PointCache, bits_at, front


@pytest.fixture(scope="module")
def digits():
    """(100, 28, 28, 1) u8: this project's own."""
    return demo_digits()[:100]


def point(bits, psnr, family="AVIF", kind="rival", **others):
    """A point; psnr None is lossless."""
    mse = 0.0 if psnr is None else 10 ** (-psnr / 10)
    fields = {"setting": "q 1", "layout": "sheets of 100 x 100", "n_images": 10_000, **others}
    return Point(kind=kind, family=family, bits=bits, mse=mse, **fields)


# Points.


def test_the_front_has_only_what_no_other_point_beats():
    points = [point(300, 24), point(200, 22), point(250, 21), point(310, 24), point(500, 30), point(500, 29)]
    assert [(p.bits, round(p.psnr)) for p in front(points)] == [(200, 22), (300, 24), (500, 30)]


@pytest.mark.parametrize(
    ("psnr", "bits"), [(22, 200), (23, 250), (24, 300), (27, 400), (30, 500), (21.9, None), (30.1, None)]
)
def test_bits_lie_on_a_line_in_decibels_between_measured_points(psnr, bits):
    """And nowhere else: nothing is extrapolated, a lossless point is no neighbour, a beaten one does not count."""
    points = [point(200, 22), point(300, 24), point(500, 30), point(490, 23), point(900, None)]
    found = bits_at(points, psnr)
    assert found == (None if bits is None else pytest.approx(bits))


def test_a_line_joins_points_of_one_setting_only():
    """Two speeds are two curves, and the fewer bits count: no line from one to the other."""
    slow = [point(200, 22, setting="q 1, slow"), point(300, 26, setting="q 5, slow")]
    quick = [point(240, 22.1, setting="q 1, quick"), point(340, 26.1, setting="q 5, quick")]
    assert bits_at([*slow, *quick], 24) == pytest.approx(250)
    assert bits_at(quick, 24) == pytest.approx(287.5)
    assert bits_at([slow[0], quick[1]], 24) is None


def test_a_decoder_is_shared_by_all_images_it_is_sent_for():
    assert point(100, 24, decoder_bytes=30_000).amortised(1000) == 340
    assert point(100, 24).amortised(1) == 100


def test_two_runs_share_a_cache(tmp_path):
    """Neither throws away what the other has measured since it began."""
    one, other = (PointCache(tmp_path / "points.json") for _ in range(2))
    one.get("a", lambda: [point(100, 24)])
    other.get("b", lambda: [point(200, 26)])
    assert all(PointCache(tmp_path / "points.json").has(key) for key in "ab")


def test_the_cache_measures_once(tmp_path):
    """Over runs, and every point comes back as it was."""
    calls = []

    def measure():
        calls.append(1)
        return [point(100, 24), point(200, None)]

    first = PointCache(tmp_path / "runs" / "points.json").get("a", measure)
    again = PointCache(tmp_path / "runs" / "points.json")
    assert again.has("a")
    assert not again.has("b")
    assert again.get("a", measure) == first == [point(100, 24), point(200, None)]
    assert calls == [1]


# Rivals.


@pytest.mark.parametrize("columns", [1, 4, 20, 100])
def test_a_sheet_gives_its_images_back(digits, columns):
    sheet = tile(digits, columns)
    assert sheet.shape == (100 // columns * 28, columns * 28)
    assert np.array_equal(sheet[:28, :28], digits[0, :, :, 0])
    assert np.array_equal(cut(sheet, (28, 28, 1)), digits)


@pytest.mark.parametrize("layout", [EACH, sheet_layout(10), sheet_layout(6)])
def test_a_lossless_codec_loses_nothing(digits, layout):
    """Whatever the layout, the last sheet smaller than the others too; every image is counted and reported once."""
    told = []
    found = picture_codecs.measure(PictureCodec("PNG", "PNG", layout), None, digits, told.append)
    assert found.is_lossless
    assert sum(told) == found.n_images == 100
    assert 500 < found.bits < 3000


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_a_lossy_codec_costs_more_where_it_loses_less(digits, format):
    codec = PictureCodec(format, format, sheet_layout(10), (5, 60))
    low, high = (picture_codecs.measure(codec, quality, digits, lambda n: None) for quality in codec.settings())
    assert low.bits < high.bits
    assert 10 < low.psnr < high.psnr < 60
    assert low.setting == "q 5"


def test_bits_are_those_of_the_files(digits):
    """Counted here once more, image by image."""
    found = picture_codecs.measure(PictureCodec("JPEG", "JPEG", EACH, (20,)), 20, digits, lambda n: None)
    files = [picture_codecs.encode(image[:, :, 0], "JPEG", {"quality": 20}) for image in digits]
    assert found.bits == 8 * sum(map(len, files)) / 100
    errors = [(picture_codecs.decode(f).astype(float) - i[:, :, 0]) ** 2 for f, i in zip(files, digits, strict=True)]
    assert found.mse == pytest.approx(np.mean(errors) / 255**2)


def test_every_rival_of_the_issue_takes_part():
    """PNG, WebP, JPEG XL lossless; JPEG, WebP, JPEG XL, AVIF lossy: a file each and as sheets, with several qualities."""
    found = {(codec.family, codec.layout == EACH) for codec in PICTURE_CODECS}
    families = ("PNG", "WebP lossless", "JPEG XL lossless", "JPEG", "WebP", "JPEG XL", "AVIF")
    assert found == {(family, is_each) for family in families for is_each in (True, False)}
    assert all(
        len(codec.qualities) >= 3 for codec in PICTURE_CODECS if codec.family in ("JPEG", "WebP", "JPEG XL", "AVIF")
    )
    assert {family for family, *_ in byte_codecs.BYTE_CODECS} == {"raw pixels", "zlib", "zstd", "xz"}


@pytest.mark.parametrize("number", range(len(byte_codecs.BYTE_CODECS)))
def test_general_compressors_are_lossless_and_help(digits, number):
    found = byte_codecs.measure(number, digits)
    assert found.is_lossless
    assert found.bits == 8 * 784 if found.family == "raw pixels" else found.bits < 8 * 784


# PCA.


def test_quantising_with_a_dead_zone():
    """Plain rounding at 0.5; less rounds up later, and the same on both sides of zero; never past int8."""
    values = np.array([0.4, 0.55, -0.55, 0.65, -0.65, 1.7, -300.0])
    assert pca.quantise(values, 1.0, 0.5).tolist() == [0, 1, -1, 1, -1, 2, -127]
    assert pca.quantise(values, 1.0, 0.4).tolist() == [0, 0, 0, 1, -1, 2, -127]
    assert pca.quantise(values * 2, 2.0, 0.4).tolist() == [0, 0, 0, 1, -1, 2, -127]


def test_code_lengths_are_those_of_a_code():
    """They fill Kraft's sum exactly, and what is frequent is short."""
    lengths = pca.code_lengths(pca.histograms(np.array([[0, 1], [0, 1], [0, -1], [5, 1]], np.int8)))
    assert (2.0**-lengths).sum(axis=1) == pytest.approx([1, 1])
    assert lengths[0, 127] < lengths[0, 127 + 5] < lengths[0, 0]


def test_finer_steps_and_more_dims_cost_bits_and_gain_decibels(digits, monkeypatch):
    """Each alone; zstd holds the same numbers in more bytes than the ideal code, but for its missing tables."""
    monkeypatch.setattr(pca, "SWEEP", ((0.2, (8, 32, 64)), (1.0, (64,))))
    rival = pca.PcaRival(digits, digits)
    points = {(p.family[10:], p.setting): p for step in (0.2, 1.0) for p in rival.measure(step)}
    ideal = {key[1]: p for key, p in points.items() if "ideal" in key[0]}
    plain = ", rounded at 0.5, gain 1"
    few, many = ideal["8 dims, step 0.2" + plain], ideal["64 dims, step 0.2" + plain]
    coarse = ideal["64 dims, step 1" + plain]
    assert (few.bits < many.bits, few.psnr < many.psnr, few.decoder_bytes < many.decoder_bytes) == (True, True, True)
    assert (coarse.bits < many.bits, coarse.psnr < many.psnr) == (True, True)
    assert many.psnr > 30
    assert len(ideal) == 4 * len(pca.DEAD_ZONES) * len(pca.GAINS)
    assert any("zstd" in family for family, _ in points)
    for (family, setting), found in points.items():
        assert found.is_real == ("zstd" in family)
        assert found.mse == ideal[setting].mse


# Ours.


def test_ours_is_measured_from_a_real_file(digits):
    """Bytes of the .aef, pixels of the decoder, size of its package."""
    (found,) = ours.measure(shipped_folder(), "mnist-exact", digits)
    encoder, _ = ours.read_pair(shipped_folder(), "mnist-exact")
    data = ours.packed(ours.network(encoder, 100), digits, PackOptions(codec="zstd", level=19))
    assert data.startswith(b"\x89AEF")
    assert found.bits == 8 * len(data) / 100
    assert found.decoder_bytes == (shipped_folder() / "mnist-exact.decoder.aef").stat().st_size
    assert (found.kind, found.layout, found.setting) == ("ours", SOLID, "mnist-exact, zstd -19")
    assert 18 < found.psnr < 40


@pytest.fixture
def with_prior(digits, tmp_path):
    """m.encoder.aef and m.decoder.aef."""
    for half in pair_with_prior(digits):
        write_package(half, tmp_path / f"m.{half.role}.aef")
    return tmp_path


def test_a_model_with_a_prior_is_measured_three_ways(with_prior, digits, monkeypatch):
    """zstd and rans hold the same latents; refined ones reach what is asked, at the price that is named."""
    plain = {p.setting: p for p in ours.measure(with_prior, "m", digits)}
    assert list(plain) == ["m, zstd -19", "m, rans"]
    assert plain["m, rans"].bits < plain["m, zstd -19"].bits
    assert plain["m, rans"].mse == plain["m, zstd -19"].mse

    aim = round(plain["m, rans"].psnr + 0.008, 2)  # these random weights leave no more to gain
    monkeypatch.setattr(ours, "target", lambda name: aim)
    decoder = ours.read_pair(with_prior, "m")[1]
    assert ours.ways("m", decoder) == ["zstd -19", "rans", f"refined to {aim:g} dB"]
    found = ours.measure(with_prior, "m", digits)
    assert [p.setting for p in found[:2]] == list(plain)
    assert len(found) > 2
    assert round(found[-1].psnr, 2) >= aim
    assert all(p.setting.startswith("m, rans, refined at ") for p in found[2:])
    assert ours.measure(with_prior, "m", digits, refine=False) == found[:2]


@pytest.mark.parametrize(
    ("name", "profile", "wanted"),
    [
        ("mnist-rd-22", "exact", "mnist-rd"),
        ("mnist-rd-22.5", "exact", "mnist-rd"),
        ("mnist-rd-tiny-24", "exact", "mnist-rd-tiny"),
        ("mnist-exact", "exact", "mnist-exact"),
        ("mnist-best-64", "float32", "float32 latents, lossless"),
    ],
)
def test_models_are_drawn_by_family(name, profile, wanted):
    assert ours.family(name, profile) == wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mnist-rd-22", 22.5),
        ("mnist-rd-24", 24),
        ("mnist-rd-25", 25),
        ("mnist-rd-tiny-22", 21.8),
        ("mnist-rd-tiny-26", 25.3),
        ("mnist-exact", None),
        ("mnist-best-64", None),
    ],
)
def test_a_model_is_refined_to_the_aim_its_name_begins(name, wanted):
    assert refined.target(name) == (None if wanted is None else pytest.approx(wanted))


@pytest.mark.parametrize("lowest", [0.5, 7, 19.99, 20, 20.01, 300, 1270])
def test_the_price_found_is_about_the_lowest_that_is_enough(lowest):
    """Wherever it lies, in a few tries."""
    tried = []

    def psnr_at(price):
        tried.append(price)
        return 20 + math.log(price / lowest)

    found = refined.find_price(psnr_at, 20)
    assert lowest <= found <= lowest * 1.1
    assert len(tried) < 16


def test_a_quality_out_of_reach_has_no_price():
    assert refined.find_price(lambda price: 20.0, 21) is None


def test_all_shipped_models_of_that_shape_take_part():
    assert "mnist-exact" in ours.model_names(shipped_folder(), (28, 28, 1))
    assert ours.model_names(shipped_folder(), (29, 28, 1)) == []


# Tables, picture, files.

POINTS = [
    point(6272, None, "raw pixels", layout=EACH),
    *(point(bits, psnr) for bits, psnr in ((200, 22), (300, 25), (600, 31))),
    *(point(bits, psnr, layout=EACH) for bits, psnr in ((2900, 22), (3000, 24))),
    *(
        point(bits, psnr, "int8 PCA, ideal code", is_real=False, decoder_bytes=90_000)
        for bits, psnr in ((180, 21), (520, 27))
    ),
    point(84, 22.6, "mnist-rd", "ours", setting="mnist-rd-22, rans", decoder_bytes=290_000),
    point(70, 22.6, "mnist-big", "ours", setting="mnist-big-22, rans", decoder_bytes=310_000),
    point(90, 22.0, "mnist-rd-tiny", "ours", setting="mnist-rd-tiny-22, rans", decoder_bytes=39_000),
    point(407, 26.4, "mnist-exact", "ours", setting="mnist-exact, zstd -19", decoder_bytes=95_569),
]


@pytest.mark.parametrize(
    ("psnr", "most", "name"),
    [(22.5, 300_000, "mnist-rd-22"), (22.5, 400_000, "mnist-big-22"), (22.6, 300_000, "mnist-rd-22"),
     (22.7, 300_000, "mnist-exact"), (21.8, 40_000, "mnist-rd-tiny-22"), (27, 300_000, None)],
)  # fmt: skip
def test_reached_is_our_smallest_file_that_is_good_enough(psnr, most, name):
    """With a decoder that is small enough."""
    found = tables.reached(POINTS, psnr, most)
    assert (found and found.setting.split(",")[0]) == name


def test_the_table_of_aims():
    """The issue's columns: rivals on their lines, ours as measured, dashes where there is nothing."""
    heading, *lines = tables.aims(POINTS)
    assert [len(line) for line in lines] == [len(heading)] * 4
    assert lines[0][:8] == ["22.5 dB", "217", "265", "105", "85", "84.0", "22.60", "`mnist-rd-22`"]
    assert lines[0][8:12] == ["290,000 B", "2,404", "316", "123"]
    assert lines[0][12] == "90.0 at 22.00 dB, `mnist-rd-tiny-22`"
    assert lines[3][:6] == ["30 dB", "550", "> 520", "430", "330", "–"]


def test_every_curve_is_in_the_table():
    """Ours all; of the rivals, lossless ones and what is on a front; code lengths are called that."""
    lines = {(line[0], line[2], line[4]) for line in tables.everything(POINTS)}
    assert ("raw pixels", EACH, "lossless") in lines
    assert ("**mnist-exact**", "sheets of 100 x 100", "26.40") in lines
    assert ("AVIF", EACH, "24.00") in lines
    assert ("int8 PCA, ideal code", "code length", "21.00") in lines


def test_data_picture_and_tables_are_written_together(tmp_path, monkeypatch):
    """And the data file alone brings the points back."""
    monkeypatch.setattr(picture_codecs, "versions", lambda: {"pillow": "0"})
    places = "".join(f"<!-- begin {name} -->\n<!-- end {name} -->\n" for name in (*command.TABLES, command.MADE_WITH))
    (tmp_path / "README.md").write_text(places, encoding="utf-8")
    command.write(tmp_path, command.as_data(POINTS))

    data = json.loads((tmp_path / "rate_distortion.json").read_text(encoding="utf-8"))
    assert [Point(**fields) for fields in data["points"]] == POINTS
    csv_lines = (tmp_path / "rate_distortion.csv").read_text(encoding="utf-8").splitlines()
    assert len(csv_lines) == 1 + len(POINTS)
    assert csv_lines[0].startswith("kind,family,setting,layout,n_images,bits,mse,decoder_bytes,is_real,psnr,bits_1k")
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card.table_in(text, "aims") == card.markdown(tables.aims(POINTS))
    assert "pillow 0." in card.table_in(text, command.MADE_WITH)


def test_points_of_some_models_are_measured_anew_and_all_others_kept(tmp_path, monkeypatch):
    """But not beside points that other libraries measured, and not for a model that is not there."""
    monkeypatch.setattr(picture_codecs, "versions", lambda: {"pillow": "0"})
    monkeypatch.setattr(ours, "model_names", lambda folder, shape: ["mnist-exact"])
    (tmp_path / "rate_distortion.json").write_text(json.dumps(command.as_data(POINTS)), encoding="utf-8")

    kept = command.kept_points(tmp_path, ["mnist-exact"])
    gone = [point for point in POINTS if point not in kept]
    assert kept == [point for point in POINTS if point in kept]
    assert gone and all(point.setting.startswith("mnist-exact") for point in gone)
    with pytest.raises(UsageError, match="no model mnist-none"):
        command.kept_points(tmp_path, ["mnist-none"])
    monkeypatch.setattr(picture_codecs, "versions", lambda: {"pillow": "1"})
    with pytest.raises(UsageError, match="pillow 0, not 1"):
        command.kept_points(tmp_path, ["mnist-exact"])


def test_the_picture_is_a_png(tmp_path):
    image_module = pytest.importorskip("PIL.Image", reason='Pillow is not installed: pip install "aeformat[images]"')
    plot.draw(POINTS, tmp_path / "p.png")
    picture = image_module.open(io.BytesIO((tmp_path / "p.png").read_bytes()))
    assert picture.format == "PNG"
    assert min(picture.size) > 600


@pytest.mark.parametrize(
    "text", ["", "<!-- begin x -->\n", "<!-- end x -->\n<!-- begin x -->\n", "<!-- begin x -->\n<!-- end x -->" * 2]
)
def test_a_card_without_one_place_for_a_table_is_refused(text, tmp_path):
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="no place for the table 'x'"):
        card.put_table(tmp_path / "README.md", "x", "| a |\n")
