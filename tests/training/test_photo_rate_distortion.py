"""On photographs: averages, curves, BD-rates and MS-SSIM are what they are called, and every file is a real one."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from aeformat.errors import UsageError
from aeformat.model.file_io import write_package
from tools import card
from tools.rate_distortion.photos import codecs, command, ours, plot, report, sheet, tables
from tools.rate_distortion.photos.aims import aims_at
from tools.rate_distortion.photos.curves import EACH, TOGETHER, Point, average, bd_rate, bits_at, curves_of, psnr_at
from tools.rate_distortion.photos.interpolate import Pchip
from tools.rate_distortion.photos.measured import Measured, ResultCache, mean_square, measure
from tools.rate_distortion.photos.ms_ssim import SMALLEST, ms_ssim
from tools.rate_distortion.photos.photographs import digest_of, find_photos
from tools.rate_distortion.photos.run import Results

from .photo.tiny import picture, tiny_pair

image_module = pytest.importorskip("PIL.Image", reason='Pillow is not installed: pip install "aeformat[images]"')


def point(bits, psnr, family="WebP", setting="method 6", **others):
    fields = {"layout": EACH, "quality": "q", "n_photos": 2, "n_pixels": 1000.0, "pooled_psnr": psnr, "ms_ssim": 0.9}
    return Point(family, setting, bits=bits, psnr=psnr, encode_s=0.1, decode_s=0.2, **{**fields, **others})


def curve(*pairs, **others):
    """Of (bits, PSNR)."""
    (made,) = curves_of(point(bits, psnr, **others) for bits, psnr in pairs)
    return made


# Curves.


def test_the_smooth_curve_is_that_of_scipy():
    """Values and integral of scipy 1.17's PchipInterpolator for these points, with a turn and uneven steps."""
    smooth = Pchip([0, 1, 3, 4, 7], [0, 2, 2.5, 2.4, 6])
    wanted = [1.262105855855856, 2.3716216216216215, 2.45, 2.85, 4.978125]
    assert [smooth(x) for x in (0.5, 2, 3.5, 5, 6.5)] == pytest.approx(wanted)
    assert smooth.integral(0.5, 6) == pytest.approx(13.930731512762764)
    assert [smooth(x) for x in (0, 3, 7)] == [0, 2.5, 6]


def test_between_two_points_the_curve_is_straight_and_outside_there_is_none():
    line = Pchip([1, 3], [10, 20])
    assert line(1.5) == pytest.approx(12.5)
    for x in (0.99, 3.01):
        with pytest.raises(ValueError, match="outside"):
            line(x)
    with pytest.raises(ValueError, match="rising"):
        Pchip([1, 1], [2, 3])


def test_a_fifth_fewer_bits_everywhere_is_a_bd_rate_of_minus_a_fifth():
    """And the same curve one of 0, whatever its form."""
    reference = curve((0.1, 26), (0.22, 28.9), (0.5, 31.7), (0.9, 34.9))
    fewer = curve(*((0.8 * p.bits, p.psnr) for p in reference.points))
    assert bd_rate(fewer, reference) == (pytest.approx(-0.2), 26, 34.9)
    assert bd_rate(reference, fewer)[0] == pytest.approx(0.25)
    assert bd_rate(reference, reference)[0] == pytest.approx(0)


def test_a_bd_rate_by_hand():
    """Half the bits at 30 dB, as many at 32 dB, straight in log bits between: 2^-0.5 of the bits in the mean."""
    ours_curve, reference = curve((0.1, 30), (0.4, 32), (0.8, 33)), curve((0.2, 30), (0.4, 32))
    assert bd_rate(curve((0.1, 30), (0.4, 32)), reference)[0] == pytest.approx(2**-0.5 - 1)
    assert bd_rate(ours_curve, reference)[1:] == (30, 32)  # only what both reach


def test_a_bd_rate_of_a_known_program():
    """bjontegaard 1.3.0, method "pchip", gives -14.665311509542956 % for these."""
    reference = curve((0.10, 26.1), (0.22, 28.9), (0.45, 31.7), (0.90, 34.9))
    other = curve((0.08, 26.0), (0.20, 29.1), (0.40, 31.9), (1.10, 36.5))
    assert 100 * bd_rate(other, reference)[0] == pytest.approx(-14.665311509542956)


@pytest.mark.parametrize("pairs", [[(0.1, 30)], [(0.1, 20), (0.2, 25)]], ids=["one point", "nothing in common"])
def test_no_bd_rate_without_two_curves_over_the_same_psnr(pairs):
    assert bd_rate(curve(*pairs), curve((0.2, 30), (0.4, 32))) is None


def test_psnr_at_bits_lies_on_the_curve_and_nowhere_else():
    """Straight in log bits for two points; a point that another beats does not count."""
    found = curve((0.1, 30), (0.4, 32), (0.2, 29))
    assert psnr_at(found, 0.2) == pytest.approx(31)
    assert bits_at(found, 31) == pytest.approx(0.2)
    assert (psnr_at(found, 0.09), psnr_at(found, 0.41), bits_at(found, 32.1)) == (None, None, None)
    assert (psnr_at(curve((0.1, 30)), 0.1), bits_at(curve((0.1, 30)), 30)) == (30, 0.1)


def test_aims_are_webp_with_more_bits_and_avif():
    """On a curve that gains 2 dB with each doubling."""
    webp = [point(0.1 * 2**n, 26 + 2 * n) for n in range(5)]
    avif = [point(bits, psnr, "AVIF", codecs.ANCHORS["AVIF"]) for bits, psnr in ((0.1, 30), (0.4, 33))]
    aims = aims_at(curves_of(webp + avif), 0.2)
    assert aims.floor == pytest.approx(28 + 2 * math.log2(1 / 0.85))
    assert aims.aim == pytest.approx(28 + 2 * math.log2(1 / 0.78))
    assert aims.moon == pytest.approx(31.5)
    assert aims_at(curves_of(webp), 1.5).floor is None


# Measuring.


def test_means_are_of_photographs_and_pooled_of_pixels():
    """A large photograph at 20 dB and a small one at 40."""
    mse = [255**2 / 100, 255**2 / 10_000]
    found = average(
        "WebP", "s", "q 5", [Measured(3000, 750, mse[0], 0.8, 1, 2), Measured(1000, 125, mse[1], 0.9, 3, 4)]
    )
    assert (found.bits, found.n_pixels, found.encode_s, found.decode_s) == (1.5, 2000, 2, 3)
    assert found.psnr == pytest.approx(30)
    assert found.pooled_psnr == pytest.approx(-10 * math.log10((0.75 * 0.01) + 0.25 * 0.0001))
    assert found.ms_ssim == pytest.approx(0.85)
    assert average("W", "s", "q", [Measured(9, 9, 0.0, None, 1, 2)]).ms_ssim is None


def test_a_point_without_loss_lies_on_no_curve():
    """A blank picture among the photographs: its PSNR is infinite, and so is the mean."""
    points = [average(family, setting, str(n), [Measured(100, 10 * n, 2.0 / n if n < 3 else 0.0, None, 1, 1)])
              for family, setting in (("ours", "as packed"), ("WebP", "method 6")) for n in (1, 2, 3)]  # fmt: skip
    mine, webp = curves_of(points)
    assert [point.quality for point in mine.front] == ["1", "2"]
    assert psnr_at(mine, 2.0) is None and bd_rate(mine, webp)[0] == pytest.approx(0)
    assert "nan" not in str([make(points) for make, _ in report.TABLES.values()])


def test_a_decoder_is_shared_by_the_photographs_it_is_sent_for():
    assert point(0.3, 30, decoder_bytes=2500).amortised(1) == pytest.approx(20.3)
    assert point(0.3, 30, decoder_bytes=2500).amortised(1000) == pytest.approx(0.32)


def waves(height, width):
    rows, columns = np.mgrid[:height, :width]
    grey = 128 + 60 * np.sin(columns / 7 + rows / 31) + 40 * np.cos(columns * rows / 900)
    return np.clip(np.rint(np.stack([grey, grey * 0.8 + rows / 8, 255 - grey], -1)), 0, 255).astype(np.uint8)


def worse(pixels, strength):
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    noise = ((columns * 37 + rows * 91 + columns * rows * 13) % 41 - 20)[..., None] * strength
    return np.clip(np.rint(pixels * 0.97 + 3 + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "strength", "wanted"),
    [((176, 208), 0.2, 0.9971644), ((176, 208), 3, 0.8034725), ((192, 320), 1, 0.9629101)],
)
def test_ms_ssim_is_that_of_known_programs(size, strength, wanted):
    """pytorch-msssim 1.0.0 in float64; TensorFlow 2.21's ssim_multiscale gives the same to five digits."""
    pixels = waves(*size)
    assert ms_ssim(pixels, worse(pixels, strength)) == pytest.approx(wanted, abs=3e-6)


def test_ms_ssim_of_a_picture_with_itself_and_of_a_small_one():
    pixels = waves(SMALLEST, 180)
    assert ms_ssim(pixels, pixels) == pytest.approx(1)
    assert ms_ssim(pixels[1:], pixels[1:]) is None


def test_errors_are_of_all_numbers():
    one = np.zeros((1, 2, 3), np.uint8)
    other = one.copy()
    other[0, 1, 2] = 255
    assert mean_square(one, other) == 255**2 / 6
    with pytest.raises(ValueError, match="came back as"):
        mean_square(one, other[:, :1])


def test_results_are_kept_one_by_one(tmp_path):
    """Over runs, even one that was stopped while it wrote; and what another run adds meanwhile stays."""
    path, calls = tmp_path / "runs" / "r.jsonl", []
    one, other = ResultCache(path), ResultCache(path)
    assert one.get("a", lambda: calls.append(1) or 5) == 5
    other.get("b", lambda: {"x": 0.25})
    with path.open("a", encoding="utf-8") as file:
        file.write('{"key": "c", "va')
    again = ResultCache(path)
    assert (again.get("a", calls.clear), again.get("b", calls.clear), again.has("c")) == (5, {"x": 0.25}, False)
    assert calls == [1]


# Codecs.


def some_rivals():
    """The quickest of each family."""
    found = {codec.family: codec for codec in reversed(codecs.RIVALS)}
    quick = [
        codec for codec in codecs.RIVALS if any(part in codec.setting for part in ("speed 8", "effort 3", "method 0"))
    ]
    return [*({**found, **{codec.family: codec for codec in quick}}).values()]


@pytest.mark.parametrize("codec", some_rivals(), ids=lambda codec: codec.family)
def test_a_rival_costs_more_where_it_loses_less(codec):
    """A picture of odd size, from real files; bits are those of the file."""
    pixels = picture(75, 90)
    low, high = (measure(codec, quality, pixels) for quality in (codec.qualities[1], codec.qualities[-1]))
    assert low.n_bytes < high.n_bytes
    assert low.mse > high.mse > 0
    assert low.n_pixels == 75 * 90
    assert low.n_bytes == len(codec.encode(pixels, codec.qualities[1]))
    assert low.ms_ssim is None


def test_every_rival_of_the_issue_takes_part_with_its_speeds():
    settings = {}
    for codec in codecs.RIVALS:
        settings.setdefault(codec.family, []).append(codec.setting)
        assert 8 <= len(codec.qualities) <= 11
    assert {family: len(found) for family, found in settings.items()} == {
        "JPEG": 1, "mozjpeg": 1, "WebP": 3, "AVIF": 3, "JPEG XL": 3,
    }  # fmt: skip
    assert all(setting in settings[family] for family, setting in codecs.ANCHORS.items())
    assert len({codec.key(quality) for codec in codecs.RIVALS for quality in codec.qualities}) == sum(
        len(codec.qualities) for codec in codecs.RIVALS
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with photo-3 and half of photo-1, which is left out."""
    folder = tmp_path_factory.mktemp("models")
    for package in tiny_pair(lambda line: None):
        write_package(package, folder / f"photo-3.{package.role}.aef")
    (folder / "photo-1.encoder.aef").write_bytes((folder / "photo-3.encoder.aef").read_bytes())
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of two drawn pictures of different sizes, one of them in a folder of its own."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "b").mkdir()
    image_module.fromarray(picture(176, 200)).save(folder / "a.png")
    image_module.fromarray(picture(50, 71)[::-1]).save(folder / "b" / "c.png")
    return folder


def test_photographs_are_found_in_order_and_their_pixels_told_apart(photos):
    found = find_photos(photos)
    assert [photo.name for photo in found] == ["a.png", "b/c.png"]
    assert np.array_equal(found[0].pixels(), picture(176, 200))
    assert len({digest_of(photo.pixels()) for photo in found}) == 2
    assert [photo.name for photo in find_photos(photos, 2)] == ["a.png"]
    for folder, message in ((photos / "none", "no folder"), (photos / "a.png", "no folder")):
        with pytest.raises(UsageError, match=message):
            find_photos(folder)


def test_a_grey_photograph_is_compared_as_rgb(tmp_path):
    image_module.fromarray(picture(20, 20)[..., 0]).save(tmp_path / "g.png")
    (photo,) = find_photos(tmp_path)
    assert photo.pixels().shape == (20, 20, 3)


def test_a_folder_without_photographs(tmp_path):
    with pytest.raises(UsageError, match="no image files"):
        find_photos(tmp_path)


def test_ours_is_measured_from_real_files(models, photos):
    """Of one photograph and of all; both give the same pixels."""
    (codec,) = ours.our_codecs(models, None)
    assert codec.qualities == ("photo-3",)
    found = find_photos(photos)
    data = [codec.encode(photo.pixels(), "photo-3") for photo in found]
    assert all(one.startswith(b"\x89AEF") for one in data)
    errors = [mean_square(photo.pixels(), codec.decode(one, "photo-3")) for photo, one in zip(found, data, strict=True)]
    together = codec.together(found, "photo-3")
    sizes = [176 * 200, 50 * 71]
    assert together["mse"] == pytest.approx(np.average(errors, weights=sizes))
    assert max(map(len, data)) < together["n_bytes"] < sum(map(len, data))
    assert codec.decoder_bytes("photo-3") == (models / "photo-3.decoder.aef").stat().st_size


def test_refining_takes_the_price_that_a_model_was_trained_at(models):
    """Bits a pixel for the mean of squared grey levels are 255^2 / 3 times as many for the sum of squares of 0..1."""
    _, own = ours.our_codecs(models, "")
    assert own.prices == {"photo-3": pytest.approx(0.0045 * 255**2 / 3)}
    _, given = ours.our_codecs(models, 7.0)
    assert given.prices == {"photo-3": 7}
    assert given.key("photo-3") != own.key("photo-3")
    with pytest.raises(UsageError, match="no recipe"):
        _ = ours.Pair(models, "photo-x").price


def test_models_come_in_the_order_of_their_numbers(tmp_path):
    for name in ("photo-10", "photo-2", "mnist-exact"):
        for role in ("encoder", "decoder"):
            (tmp_path / f"{name}.{role}.aef").touch()
    assert [pair.name for pair in ours.find_pairs(tmp_path)] == ["photo-2", "photo-10"]
    assert ours.our_codecs(tmp_path / "none", None) == []


# Crops.


def test_the_busiest_crop():
    pixels = np.full((100, 130, 3), 90, np.uint8)
    pixels[48:64, 80:96:2] = 255
    assert sheet.busiest(pixels, 16) == (slice(48, 64), slice(80, 96))
    assert sheet.busiest(pixels[:9], 16) == (slice(0, 9), slice(0, 16))


@pytest.mark.parametrize(("limit", "wanted"), [(500, 50), (509, 50), (1000, 100), (9999, 100), (25, 2), (9, 1)])
def test_a_rival_gets_its_largest_file_that_is_not_above_ours(limit, wanted):
    """Or its smallest, where all are above."""
    assert sheet.largest_below(lambda step: b"." * 10 * step, limit) == b"." * 10 * wanted


def test_photographs_of_a_sheet_are_spread_evenly():
    assert sheet.spread(list(range(40)), 4) == [5, 15, 25, 35]
    assert sheet.spread(list(range(3)), 4) == [0, 1, 2]


# The command.


@pytest.fixture
def few_rivals(monkeypatch):
    """JPEG and WebP at a few qualities."""
    wanted = {"JPEG": (5, 40, 80), "WebP": (5, 40, 80)}
    few = tuple(
        replace(codec, steps=wanted[codec.family]) for codec in codecs.RIVALS if codec.setting == codecs.ANCHORS.get(codec.family)
        and codec.family in wanted
    )  # fmt: skip
    for module in (codecs, sheet):
        monkeypatch.setattr(module, "RIVALS", few)


def test_the_command_measures_writes_and_goes_on(models, photos, tmp_path, few_rivals, monkeypatch, capsys):
    """Data, tables, curves and crops; a second run measures nothing; nothing is written into the folder of models."""
    before = sorted(models.iterdir())
    arguments = ["--images", str(photos), "--models", str(models), "--output", str(tmp_path / "out")]
    arguments += ["--cache", str(tmp_path / "r.jsonl")]
    assert command.main(arguments) == 0
    said = capsys.readouterr()
    assert "[2/2] b/c.png: WebP, method 6" in said.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "crops-photo-3.png", "rate_distortion.json", "rate_distortion.md", "rate_distortion.png",
    ]  # fmt: skip
    data = json.loads((tmp_path / "out" / "rate_distortion.json").read_text(encoding="utf-8"))
    points = report.points_of(data)
    assert data["photographs"]["names"] == ["a.png", "b/c.png"]
    assert [(p.family, p.layout) for p in points] == [
        ("ours", EACH),
        ("ours", TOGETHER),
        *[("JPEG", EACH)] * 3,
        *[("WebP", EACH)] * 3,
    ]
    assert points[0].psnr == points[1].psnr and points[0].bits != points[1].bits
    assert points[0].decoder_bytes == (models / "photo-3.decoder.aef").stat().st_size
    assert (tmp_path / "out" / "rate_distortion.md").read_text(encoding="utf-8") == report.as_markdown(data)
    with image_module.open(tmp_path / "out" / "crops-photo-3.png") as crops:
        assert crops.width > 4 * 2 * sheet.SIDE

    def measured_again(*arguments):
        raise AssertionError

    monkeypatch.setattr("tools.rate_distortion.photos.run.measure", measured_again)
    assert command.main(arguments) == 0
    assert "WebP, method 6" not in capsys.readouterr().err
    assert sorted(models.iterdir()) == before


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--record", "--every", "2"], "leave --only and --every out"),
        (["--only", "GIF"], "no codec has 'GIF' in its name"),
        (["--images", "no-such-folder"], "no-such-folder is no folder"),
    ],
)
def test_mistakes_are_said_in_one_line(extra, message, models, photos, tmp_path, few_rivals, capsys):
    arguments = [
        "--images",
        str(photos),
        "--models",
        str(models),
        "--output",
        str(tmp_path),
        "--cache",
        str(tmp_path / "r"),
    ]
    assert command.main([*arguments, *extra]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rate_distortion: ") and message in line


POINTS = [
    *(point(bits, psnr) for bits, psnr in ((0.1, 26), (0.2, 28), (0.4, 30), (0.8, 32), (1.6, 34))),
    *(point(bits, psnr, "JPEG", codecs.ANCHORS["JPEG"]) for bits, psnr in ((0.2, 26), (0.4, 28), (0.8, 30))),
    point(0.25, 29.5, "ours", "as packed", quality="photo-3", decoder_bytes=1000),
    point(0.24, 29.5, "ours", "as packed", quality="photo-3", decoder_bytes=1000, layout=TOGETHER),
]


def test_the_tables_say_what_the_points_say():
    """One model alone is compared at its own bits; dashes where nothing was measured."""
    lines = {line[0]: line[1:] for line in tables.at_bits(POINTS)}
    assert lines["WebP, method 6"] == ["26.00", "28.64", "30.64", "32.64"]
    assert lines["floor: 15 % fewer bits than WebP"] == ["26.47", "29.11", "31.11", "33.11"]
    assert lines["moon: AVIF"] == ["–"] * 4
    assert lines["ours, as packed, less the floor"] == ["–", "+0.39", "–", "–"]
    (_, each, together) = tables.by_model(POINTS)
    assert each == [
        "`photo-3`, as packed, a file each",
        "0.2500",
        "29.50",
        "26.64",
        "28.64",
        "–",
        "+0.39",
        "+0.14",
        "–",
    ]
    assert together[0].endswith("one file of all")
    rates = {line[0]: line[1:] for line in tables.bd_rates(POINTS)}
    assert rates["WebP, method 6"] == ["-50.0 %", "26.0 to 30.0", "+0.0 %", "26.0 to 34.0", "–", "–"]
    heading, *lines = tables.everything(POINTS)
    assert len(lines) == len(POINTS)
    assert {len(line) for line in lines} == {len(heading)}
    assert lines[-1][-3:] == ["8.240", "0.573", "0.248"]


def test_the_main_setting_of_a_family_is_a_solid_line():
    """Whatever comes first; the others are told apart."""
    settings = ("method 4", "method 6", "method 0")
    curves = curves_of(point(0.1, 30, setting=setting) for setting in settings)
    assert plot._line_styles(curves) == ["--", "-", ":"]


def test_the_record_is_data_picture_and_tables(tmp_path):
    names = [*report.TABLES, report.CURVES, report.MADE_WITH]
    text = "".join(f"<!-- begin {name} -->\n<!-- end {name} -->\n" for name in names)
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    data = report.as_data(Results(POINTS, "d"), [])
    report.record(tmp_path, data)
    assert json.loads((tmp_path / "photo_rate_distortion.json").read_text(encoding="utf-8")) == data
    with image_module.open(tmp_path / "photo_rate_distortion.png") as curves:
        assert min(curves.size) > 600
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card.table_in(text, "photo-bd-rates") == card.markdown(tables.bd_rates(POINTS))
    assert "photo_rate_distortion.png" in card.table_in(text, report.CURVES)
    assert "libwebp" in card.table_in(text, report.MADE_WITH)
