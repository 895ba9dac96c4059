"""Compute the whole test set in every way there is, and see that nothing differs.

    python -m tools.exactness [--models NAME ...] [--only numpy tensorflow s390x] [--python-be DIR/python-be]
    python -m tools.exactness --table

A model of any size computes drawn images of several sizes instead of the test set, in tiles of so many pixels a side instead of
batches; and the passes of its prior, which TensorFlow computes by layers of its own.  What is not shipped is compared, and not kept.

For every exact model: TensorFlow and NumPy, batch sizes 1, 7, 64, 1000 and 4096, one, two and four threads (more than one where there
are rows to share, from 64 on), oneDNN on and off, another set of BLAS kernels, and, with --python-be (tools/s390x.sh makes
it), NumPy without floats on an emulated big-endian s390x, which is slow and gets one batch size: floats it emulates ten times slower
than integers.  Each setting is a process of its own, because libraries read it when they are loaded.

If all agree, with one another and with what models/exactness.json says of the same model ids, the runs are added to that file.
Exit code 1 if anything differs.  --table prints what models/README.md shows of the file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tools.exactness import results
from tools.exactness.work import BATCHES, Pair, exact_pairs

ROOT: Final = Path(__file__).resolve().parents[2]
_THREADS: Final = (1, 2, 4)
SHARED_FROM: Final = 64  # rows
_INTEGERS: Final[dict[str, object]] = {"sums": "int64"}
_GROUPS: Final = ("numpy", "tensorflow", "s390x")


class Setting(NamedTuple):
    """One process.  group: of _GROUPS.  backend: of BACKENDS.  settings: in words.  environment: what makes them so."""

    group: str
    backend: str
    settings: dict[str, object]
    environment: dict[str, str]
    python: str = sys.executable
    batches: tuple[int, ...] = BATCHES


def settings(python_be: str | None) -> Iterator[Setting]:
    """All of them."""
    for threads in _THREADS:
        yield Setting(
            "numpy", "numpy", {"threads": threads}, {"OPENBLAS_NUM_THREADS": str(threads)}, batches=batches(threads)
        )
    old = {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Nehalem"}  # adds up in another order; no AVX, no FMA
    yield Setting("numpy", "numpy", {"threads": 1, "kernels": "Nehalem"}, old)
    for threads in _THREADS:
        for onednn in ("on", "off"):
            names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
            environment = dict.fromkeys(names, str(threads)) | {"TF_ENABLE_ONEDNN_OPTS": str(int(onednn == "on"))}
            told: dict[str, object] = {"threads": threads, "onednn": onednn}
            yield Setting("tensorflow", "tensorflow", told, environment, batches=batches(threads))
    if python_be is not None:
        yield Setting("s390x", "integers", _INTEGERS, {"BE_PYTHONPATH": str(ROOT)}, python_be, (SHARED_FROM,))


def batches(threads: int) -> tuple[int, ...]:
    """The batch sizes that are run with so many threads: more than one want rows to share."""
    return tuple(batch for batch in BATCHES if threads == 1 or batch >= SHARED_FROM)


def run(setting: Setting, models: Iterable[str]) -> Iterator[dict[str, Any]]:
    """What one process says, line by line, with what computes in each.  Raises SystemExit where it fails."""
    command = [setting.python, "-m", "tools.exactness.work", "--backend", setting.backend]
    command += ["--batches", *map(str, setting.batches), "--models", *models]
    environment = {**os.environ, **setting.environment}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        assert process.stdout is not None
        about: dict[str, Any] = {}
        for line in process.stdout:
            said = json.loads(line)
            if about:
                yield about | said
            else:
                about = said | {"settings": setting.settings}
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")


def main(arguments: list[str] | None = None) -> int:
    """0 if nothing differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", nargs="+", help="names of exact models, or paths; all that are shipped by default")
    parser.add_argument("--only", choices=_GROUPS, nargs="+", default=_GROUPS, help="what to run; all by default")
    parser.add_argument("--python-be", default=os.environ.get("AEFORMAT_PYTHON_BE"), help="a big-endian Python")
    parser.add_argument("--table", action="store_true", help="compute nothing, print the table of models/README.md")
    options = parser.parse_args(arguments)
    if options.table:
        print("\n".join(results.table(results.load())))
        return 0
    pairs = exact_pairs(options.models)
    unknown = set(options.models or ()) - pairs.keys()
    if unknown:
        parser.error(f"no exact model {', '.join(sorted(unknown))}")
    if "s390x" in options.only and options.python_be is None:
        parser.error("s390x takes a big-endian Python: --python-be, or leave it out with --only numpy tensorflow")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in pairs}
    for setting in settings(options.python_be):
        for said in run(setting, pairs) if setting.group in options.only else ():
            found[said["model"]].append(said)
            pixels = said["digests"][results.of_most(said["digests"])]["pixels"][:16]
            print(f"{said['model']:24} {results.describe(said):72} {said['seconds']:7.1f} s  {pixels}", flush=True)
    return _keep(pairs, found)


def _keep(pairs: dict[str, Pair], found: dict[str, list[dict[str, Any]]]) -> int:
    """Add the runs to the file, if they agree with it."""
    known = results.load()
    runs = {name: results.merged([*results.runs_of(known.get(name), pairs[name]), *new]) for name, new in found.items()}
    problems = [line for name, of_model in runs.items() for line in results.disagreements(name, of_model)]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 1
    here = exact_pairs().keys()
    entries = {name: results.entry(pairs[name], of_model) for name, of_model in runs.items()}
    results.save({name: was for name, was in (known | entries).items() if name in here})
    print("\n".join(results.table(entries)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
