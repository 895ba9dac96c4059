"""Promise: a set reads as one file with the same rows would, and no writer loses what another has committed."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import signal
import threading
from pathlib import Path
from random import Random

import numpy as np
import pytest

import aeformat
from aeformat.cli.main import main
from aeformat.errors import SetInvalid, UsageError
from aeformat.sets.manifest import NAME, parse_manifest
from aeformat.sets.set_writer import file_digest

OPTIONS = {"dims": (2, 3), "encoding": "f16le", "fields": {"label": int, "caption": str}}
PER_SHARD, N_SHARDS = 23, 5


def values_of(first: int, n_rows: int) -> np.ndarray:
    return (np.arange(first * 6, (first + n_rows) * 6) % 2000).astype(np.float16).reshape(n_rows, 2, 3)


def add_shard(folder: Path, first: int, n_rows: int = PER_SHARD, **options: object) -> aeformat.SetWriter:
    """One more shard, not committed."""
    writing = aeformat.create_set(folder, **(OPTIONS | options))
    rows = range(first, first + n_rows)
    with writing.writer() as file:
        file.write(
            values_of(first, n_rows),
            names=[f"{row}.png" for row in rows],
            label=list(rows),
            caption=[f"no. {row}" for row in rows],
        )
    return writing


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("set")
    for number in range(N_SHARDS):
        add_shard(place, number * PER_SHARD).commit()
    return place


PICKS = [
    7,
    -1,
    slice(None),
    slice(20, 70),
    slice(None, None, -7),
    [100, 0, 23, 22, 0],
    np.arange(115) % 4 == 0,
    [],
    ...,
]


@pytest.mark.parametrize("rows", PICKS, ids=str)
@pytest.mark.parametrize("open_files", [1, 64])
def test_rows_and_fields_are_those_of_one_file(folder, rows, open_files):
    whole = values_of(0, N_SHARDS * PER_SHARD)
    index = np.array(rows, int) if isinstance(rows, list) else rows
    with aeformat.open(folder, open_files=open_files) as latents:
        found = latents[rows]
        assert found.dtype == np.float16
        assert found.tolist() == whole[index].tolist()
        labels = latents.field("label", rows)
        assert np.array_equal(labels, np.arange(len(whole))[index])
        captions = latents.fields["caption"][rows]
        assert captions == ([f"no. {n}" for n in labels] if np.ndim(labels) else f"no. {labels}")
        assert len(latents._open) <= open_files


def test_a_set_says_what_it_is(folder):
    with aeformat.open(folder / NAME) as latents:
        assert (len(latents), latents.shape, latents.ndim, len(latents.shards)) == (115, (115, 2, 3), 3, 5)
        assert "115 rows in 5 shards" in repr(latents)
        assert latents.index_of("63.png") == 63
        assert latents["63.png"].tolist() == latents[63].tolist()
        assert latents.names(-1).names == ("114.png",)
        assert latents.sizes(20, 50).n_rows == 30
        assert np.asarray(latents).shape == latents.shape
        with pytest.raises(KeyError):
            latents.index_of("nobody")
        with pytest.raises(IndexError):
            latents[115]
    with pytest.raises(UsageError, match="closed"):
        latents[0]


def test_rows_of_their_own_size(tmp_path):
    writing = aeformat.create_set(tmp_path, dims=(2, None), encoding="u8")
    for k in range(3):
        with writing.writer() as file:
            file.append([np.full((2, n), 10 * k + n, np.uint8) for n in (1, 3, 2)])
    writing.commit()
    with aeformat.open(tmp_path) as latents:
        assert [row.shape for row in latents[2:7]] == [(2, 2), (2, 1), (2, 3), (2, 2), (2, 1)]
        assert latents.sizes().shapes() == [(2, 1), (2, 3), (2, 2)] * 3
        assert latents[7][0, 0] == 23


def test_a_set_is_shared_and_pickled(folder):
    """By threads, and by processes that are given it."""
    whole, wrong = values_of(0, 115), []
    with aeformat.open(folder, open_files=2, cache_bytes=0) as latents:

        def look(seed: int) -> None:
            rng = Random(seed)
            rows = [rng.randrange(115) for _ in range(60)]
            wrong.extend(row for row in rows if latents[row].tolist() != whole[row].tolist())

        threads = [threading.Thread(target=look, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        again = pickle.loads(pickle.dumps(latents))
    assert wrong == []
    assert again[100].tolist() == whole[100].tolist()


def test_a_reader_stays_with_the_manifest_that_it_read(tmp_path):
    """S3-3: what is in the folder, or is committed later, is not looked at."""
    add_shard(tmp_path, 0).commit()
    with aeformat.open(tmp_path) as latents:
        data = pickle.dumps(latents)
        add_shard(tmp_path, 23).commit()
        add_shard(tmp_path, 46)
        assert (len(latents), len(pickle.loads(data))) == (23, 23)
    assert len(aeformat.open(tmp_path)) == 46


class TestWriting:
    def test_a_shard_is_named_by_its_digest_and_made_twice_is_one(self, tmp_path):
        """S4-1, S4-2: the same rows give the same bytes."""
        for _ in range(2):
            manifest = add_shard(tmp_path, 0).commit()
        (shard,) = manifest.shards
        assert shard.name == f"{file_digest(tmp_path / shard.name).hex()}.aef" == f"{shard.digest.hex()}.aef"
        assert manifest.generation == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([shard.name, NAME, f"{NAME}.lock"])

    def test_an_error_leaves_no_shard(self, tmp_path):
        writing = aeformat.create_set(tmp_path, **OPTIONS)
        with pytest.raises(RuntimeError), writing.writer() as file:
            file.write(values_of(0, 1), label=[1], caption=["a"])
            raise RuntimeError
        with pytest.raises(UsageError, match="nothing to commit"):
            writing.commit()
        assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}.lock"]

    def test_a_shard_of_another_kind_is_refused(self, tmp_path):
        add_shard(tmp_path, 0).commit()
        before = (tmp_path / NAME).read_bytes()
        for options in ({"codec": "none"}, {"fields": {"label": "int8", "caption": str}}):
            with pytest.raises(UsageError, match="another header or other fields"):
                add_shard(tmp_path, 23, **options).commit()
        assert (tmp_path / NAME).read_bytes() == before

    def test_a_file_that_is_there_can_be_added(self, tmp_path):
        writing = add_shard(tmp_path, 0)
        (orphan,) = tmp_path.glob("*.aef")
        later = aeformat.create_set(tmp_path)
        later.add(orphan)
        assert later.commit().n_rows == 23
        assert writing.commit().generation == 1
        later.add(Path("/nowhere/x.aef"))
        with pytest.raises(UsageError, match="not in the folder of the set"):
            later.commit()

    def test_what_does_not_go_with_a_set_is_refused(self, tmp_path):
        with pytest.raises(UsageError, match="append, force does not go"):
            aeformat.create_set(tmp_path, append=True, force=True)
        with pytest.raises(UsageError, match="open_files"):
            aeformat.LatentsSet(tmp_path, open_files=0)
        add_shard(tmp_path, 0).commit()
        with pytest.raises(UsageError, match="leave incomplete out"):
            aeformat.open(tmp_path, incomplete=True)


def commit_some(folder: Path, first: int, n_shards: int) -> None:
    """In a child process: so many shards of two rows, a commit for each."""
    for number in range(n_shards):
        add_shard(folder, first + 2 * number, 2).commit()


@pytest.mark.parametrize("n_processes", [4])
def test_writers_that_race_lose_nothing(tmp_path, n_processes):
    """S4-3: every row that was committed is in the set once."""
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=commit_some, args=(tmp_path, 20 * k, 10)) for k in range(n_processes)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * n_processes
    with aeformat.open(tmp_path) as latents:
        assert sorted(latents.field("label").tolist()) == list(range(20 * n_processes))
        assert latents.manifest.generation == 10 * n_processes
    assert aeformat.validate(tmp_path).problems == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill so")
def test_a_writer_that_is_killed_takes_nothing_along(tmp_path):
    """The manifest is always one of those that were committed, and the lock is free again."""
    context, rng = multiprocessing.get_context("spawn"), Random(5)
    for round_ in range(3):
        child = context.Process(target=commit_some, args=(tmp_path, 1000 * round_, 500))
        child.start()
        while not (tmp_path / NAME).exists() or parse_manifest((tmp_path / NAME).read_bytes()).n_rows < 10 * (
            round_ + 1
        ):
            child.join(rng.random() / 50)
            assert child.exitcode is None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        with aeformat.open(tmp_path) as latents:
            labels = latents.field("label").tolist()
            assert len(set(labels)) == len(labels) == latents.n_rows
    add_shard(tmp_path, 5000, 2).commit()
    assert aeformat.validate(tmp_path).problems == []


class TestChecking:
    def test_a_good_set_is_good(self, folder, capsys):
        assert aeformat.validate(folder).problems == []
        assert main(["validate", str(folder)]) == 0
        assert "good: set, 115 rows in 5 shards" in capsys.readouterr().out
        assert main(["info", "--json", str(folder)]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert (facts["kind"], facts["rows"], len(facts["shards"]), facts["fields"]["label"]) == (
            "set",
            115,
            5,
            "int64",
        )
        assert main(["info", str(folder / NAME)]) == 0
        assert "caption text, label int64" in capsys.readouterr().out

    def test_a_command_of_one_file_says_so(self, folder, capsys):
        assert main(["convert", str(folder), f"{folder}.aef", "--codec", "none"]) == 2
        assert "is a set, and this command takes one file" in capsys.readouterr().err

    def test_a_set_that_names_no_decoder_is_not_unpacked(self, folder, tmp_path, capsys):
        """Its rows are, as they are."""
        assert main(["unpack", str(folder), "-o", str(tmp_path / "out.npy")]) == 4
        assert "does not say which decoder" in capsys.readouterr().err
        assert not (tmp_path / "out.npy").exists()
        assert main(["unpack", str(folder), "--latents", "-o", str(tmp_path / "rows.npy")]) == 0
        assert np.array_equal(np.load(tmp_path / "rows.npy"), values_of(0, 115))

    @pytest.fixture
    def own(self, tmp_path):
        add_shard(tmp_path, 0).commit()
        add_shard(tmp_path, 23).commit()
        return tmp_path

    def problems(self, folder: Path) -> list[str]:
        assert main(["validate", "--json", str(folder)]) != 0
        return [problem.rule for problem in aeformat.validate(folder).problems]

    def test_another_file_in_the_place_of_a_shard_is_found(self, own):
        """S3-1 by whoever opens it, S3-2 by the validator."""
        first, second = parse_manifest((own / NAME).read_bytes()).shards
        (own / second.name).write_bytes((own / first.name).read_bytes())
        assert self.problems(own) == ["S3-1"]
        with aeformat.open(own) as latents:
            assert latents[0].shape == (2, 3)
            with pytest.raises(SetInvalid, match="the shard has another"):
                latents[40]

    def test_a_shard_with_other_names_is_found(self, own):
        """The same length, header and content id: only the digest tells."""
        _, second = parse_manifest((own / NAME).read_bytes()).shards
        place = own / second.name
        with aeformat.create(own / "x", codec="none", **OPTIONS) as file:
            file.write(values_of(23, 23), label=[7] * 23, caption=["a"] * 23)
        place.write_bytes((own / "x").read_bytes())
        assert self.problems(own) == ["S3-1"]

    def test_a_digest_that_is_another_is_found(self, own):
        data = (own / NAME).read_bytes()
        manifest = parse_manifest(data)
        wrong = manifest._replace(shards=(manifest.shards[0], manifest.shards[1]._replace(digest=bytes(32))))
        (own / NAME).write_bytes(wrong.to_bytes())
        assert self.problems(own) == ["S3-2"]

    def test_damage_in_a_shard_has_its_own_rule(self, own):
        _, second = parse_manifest((own / NAME).read_bytes()).shards
        data = bytearray((own / second.name).read_bytes())
        data[-1] ^= 1
        (own / second.name).write_bytes(data)
        assert self.problems(own) == ["C9-2"]

    def test_a_shard_that_is_gone_is_told(self, own, capsys):
        _, second = parse_manifest((own / NAME).read_bytes()).shards
        (own / second.name).unlink()
        assert self.problems(own) == [""]
        assert main(["validate", str(own)]) == 2

    def test_a_manifest_that_is_cut_is_told(self, own):
        (own / NAME).write_bytes((own / NAME).read_bytes()[:-1])
        assert self.problems(own) == ["S1-2"]
