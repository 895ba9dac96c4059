"""aeformat model export: one file, whole or not at all, and one line for each mistake."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest
from exchange.needs import need


@pytest.mark.parametrize(
    ("model", "name", "needs"),
    [
        ("mnist-exact", "exact.onnx", "onnx"),
        ("mnist-exact", "exact.safetensors", "safetensors"),
        ("mnist-128-22-128", "float.onnx", "onnx"),
        ("mnist-128-22-128", "float.keras", "tensorflow"),
    ],
)
def test_a_model_is_written_for_other_software(aeformat, folder, model, name, needs):
    need(needs)

    ran = aeformat("model", "export", model, "-o", name)

    assert ran.code == 0 and name in ran.err
    assert Path(name).stat().st_size > 50_000


def test_one_half_is_written_where_it_is_asked_for(aeformat, folder):
    """By --half, or because one file of a pair is named."""
    need("onnx")
    import onnx

    for arguments in (
        ["mnist-exact", "--half", "decoder"],
        [Path(__file__).parents[2] / "models" / "mnist-exact.decoder.aef"],
    ):
        assert aeformat("model", "export", *arguments, "-o", "half.onnx", "--force").code == 0
        graph = onnx.load("half.onnx").graph
        assert [end.name for end in (*graph.input, *graph.output)] == ["latents", "image_out"]


DECODER = Path(__file__).parents[2] / "models" / "mnist-exact.decoder.aef"

# what is wrong: (arguments, part of the line)
WRONG = {
    "another suffix": (["mnist-exact", "-o", "out.pt"], "there are .keras, .onnx, .safetensors"),
    "no such model": (["nothing", "-o", "out.onnx"], "no model 'nothing'"),
    "the half that a file is not": ([DECODER, "--half", "encoder", "-o", "out.onnx"], "is the decoder"),
    "exact to keras": (["mnist-exact", "-o", "out.keras"], "export it to .onnx"),
    "no such folder": (["mnist-exact", "-o", "no/out.onnx"], "does not exist"),
    "there already": (["mnist-exact", "-o", "digits.onnx"], "exists"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_line_and_writes_nothing(aeformat, folder, name):
    arguments, what = WRONG[name]
    Path("digits.onnx").write_bytes(b"mine")
    before = {path.name: path.read_bytes() for path in Path().iterdir()}

    ran = aeformat("model", "export", *arguments)

    assert ran.code == 2 and what in ran.err and ran.err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize("kind", ["onnx", "safetensors"])
def test_without_the_library_it_says_what_to_install(aeformat, folder, monkeypatch, kind):
    real = builtins.__import__

    def without(name, *more):
        if name.split(".")[0] == kind:
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)

    ran = aeformat("model", "export", "mnist-exact", "-o", f"out.{kind}")

    assert ran.code == 2 and 'pip install "aeformat[export]"' in ran.err
