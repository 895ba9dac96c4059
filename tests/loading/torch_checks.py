"""What test_torch.py runs in a Python that has torch: one check, named on the command line, on the files that `made` writes.

    python torch_checks.py CHECK FOLDER

With the checkout and its tests/ on PYTHONPATH.  Prints a line of JSON.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torch.distributed
import torch.multiprocessing
from torch.utils.data import DataLoader

import aeformat
import aeformat.torch as at
from loading import made

OPTIONS = {"shuffle": 3, "window": 3, "lanes": 4}


def plain(path: Path, **options: object) -> list[list[int]]:
    """The rows of each batch as aeformat.batches has them."""
    return [batch.rows.tolist() for batch in aeformat.batches(path, 16, **{**OPTIONS, **options})]


def rows_of(loader: object) -> list[list[int]]:
    return [batch["row"].tolist() for batch in loader]


def check_workers(folder: Path) -> object:
    """Every number of workers, forked and spawned, and workers that live on: the order of aeformat.batches, each epoch."""
    data = at.IterableDataset(folder / "a.aef", 16, **OPTIONS)
    wanted = [plain(folder / "a.aef", epoch=epoch) for epoch in range(3)]
    for n_workers, context, lives_on in [
        (0, None, False), (1, "fork", False), (3, "fork", False), (4, "fork", True), (2, "spawn", True),
    ]:  # fmt: skip
        loader = DataLoader(
            data, batch_size=None, num_workers=n_workers, multiprocessing_context=context, persistent_workers=lives_on
        )
        for epoch in range(2 if context == "spawn" else 3):
            data.set_epoch(epoch)
            assert rows_of(loader) == wanted[epoch], (n_workers, context, epoch)
    assert len(data) == len(wanted[0])
    return len(wanted[0])


def check_ranks(folder: Path) -> object:
    """Ranks times workers: each row once, and batch b is that of rank b mod world_size."""
    whole = plain(folder / "a.aef")
    for world_size in (2, 3):
        found = {}
        for rank in range(world_size):
            data = at.IterableDataset(folder / "a.aef", 16, rank=rank, world_size=world_size, uneven="keep", **OPTIONS)
            found[rank] = rows_of(DataLoader(data, batch_size=None, num_workers=2))
        for rank, own in found.items():
            assert own == whole[rank::world_size]
        assert sorted(row for own in found.values() for rows in own for row in rows) == list(range(made.N_ROWS))
    return len(whole)


def _rank(rank: int, folder: str, queue: object) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    data = at.IterableDataset(Path(folder) / "a.aef", 16, **OPTIONS)
    sampler = at.BatchSampler(at.Dataset(Path(folder) / "a.aef"), 16, **OPTIONS)
    queue.put((rank, rows_of(DataLoader(data, batch_size=None, num_workers=1)), list(sampler)))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def check_distributed(folder: Path) -> object:
    """Rank and world_size come from torch.distributed; ranks get equally many batches, padded from the beginning."""
    context = torch.multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    processes = [context.Process(target=_rank, args=(rank, str(folder), queue)) for rank in range(2)]
    for process in processes:
        process.start()
    found = {rank: (rows, sampled) for rank, rows, sampled in (queue.get() for _ in processes)}
    for process in processes:
        process.join()
        assert process.exitcode == 0
    for rank in range(2):
        assert found[rank] == (plain(folder / "a.aef", rank=rank, world_size=2),) * 2
    return len(found)


def check_tensors(folder: Path) -> object:
    """bf16 is torch.bfloat16, never widened; fields, names and pinned memory as they should be."""
    for kind in ("a.aef", "set"):
        alone = next(iter(at.IterableDataset(folder / kind, 16, **OPTIONS)))
        for batch in DataLoader(at.IterableDataset(folder / kind, 16, **OPTIONS), batch_size=None, num_workers=1):
            rows = batch["row"].tolist()
            assert batch["latents"].dtype == torch.bfloat16
            assert type(batch) is dict and list(batch) == list(alone)
            assert batch["latents"].is_shared() and not batch["row"].is_shared()  # small ones came through the pipe
            wanted = torch.from_numpy(np.stack([made.values_of(row) for row in rows]))
            assert torch.equal(batch["latents"].float(), wanted)
            assert batch["label"].tolist() == rows and batch["crop"].tolist() == [[row, 1, 2, 3] for row in rows]
            assert batch["name"] == [f"{row}.png" for row in rows]
            assert batch["caption"] == [made.caption_of(row) for row in rows]
            batch["latents"] += 1  # it can be written to
    return str(batch["latents"].dtype)


def check_rows(folder: Path) -> object:
    """Dataset: whole batches by any sampler, one row by its number, and collate functions that know nothing of it."""
    data = at.Dataset(folder / "a.aef")
    sampler = at.BatchSampler(data, 16, **OPTIONS)
    loader = DataLoader(data, batch_sampler=sampler, collate_fn=at.collate, num_workers=2)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        assert rows_of(loader) == plain(folder / "a.aef", epoch=epoch)
    one = data[-1]
    assert (one["row"], one["name"], one["latents"].shape) == (made.N_ROWS - 1, f"{made.N_ROWS - 1}.png", (4, 2, 2))
    bare = at.Dataset(folder / "a.aef", fields=["label", "crop"])
    usual = list(DataLoader(bare, batch_size=100, shuffle=True))
    assert sorted(row for batch in usual for row in batch["row"].tolist()) == list(range(made.N_ROWS))
    assert usual[0]["label"].tolist() == usual[0]["row"].tolist()
    plain_list = at.collate([{"a": torch.ones(2)}, {"a": torch.zeros(2)}])
    assert plain_list["a"].shape == (2, 2)
    for wrong in (made.N_ROWS, -made.N_ROWS - 1):
        try:
            data[wrong]
        except IndexError:
            continue
        raise AssertionError(wrong)
    return len(data)


def check_shapes(folder: Path) -> object:
    """Batches by shape, from both kinds of data set; rows of many shapes come one by one."""
    path = folder / "shapes.aef"
    data = at.Dataset(path)
    sampler = at.BatchSampler(data, 10, **OPTIONS)
    assert len(sampler) == len(list(sampler))
    for loader in (
        DataLoader(at.IterableDataset(path, 10, **OPTIONS), batch_size=None, num_workers=2),
        DataLoader(data, batch_sampler=sampler, collate_fn=at.collate),
    ):
        found = list(loader)
        assert sorted(row for batch in found for row in batch["row"].tolist()) == list(range(made.N_ROWS))
        for batch in found:
            wanted = np.stack([made.shaped(row) for row in batch["row"].tolist()])
            assert batch["latents"].dtype == torch.float16 and np.array_equal(batch["latents"].numpy(), wanted)
    several = data.__getitems__([0, 1, 2, 3])
    assert [tuple(row["latents"].shape) for row in several] == [made.shaped(row).shape for row in range(4)]
    return len(found)


def check_resume(folder: Path) -> object:
    """A plain DataLoader, by the number of batches that it has handed out; then the next epoch is whole again."""
    path, whole = folder / "a.aef", plain(folder / "a.aef", epoch=2)
    after = plain(folder / "a.aef", epoch=3)
    for done, n_workers in [(0, 0), (5, 0), (7, 2), (33, 3), (34, 1)]:
        data = at.IterableDataset(path, 16, **OPTIONS)
        data.set_epoch(2)
        state = json.loads(json.dumps(data.batches_done(done)))
        again = at.IterableDataset(path, 16, **OPTIONS)
        again.load_state_dict(state)
        assert again.epoch == 2
        loader = DataLoader(again, batch_size=None, num_workers=n_workers)
        assert rows_of(loader) == whole[done:], (done, n_workers)
        again.set_epoch(3)
        assert rows_of(loader) == after
    data = at.IterableDataset(path, 16, **OPTIONS)
    try:
        at.IterableDataset(path, 15, **OPTIONS).load_state_dict(data.state_dict())
    except aeformat.UsageError as error:
        assert "other batches" in str(error)
        return "resumed"
    raise AssertionError("a state of other batches was taken")


def check_stateful(folder: Path) -> object:
    """StatefulDataLoader of torchdata: stop in the middle, go on in a new process's objects, with exactly the rest."""
    from torchdata.stateful_dataloader import StatefulDataLoader

    path, whole = folder / "a.aef", plain(folder / "a.aef", epoch=1)

    def loader_of(kind: str, n_workers: int, context: str | None) -> tuple[object, object]:
        if kind == "iterable":
            data = at.IterableDataset(path, 16, **OPTIONS)
            return data, StatefulDataLoader(
                data, batch_size=None, num_workers=n_workers, multiprocessing_context=context
            )
        rows = at.Dataset(path)
        sampler = at.BatchSampler(rows, 16, **OPTIONS)
        return sampler, StatefulDataLoader(
            rows, batch_sampler=sampler, collate_fn=at.collate, num_workers=n_workers, multiprocessing_context=context
        )

    for kind, n_workers, context, done in [
        ("iterable", 0, None, 5), ("iterable", 3, "fork", 8), ("iterable", 2, "spawn", 9), ("iterable", 2, "fork", 33),
        ("rows", 0, None, 5), ("rows", 3, "fork", 8),
    ]:  # fmt: skip
        position, loader = loader_of(kind, n_workers, context)
        position.set_epoch(1)
        iterator = iter(loader)
        before = [next(iterator)["row"].tolist() for _ in range(done)]
        state = pickle.loads(pickle.dumps(loader.state_dict()))
        del iterator
        position, loader = loader_of(kind, n_workers, context)
        position.set_epoch(1)
        loader.load_state_dict(state)
        assert before + rows_of(loader) == whole, (kind, n_workers, done)
    return "exact"


def check_damage(folder: Path) -> object:
    """The text of the error in a worker names file, rule and byte."""
    data = at.IterableDataset(folder / "bad.aef", 16, **OPTIONS)
    found = []
    for n_workers in (0, 2):
        try:
            rows_of(DataLoader(data, batch_size=None, num_workers=n_workers))
        except (aeformat.FormatError, RuntimeError) as error:
            found.append(str(error).strip().splitlines()[-1])
    return found


def check_pickle(folder: Path) -> object:
    """By pickle alone, in the middle of an epoch too."""
    data = at.IterableDataset(folder / "set", 16, **OPTIONS)
    first = next(iter(data))["row"].tolist()
    again = pickle.loads(pickle.dumps(data))
    again.load_state_dict(data.state_dict())
    assert [first, *rows_of(again)] == plain(folder / "a.aef")
    rows = pickle.loads(pickle.dumps(at.Dataset(folder / "a.aef")))
    assert rows[3]["row"] == 3
    return "pickled"


def check_refusals(folder: Path) -> object:
    """One clear line for each mistake."""
    said = []
    for call in (
        lambda: at.IterableDataset(folder / "a.aef", 16, rank=1),
        lambda: at.IterableDataset(folder / "a.aef", 16, rank=2, world_size=2),
        lambda: at.IterableDataset(folder / "taken.aef", 16),
        lambda: at.IterableDataset(folder / "a.aef", 0),
    ):
        try:
            call()
        except aeformat.UsageError as error:
            said.append(str(error))
    return said


if __name__ == "__main__":
    warnings.filterwarnings(
        "ignore", "This DataLoader will create"
    )  # more workers than this machine has cores: as meant
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps(globals()[f"check_{sys.argv[1]}"](Path(sys.argv[2]))) + "\n")
