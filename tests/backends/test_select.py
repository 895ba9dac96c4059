"""Which backend "auto" takes: what is done first, its start included."""

from __future__ import annotations

import subprocess
import sys

import pytest
from model.networks import note_halves

from aeformat.backends import select
from aeformat.backends.select import select_backend
from aeformat.errors import BackendUnavailable, UsageError

ENCODER, DECODER = note_halves("exact")
FLOAT_ENCODER, FLOAT_DECODER = note_halves("float32")


@pytest.fixture(params=[True, False], ids=["imported", "not imported"])
def is_imported(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """TensorFlow is installed, and in the process or not."""
    monkeypatch.setattr(select, "tensorflow_installed", lambda: True)
    monkeypatch.setattr(select.sys, "modules", {"tensorflow": object()} if request.param else {})
    return request.param


@pytest.mark.parametrize("name", ["numpy", "tensorflow"])
def test_a_name_is_obeyed(is_imported: bool, name: str) -> None:
    assert select_backend(name, n_rows=1, package=DECODER).name == name


@pytest.mark.parametrize(
    ("n_rows", "expected"), [(None, "numpy"), (0, "numpy"), (10_000, "numpy"), (10**8, "tensorflow")]
)
def test_auto_takes_tensorflow_for_much_work_only(is_imported: bool, n_rows: int | None, expected: str) -> None:
    assert select_backend("auto", n_rows=n_rows, package=DECODER).name == expected


def test_an_import_that_is_paid_for_makes_tensorflow_pay_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "tensorflow_installed", lambda: True)
    chosen = {}
    for modules in ({}, {"tensorflow": object()}):
        monkeypatch.setattr(select.sys, "modules", modules)
        sizes = [10**k for k in range(10)]
        chosen[bool(modules)] = next(
            n for n in sizes if select_backend("auto", n_rows=n, package=DECODER).name != "numpy"
        )

    assert chosen[True] < chosen[False]


def test_auto_computes_floats_the_same_way_whatever_their_number(is_imported: bool) -> None:
    """M5-3: the backends differ in the last bits, so the number of rows must not choose between them."""
    assert select_backend("auto", n_rows=10**9, package=FLOAT_ENCODER).name == "numpy"
    assert select_backend("auto", n_rows=10**9, package=FLOAT_DECODER).name == "numpy"
    assert select_backend("auto", n_rows=10**9, package=ENCODER).name == "tensorflow"


def test_auto_does_without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "tensorflow_installed", lambda: False)

    assert select_backend("auto", n_rows=10**9, package=DECODER).name == "numpy"
    with pytest.raises(BackendUnavailable, match="pip install"):
        select_backend("tensorflow", n_rows=1, package=DECODER)


def test_an_unknown_name_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="auto, tensorflow, numpy"):
        select_backend("torch", n_rows=1, package=DECODER)


def test_choosing_imports_no_tensorflow() -> None:
    code = "import sys, aeformat.backends.select, aeformat.backends.golden_check; sys.exit('tensorflow' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
