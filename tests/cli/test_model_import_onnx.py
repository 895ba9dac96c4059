"""aeformat model import of an ONNX file: two packages or none, one line for each mistake, and what was imported packs and unpacks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from exchange.needs import needed
from PIL import Image

from aeformat.exchange.samples import patterns

needed("onnx")
from exchange import onnx_nets as nets  # noqa: E402


@pytest.fixture
def photos(folder: Path) -> Path:
    """photos/ with images of three sizes, and net.onnx, which takes any."""
    Path("photos").mkdir()
    for i, (height, width) in enumerate([(120, 131), (97, 140), (200, 160), (12, 9)]):
        Image.fromarray(patterns((height, width, 3), i + 1)[i]).save(f"photos/{i}.png")
    nets.photo().save(folder / "net.onnx", "y", "z")
    return folder / "photos"


def test_a_network_of_any_size_packs_and_unpacks_photographs(aeformat, photos):
    """Both profiles; samples are cut to one size, and those that are too small are passed over."""
    for more, profile in (([], "float32"), (["--exact"], "exact")):
        ran = aeformat(
            "model", "import", "net.onnx", "--bottleneck", "z", "-o", profile, "--json", "--samples", photos, *more
        )
        assert ran.code == 0, ran.err
        report = json.loads(ran.out)
        assert (report["profile"], report["image"], report["latents"]["shape"]) == (profile, [0, 0, 3], [0, 0, 3])
        assert report["against_onnx"]["largest_level_difference"] <= 1 and report["against_onnx"]["images"] == 3
        assert report["against_onnx"]["by"] in ("onnxruntime", "onnx's reference")

        assert aeformat("validate", *(package["path"] for package in report["packages"])).code == 0
        assert aeformat("pack", photos, "-o", f"{profile}.aef", "--model", profile).code == 0
        decoder = report["packages"][1]["path"]
        assert aeformat("unpack", f"{profile}.aef", "-o", f"{profile}-back", "--decoder", decoder).code == 0
        for image in photos.iterdir():
            assert Image.open(Path(f"{profile}-back") / image.name).size == Image.open(image).size
    assert report["exact_loss"]["between"] > 35


def test_the_report_is_for_people_by_default(aeformat, folder):
    nets.dense(("n", 64)).save(folder / "net.onnx", "y", "z")

    ran = aeformat("model", "import", "net.onnx", "--bottleneck", "z", "-o", "out")

    assert ran.code == 0 and not ran.out
    assert (
        "net.encoder.aef: float32, 5 layers" in ran.err and "against onnx" in ran.err and " images: latents" in ran.err
    )


# what is wrong: (arguments, exit code, part of the line)
WRONG = {
    "no such file": (["other.onnx", "--bottleneck", "z"], 2, "other.onnx: no such file"),
    "no such value": (["net.onnx", "--bottleneck", "q"], 2, "the network has no value 'q'; it has y, z, "),
    "no ONNX file": (["noise.onnx", "--bottleneck", "z"], 2, "noise.onnx: is no ONNX file"),
    "exact without samples": (["net.onnx", "--bottleneck", "z", "--exact"], 2, "give --samples INPUT"),
    "samples that are too small": (["net.onnx", "--bottleneck", "z", "--samples", "photos/3.png"], 2, "none of the 1 samples has the 96 x 100 pixels"),
    "other pixels": (["bytes.onnx", "--bottleneck", "z"], 2, "bytes.onnx: the network takes uint8: its pixels are 0 to 255, raw"),
    "one size only": (["pooled.onnx", "--bottleneck", "z"], 2, "--image HxWxC"),
    "an image that does not fit": (["bytes.onnx", "--bottleneck", "z", "--image", "9x9x1"], 2, "[9, 9, 1] does not fit the model"),
    "an image too large": (["net.onnx", "--bottleneck", "z", "--image", "99999x99999x3"], 2, "16,777,216 numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_line_and_writes_nothing(aeformat, photos, name):
    arguments, code, what = WRONG[name]
    Path("noise.onnx").write_bytes(b"noise")
    net = nets.Net(kind=2)
    net.op("Sigmoid", net.conv(net.conv(net.op("Cast", "x", to=1), 1, 2, made="z"), 2, 1), made="y")
    net.save(Path("bytes.onnx"), "y", "z")
    net = nets.Net(shape=("n", 1, "h", "w"))
    net.up(net.op("MaxPool", net.conv("x", 1, 2), kernel_shape=[2, 2], strides=[2, 2]), 2, 1)
    net.nodes[1].output[0] = net.nodes[2].input[0] = "z"
    net.save(Path("pooled.onnx"), net.nodes[2].output[0], "z")
    before = sorted(path.name for path in Path().iterdir())

    ran = aeformat("model", "import", "-o", "out", *arguments)

    assert ran.code == code and what in ran.err, ran.err
    assert ran.err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == before


def test_without_onnx_it_says_what_to_install(aeformat, folder, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    Path("net.onnx").write_bytes(b"")

    ran = aeformat("model", "import", "net.onnx", "--bottleneck", "z", "-o", "out")

    assert ran.code == 2 and 'pip install "aeformat[export]"' in ran.err


def test_the_same_images_from_python(folder):
    """import_onnx gives the packages without a file."""
    from aeformat.exchange.imports import Options
    from aeformat.exchange.onnx_import import import_onnx

    path = nets.dense().save(folder / "net.onnx", "y", "z")

    made = import_onnx(Options(path, "z", "net"))

    assert made.encoder.manifest.decoder == made.decoder.model_id
    assert np.isfinite(made.comparison.latents)
