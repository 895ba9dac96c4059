"""aeformat model show: every layer with its numbers, every branch to be followed by eye, as text and as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model.branches import random_branches
from model.networks import cancelling

from aeformat.cli import layer_graph
from aeformat.model.facts import facts_of
from aeformat.model.file_io import read_package

MODELS = Path(__file__).parents[2] / "models"

# name: (inputs of each layer, the lines)
DRAWN = {
    "a line": ([[0], [1]], ["○", "●", "●"]),
    "a skip connection": ([[0], [1], [2, 1]], ["○", "●", "├─╮", "● │", "●─╯"]),
    "a value taken twice by one layer": ([[0], [1, 1]], ["○", "●", "●"]),
    "two branches of one value": ([[0], [0], [1, 2]], ["○", "├─╮", "● │", "│ ●", "●─╯"]),
    "one inside the other": (
        [[0], [1], [2], [3, 2], [4, 1]],
        ["○", "●", "├─╮", "● │", "├─┼─╮", "● │ │", "●─┼─╯", "●─╯"],
    ),
    "a value that goes on": ([[0], [1], [2, 1], [3, 1]], ["○", "●", "├─╮", "● │", "●─┤", "●─╯"]),
    "a column that is used again": ([[0], [1, 0], [2], [3, 2]], ["○", "├─╮", "● │", "●─╯", "├─╮", "● │", "●─╯"]),
}


@pytest.mark.parametrize("name", DRAWN)
def test_branches_are_drawn_as_columns(name: str) -> None:
    inputs, wanted = DRAWN[name]

    drawn = layer_graph.draw(inputs)

    assert [line for line, _ in drawn] == wanted
    assert [number for _, number in drawn if number is not None] == [-1, *range(len(inputs))]


def test_columns_of_random_networks_end_where_they_should() -> None:
    """Each layer is on one line, the last stands alone in the first column, and ASCII says the same."""
    for seed in range(60):
        package = random_branches(seed, "exact")
        drawn = layer_graph.draw([step.inputs for step in package.plan])

        assert sum(number is not None for _, number in drawn) == len(package.plan) + 1
        assert drawn[-1][0].replace("●", "").strip("─╯┤ ") == ""
        for line, _ in drawn:
            assert layer_graph.plain(line).isascii() and len(layer_graph.plain(line)) == len(line)


def test_facts_add_up(folder) -> None:
    """What the layers are said to hold and to take is what the package holds and takes; shared tensors count once."""
    packages = [read_package(path) for path in sorted(MODELS.glob("mnist-exact.*.aef"))]
    for package in [*packages, *(random_branches(seed, "exact") for seed in range(10)), cancelling("dense")]:
        facts = facts_of(package)

        assert sum(layer.n_params for layer in facts) == package.n_params
        assert sum(layer.n_multiply_adds for layer in facts) == package.n_multiply_adds
        used = {id(array) for step in package.plan for array in step.arrays.values()}
        assert sum(layer.n_bytes for layer in facts) == sum(t.nbytes for t in package.tensors if id(t) in used)
        assert [layer.bound for layer in facts] == [None if s.bounds is None else max(s.bounds) for s in package.plan]


def test_text_has_a_line_a_layer_and_the_sums(aeformat, folder) -> None:
    ran = aeformat("model", "show", "mnist-exact")

    assert ran.code == 0 and not ran.err
    halves = ran.out.strip().split("\n\n")
    assert [half.split("\n")[0].split(",")[0] for half in halves] == ["mnist-exact encoder", "mnist-exact decoder"]
    package = read_package(MODELS / "mnist-exact.decoder.aef")
    for number, step in enumerate(package.plan):
        assert f"{number}: {step.kind}" in halves[1] and str(step.made) in halves[1]
        if step.bounds is not None:
            assert f"{step.bound:,}" in halves[1]
    assert f"{package.n_params:,} parameters, {package.n_multiply_adds:,} multiply-adds" in halves[1]


def test_one_file_is_one_half(aeformat, folder) -> None:
    ran = aeformat("model", "show", MODELS / "mnist-exact.decoder.aef")

    assert ran.code == 0 and "decoder" in ran.out and "encoder" not in ran.out


def test_picture_shows_both_halves_side_by_side(aeformat, folder) -> None:
    """A PNG, wider for two halves than for one, with something on all of it."""
    pytest.importorskip("PIL")
    from PIL import Image

    assert aeformat("model", "show", "mnist-exact", "-o", "both.png").code == 0
    assert aeformat("model", "show", MODELS / "mnist-exact.decoder.aef", "-o", "one.png").code == 0

    both, one = (np.asarray(Image.open(name)) for name in ("both.png", "one.png"))
    assert both.shape[1] > 1.8 * one.shape[1]
    for half in np.array_split(both, 2, axis=1):
        assert (half != half[0, 0]).any(axis=2).mean() > 0.1


# what is wrong: (arguments, part of the line)
WRONG = {
    "no such model": (["nothing"], "no model 'nothing'"),
    "another suffix": (["mnist-exact", "-o", "out.svg"], "the picture is a .png"),
    "there already": (["mnist-exact", "-o", "old.png"], "exists"),
    "force without a picture": (["mnist-exact", "--force"], "--force does nothing"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_one_line_and_writes_nothing(aeformat, folder, name: str) -> None:
    arguments, what = WRONG[name]
    Path("old.png").write_bytes(b"mine")

    ran = aeformat("model", "show", *arguments)

    assert ran.code == 2 and what in ran.err and ran.err.count("\n") == 1 and not ran.out
    assert sorted(path.name for path in Path().iterdir()) == ["digits.npy", "old.png"]
    assert Path("old.png").read_bytes() == b"mine"


def test_a_terminal_without_box_characters_gets_ascii(aeformat, folder, monkeypatch) -> None:
    from aeformat.cli import model_show

    class Narrow:
        encoding = "ascii"

    monkeypatch.setattr(model_show.sys, "stdout", Narrow())

    assert model_show._shown("●─╯") == "*-/"
