"""Programs beyond Python that readers take: found or missing, run, and kept to one core."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Missing(Exception):
    """Something that is not installed here; the text names it."""


def program(name: str) -> str:
    """The path of a program.  Raises Missing."""
    path = shutil.which(name)
    if path is None:
        raise Missing(name)
    return path


def npm(variable: str, package: str) -> Path:
    """The folder given to `npm install --prefix` that has a package: what an environment variable names.  Raises Missing."""
    prefix = os.environ.get(variable, "")
    if not prefix or not (Path(prefix) / "node_modules" / package).is_dir():
        raise Missing(f"{variable}, the folder of `npm install --prefix` with {package}")
    return Path(prefix)


def run(
    command: list[str], *, text: str = "", cwd: Path | None = None, environment: dict[str, str] | None = None
) -> str:
    """What a program prints.  Raises RuntimeError with its last words where it fails."""
    done = subprocess.run(command, input=text, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def one_core() -> Iterator[None]:
    """This process, and what it starts, on one core meanwhile; where the system cannot say so, nothing changes."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
