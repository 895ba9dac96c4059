"""Networks made and exported by PyTorch, with both exporters, become packages that compute what PyTorch computes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.errors import UsageError
from aeformat.exchange.exact_import import loss, make_exact
from aeformat.exchange.imports import Options
from aeformat.exchange.onnx_import import import_onnx
from aeformat.exchange.pixels import pixels_of
from aeformat.exchange.samples import patterns
from exchange.needs import needed

needed("onnx")

ROOT = Path(__file__).resolve().parents[2]
EXPORTERS = ("dynamo", "script17", "script20")
PIXELS = {"digits": ("raw", "unit"), "mixed": ("unit", "unit"), "photo": ("signed", "signed")}


@pytest.fixture(scope="module")
def exported(
    torch_command: list[str], torch_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder with what torch_nets.py writes."""
    folder = tmp_path_factory.mktemp("torch")
    script = Path(__file__).parent / "torch_nets.py"
    done = subprocess.run(
        [*torch_command, str(script), str(folder)], env=torch_environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def imported(folder: Path, name: str, exporter: str):
    pixels_in, pixels_out = PIXELS[name]
    path = folder / f"{name}.{exporter}.onnx"
    return import_onnx(Options(path, "z", name, pixels_in=pixels_in, pixels_out=pixels_out))


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", PIXELS)
def test_the_packages_compute_what_torch_does(exported: Path, name: str, exporter: str) -> None:
    made = imported(exported, name, exporter)

    by_torch = np.load(exported / f"{name}.npz")
    images = by_torch["images"].transpose(0, 2, 3, 1)
    latents = NumpyBackend().load(made.encoder).run(images)
    pixels = NumpyBackend().load(made.decoder).run(latents)
    wanted = by_torch["z"].transpose(0, 2, 3, 1) if latents.ndim == 4 else by_torch["z"]
    np.testing.assert_allclose(latents, wanted, rtol=1e-4, atol=1e-5)
    apart = np.abs(pixels.astype(int) - pixels_of(by_torch["decoded"], PIXELS[name][1]).transpose(0, 2, 3, 1))
    assert apart.max() <= 1 and (apart > 0).mean() < 1e-2 and np.ptp(pixels) > 10
    assert made.encoder.manifest.scale == ((4, 4) if name == "photo" else None)
    assert len(made.passed_over) == (name == "photo")


@pytest.mark.parametrize("name", ["digits", "mixed"])
def test_all_exporters_lead_to_one_decoder(exported: Path, name: str) -> None:
    """How a network was written does not show: the model id is the same."""
    assert len({imported(exported, name, exporter).decoder.model_id for exporter in EXPORTERS}) == 1


@pytest.mark.parametrize("name", PIXELS)
def test_in_integers_they_lose_little(exported: Path, name: str) -> None:
    made = imported(exported, name, "dynamo")
    shape = (32, 48, 3) if name == "photo" else (28, 28, 1)
    images = patterns(shape, 120)

    pair = make_exact(made.graphs, images[:80], name, made.encoder.manifest.scale)

    assert loss((made.encoder, made.decoder), pair, images[80:]).between > 35


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_norm_that_depends_on_the_image_is_refused_by_its_name(exported: Path, exporter: str) -> None:
    with pytest.raises(UsageError, match=r"Normalization: its factors depend on the image; train with BatchNorm2d"):
        import_onnx(Options(exported / f"normed.{exporter}.onnx", "z", "net"))


def test_the_page_on_pytorch_runs(torch_command, torch_environment, tmp_path: Path, monkeypatch, capsys) -> None:
    """docs/pytorch.md, from the export to the five lines below it."""
    from PIL import Image

    from aeformat.cli.main import main

    page = (ROOT / "docs" / "pytorch.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    shell = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[1].strip().splitlines()
    assert len(shell) == 5
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for i, image in enumerate(patterns((120, 131, 3), 3)):
        Image.fromarray(image).save(f"photos/{i}.png")
    done = subprocess.run([*torch_command, "-c", code], env=torch_environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]

    for line in shell:
        program, *arguments = line.split()
        assert program == "aeformat"
        assert main(arguments) == 0, capsys.readouterr().err

    assert sorted(path.name for path in Path("back").iterdir()) == ["0.png", "1.png", "2.png"]
