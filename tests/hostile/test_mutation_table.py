"""Flip any byte, cut anywhere: refused, never silently different (tools/mutation_table.py)."""

from __future__ import annotations

import pytest

from aeformat.errors import Truncated
from tools import mutation_table


def test_no_changed_byte_is_read_silently_and_every_cut_is_truncation(capsys):
    """A sample of the bytes of all 30 files; the whole table is the tool's business."""
    assert mutation_table.main(["--quick"]) == 0

    *rows, total = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) == 30
    assert total.split()[0] == "all"


def test_the_table_notices_a_reader_that_does_not_look(monkeypatch, capsys):
    """What takes any bytes is silently different in every flip, and the exit code is 1."""
    monkeypatch.setattr(mutation_table, "read_forward", lambda path: (path.read_bytes(),))

    assert mutation_table.main(["--quick"]) == 1
    first = capsys.readouterr().out.splitlines()[1].split()
    n_flips, n_silent = first[-7], first[-3]
    assert n_flips == n_silent


@pytest.mark.parametrize("read", [mutation_table.read_forward, mutation_table.read_by_seeking])
def test_a_cut_right_behind_the_embedded_decoder_is_a_cut(read, tmp_path):
    """The last bytes are a whole trailer then, but that of the container inside."""
    data = mutation_table.files()["u8, embedded decoder"]
    (tmp_path / "cut.aef").write_bytes(data[: data.index(b"TAIL") + 64])

    with pytest.raises(Truncated, match="C9-1"):
        read(tmp_path / "cut.aef")
