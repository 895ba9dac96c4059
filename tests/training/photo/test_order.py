"""The order in which a photograph's latents are decoded."""

import numpy as np
import pytest

from aeformat.training.photo import order


@pytest.mark.parametrize(("luma", "chroma"), [(1, 2), (8, 4), (112, 64), (176, 80), (256, 80)])
def test_groups_follow_one_another_and_hold_every_channel_once(luma, chroma) -> None:
    groups = order.groups(luma, chroma)
    first = 0
    for group in groups:
        assert group.first == first
        first += group.size
    assert first == luma + chroma
    assert sum(group.luma for group in groups) == luma


def test_more_channels_of_luma_only_add_groups_at_the_end() -> None:
    assert order.groups(256, 80)[:6] == order.groups(176, 80)


def test_sources_are_the_channels_of_each_colour_and_the_lowest_of_both() -> None:
    groups = order.groups(176, 80)
    sources = order.sources(groups)
    assert len(order.numbers(sources["luma"])) == 176
    assert sorted([*order.numbers(sources["luma"]), *order.numbers(sources["chroma"])]) == list(range(256))
    assert order.numbers(sources["features"]).tolist() == list(range(32))
    assert order.numbers(sources["chroma"]).tolist()[:4] == [3, 4, 22, 23]


KNOWN = {0: "... ... ...", 1: "x.x ... x.x", 2: ".x. x.x .x.", 3: "xxx x.x xxx"}


@pytest.mark.parametrize("phase", KNOWN)
def test_the_neighbours_that_are_known_in_each_phase(phase) -> None:
    drawn = " ".join("".join("x" if known else "." for known in row) for row in order.known_neighbours(phase))
    assert drawn == KNOWN[phase]
    assert np.array_equal(order.known_neighbours(phase), order.known_neighbours(phase)[::-1, ::-1])
