"""The conformance table: what it compares, and that the recorded one is of these vectors and drawn from its JSON."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from tools.card import table_in
from tools.conformance import pixels
from tools.conformance.__main__ import DOCUMENT, READERS, RECORD, is_good
from tools.conformance.pixels import Work
from tools.conformance.python_readers import SILENT, package_says
from tools.conformance.second_reader import second_says
from tools.conformance.table import all_tables
from tools.conformance.vectors import LeftOut, Vector, all_vectors, differences, tally

VECTORS = {vector.name: vector for vector in all_vectors()}
RICH = (
    "container/valid/122-receipts-and-names",
    "container/valid/160-sized-small",
    "container/valid/251-fields-every-type",
    "model/valid/001-dense",
    "model/valid/012-float-decoder",
    "container/invalid/540-decoder-is-another-model",
)
NOT_COMPARED = {"about", "rules", "format", "rows_in", "sizes_in", "sizes_out", "why", "seek", "only"}


def changed(value: object) -> object:
    """Something else."""
    if isinstance(value, list):
        return [changed(value[0]), *value[1:]] if value else [1]
    if isinstance(value, dict):
        return {**value, next(iter(value), "x"): changed(next(iter(value.values()), None))}
    if isinstance(value, str):
        return f"{value}0"
    return 7 if value is None else value + 5


@pytest.mark.parametrize("name", RICH)
@pytest.mark.parametrize("say", [package_says, second_says])
def test_whatever_the_json_says_is_compared(name, say):
    """The right answer passes; with any one key changed it does not."""
    vector = VECTORS[name]
    silent = (SILENT if say is package_says else ()) + ("values_hex",)
    said = say(vector)
    assert differences(vector, said, silent=silent) == []

    for key in set(vector.want) - NOT_COMPARED - set(silent):
        want = copy.deepcopy(vector.want)
        want[key] = changed(want[key])
        assert differences(Vector(vector.name, vector.path, want), said, silent=silent), key


def test_what_is_there_beyond_the_json_is_compared():
    """Names that a reader finds where there are none."""
    vector = VECTORS["container/valid/001-small"]

    assert differences(vector, package_says(vector) | {"names": [{"labels": [1]}]}) == ["names"]


def test_a_refusal_is_compared_by_role():
    """A validator must see what a reader may leave alone; another byte is another answer."""
    vector = VECTORS["container/invalid/873-decoder-golden-wrong"]
    right = {"rule": "M6-2", "code": "golden", "at": vector.want["at"], "inside": "dECo"}

    assert differences(vector, {"validator": right, "reader": None}) == []
    assert differences(vector, {"validator": None, "reader": None})
    assert differences(vector, {"validator": right | {"at": 1}})
    assert differences(vector, {"validator": right | {"inside": ""}})
    assert differences(VECTORS["container/invalid/386-compressed-nan"], {"reader": None})


def test_the_tally_counts():
    """Passed, failed with what differs, left out with the reason."""
    chosen = [VECTORS[f"container/valid/{name}"] for name in ("001-small", "130-rans", "250-fields")]

    def say(vector: Vector) -> dict:
        if "rans" in vector.name:
            raise LeftOut("rans")
        return package_says(vector) | ({"n_rows": 99} if "fields" in vector.name else {})

    found = tally(chosen, say)

    assert (found.passed, found.left_out, found.failed) == (1, {"rans": 1}, {"container/valid/250-fields": ["n_rows"]})


def test_pixels_that_differ_or_are_missing_count():
    work = Work("x", Path("x"), 2, np.array([1, 2, 3, 4], np.uint8), 1)

    assert pixels.decoded(work, lambda _: (np.array([1, 2, 9, 4], np.uint8), 1.0)).n_differing == 1
    assert pixels.decoded(work, lambda _: (np.array([9, 2, 3], np.uint8), 1.0)).n_differing == 2
    assert pixels.decoded(work, lambda _: (np.array([1, 2, 3, 4, 5], np.uint8), 1.0)).n_differing == 1


def test_the_recorded_table():
    """Of these vectors, by every reader, none failed and no pixel differs; JavaScript is as fast as was promised; drawn from the JSON."""
    found = json.loads(RECORD.read_text("utf-8"))

    assert 0 < found["vectors"] <= len(VECTORS)  # those that have been added since come into it with the next one
    assert list(found["readers"]) == list(READERS) and is_good(found)
    for reader in found["readers"].values():
        assert reader["vectors"]["passed"] + sum(reader["vectors"]["left_out"].values()) == found["vectors"]
    for name in ("JavaScript in Node", "JavaScript in Chromium"):
        decoded = found["readers"][name]["decoded"]
        assert decoded["digits"]["images"] / decoded["digits"]["seconds"] >= 20_000
        assert decoded["photograph"]["seconds"] <= 2
    text = DOCUMENT.read_text("utf-8")
    assert {name: table_in(text, name) for name in all_tables(found)} == all_tables(found)


def test_a_bad_table_is_not_good():
    found = json.loads(RECORD.read_text("utf-8"))
    one = found["readers"]["JavaScript in Node"]
    one["decoded"]["digits"]["differing"] = 1
    assert not is_good(found)
    one["decoded"]["digits"]["differing"] = 0
    one["vectors"]["failed"] = ["x"]
    assert not is_good(found)
