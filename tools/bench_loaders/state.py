"""How far a benchmark of loaders has come: which steps there are, and what each has found, kept in a file.

Owns state.json of the folder.  Runs nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

_FILE: Final = "state.json"


class Step(NamedTuple):
    """One child process.  column: "cold 2", as the table has it, with the number of workers; empty: the folder is written."""

    data: str
    name: str
    column: str
    round: int


def asked_of(options: argparse.Namespace, names: list[str]) -> dict[str, Any]:
    """What must be the same where a run goes on: all but the rows, the workers and the rounds."""
    return {"batch_size": options.batch_size, "names": names}


def steps(options: argparse.Namespace, names: list[str]) -> Iterator[Step]:
    """All of them, in order: folders first, then round after round; what is cold takes longest and comes last."""
    data = [f"{n_rows}x{size}" for n_rows, size in options.data]
    columns = [f"{kind} {n}" for kind in ("warm", "cold") for n in options.workers]
    yield from (Step(one, name, "", 0) for one in data for name in names)
    yield from (
        Step(one, name, column, number)
        for number in range(options.rounds)
        for one in data
        for column in columns
        for name in names
    )


class State:
    """What was found so far.  Raises SystemExit where the folder is that of another benchmark."""

    def __init__(self, work: Path, asked: dict[str, Any], versions: dict[str, str]) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self._work, self._path = work, work / _FILE
        fresh = {"asked": asked, "versions": versions, "written": {}, "runs": {}}
        self._kept: dict[str, Any] = json.loads(self._path.read_text("utf-8")) if self._path.exists() else fresh
        if self._kept["asked"] != asked:
            raise SystemExit(f"{work} has a benchmark of other batches or contenders: take another folder")

    def _folder(self, step: Step) -> Path:
        return self._work / step.data / str(self._kept["asked"]["names"].index(step.name))

    def _runs(self, step: Step) -> list[Any]:
        runs: list[Any] = (
            self._kept["runs"].setdefault(step.data, {}).setdefault(step.name, {}).setdefault(step.column, [])
        )
        return runs

    def has(self, step: Step) -> bool:
        """Whether it was done."""
        if not step.column:
            return step.name in self._kept["written"].get(step.data, {})
        return len(self._runs(step)) > step.round

    def given(self, step: Step) -> dict[str, Any]:
        """What the child process is asked for; an empty folder is there if it is to write one."""
        folder = self._folder(step)
        n_rows, size = map(int, step.data.split("x"))
        asked = {"name": step.name, "folder": os.fspath(folder), "rows": n_rows, "size": size}
        if not step.column:
            shutil.rmtree(folder, ignore_errors=True)  # of a step that was cut off
            folder.mkdir(parents=True)
            return {**asked, "do": "write"}
        kind, n_workers = step.column.split()
        about = {"batch_size": self._kept["asked"]["batch_size"], "workers": int(n_workers), "seed": step.round}
        return {**asked, "do": "load", "cold": kind == "cold", **about}

    def note(self, step: Step, found: dict[str, Any]) -> None:
        """A child process has found that."""
        if step.column:
            self._runs(step).append(found)
            said = f"{found['rows_a_second']:,.0f} rows a second"
        else:
            self._kept["versions"].update(found.pop("versions"))
            self._kept["written"].setdefault(step.data, {})[step.name] = found
            said = f"{found['bytes']:,} bytes"
        sys.stderr.write(f"{step.round} {step.data} {step.column} {step.name}: {said}\n")
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(self._kept), "utf-8")
        beside.replace(self._path)

    def results(self, options: argparse.Namespace, left_out: dict[str, str]) -> dict[str, Any]:
        """What the table is made of: the rounds that were asked for."""
        asked, written, runs = (self._kept[key] for key in ("asked", "written", "runs"))
        data = []
        for n_rows, size in options.data:
            key = f"{n_rows}x{size}"
            contenders = {
                name: {
                    **written[key][name],
                    "runs": {column: found[: options.rounds] for column, found in runs[key][name].items()},
                }
                for name in asked["names"]
            }
            data.append({"rows": n_rows, "size": size, "contenders": contenders, "left_out": left_out})
        about = {"batch_size": asked["batch_size"], "workers": options.workers, "rounds": options.rounds}
        return {**about, "versions": self._kept["versions"], "data": data}
