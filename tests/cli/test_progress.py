"""What send and fetch show while bytes move: on a terminal, and nowhere else."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import ClassVar

import pytest

from aeformat.cli import remote


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Bar:
    """tqdm's, as far as it is used."""

    made: ClassVar[list[Bar]] = []

    def __init__(self, *, total: int, desc: str, **_: object) -> None:
        self.what, self.total, self.n, self.is_closed = desc, total, 0, False
        self.made.append(self)

    def update(self, n_bytes: int) -> None:
        self.n += n_bytes

    def close(self) -> None:
        self.is_closed = True


def show() -> None:
    with remote.ByteProgress() as progress:
        progress.update("decoder", 50, 50)
        for n_bytes in (10_000, 90_000, 40_000, 100_000):  # it goes back where a chunk was damaged
            progress.update("sending", n_bytes, 100_000)


def test_a_bar_for_each_transfer(monkeypatch):
    """A bar ends at the offset of the server, even if that went back."""
    Bar.made = []
    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(tqdm=Bar))
    monkeypatch.setattr(sys, "stderr", Terminal())
    show()
    assert [(bar.what, bar.total, bar.n, bar.is_closed) for bar in Bar.made] == [
        ("decoder", 50, 50, True),
        ("sending", 100_000, 100_000, True),
    ]


def test_a_line_a_second_without_tqdm(monkeypatch):
    """Sizes are printed with units."""
    clock = iter(range(0, 100, 2))
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(remote, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    show()
    lines = sys.stderr.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[-1] == "sending: 100 kB of 100 kB"


@pytest.mark.parametrize("has_tqdm", [True, False])
def test_nothing_where_nobody_looks(monkeypatch, has_tqdm):
    """A log file stays clean."""
    Bar.made = []
    monkeypatch.setitem(sys.modules, "tqdm", SimpleNamespace(tqdm=Bar) if has_tqdm else None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    show()
    assert (Bar.made, sys.stderr.getvalue()) == ([], "")
