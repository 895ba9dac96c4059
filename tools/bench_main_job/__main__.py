"""Speed of pack and unpack beside a bare TensorFlow loop, and their memory, from one run.

    python -m tools.bench_main_job [--rows 100000,1000000] [--memory-rows 1000,...] [--out DIR] [--images INPUT]

Each job is a process of its own, start included: `aeformat pack` and `unpack` with either backend, and the bare loop of the same
network (bare.py).  The steady rate is what the larger number of rows takes beyond the smaller one.  CPU seconds are those of
the process on all cores; on a machine that does other work they tell more than the clock.  Writes DIR/main_job.json and .md, and with
--memory-rows (which needs the extra [bench]) a picture of seconds and memory, main_job.png.  --models without a name: no rates.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tools.bench_main_job.data import write_digits_apart, write_latents_apart
from tools.bench_main_job.plot import draw

if TYPE_CHECKING:
    from collections.abc import Sequence

_MODELS: Final = ("mnist-128-64-128", "mnist-exact")
_BACKENDS: Final = ("numpy", "tensorflow")
_HALVES: Final = {"pack": "encoder", "unpack": "decoder"}
_GOAL: Final = {"mnist-128-64-128": 0.7, "mnist-exact": 1.0}  # of the bare loop's steady rate
_BYTES_A_KB: Final = 1024
_TOP: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Run:
    """One process.  seconds: by the clock.  cpu: user and system, all cores.  peak_mb: resident, at most."""

    seconds: float
    cpu: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Result:
    """One job at two numbers of rows; the best of some runs each."""

    model: str
    job: str
    by: str  # the backend, or "bare"
    n_few: int
    n_many: int
    few: Run
    many: Run

    @property
    def whole(self) -> float:
        """Rows a second, start included."""
        return self.n_many / self.many.seconds

    @property
    def steady(self) -> float:
        """Rows a second, start left out."""
        return (self.n_many - self.n_few) / max(self.many.seconds - self.few.seconds, 1e-9)

    @property
    def cpu_us(self) -> float:
        """CPU microseconds a row, start left out."""
        return (self.many.cpu - self.few.cpu) / (self.n_many - self.n_few) * 1e6


def main() -> int:
    """Print the tables, and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=_numbers, default=[100_000, 1_000_000], metavar="FEW,MANY")
    parser.add_argument("--memory-rows", type=_numbers, default=[], metavar="N,...")
    parser.add_argument("--models", nargs="*", default=list(_MODELS), choices=_MODELS)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--images", default="mnist:train")
    parser.add_argument("--out", type=Path, default=Path())
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    results, memory = [], []
    with tempfile.TemporaryDirectory(prefix="aeformat-bench-") as name:
        folder = Path(name)
        n_few, n_many = options.rows
        labels = [write_digits_apart(folder / f"{n_rows}.npy", options.images, n_rows) for n_rows in (n_few, n_many)]
        for model in options.models:
            results += [result for job in _HALVES for result in _job(model, job, n_few, n_many, options.repeat, folder)]
        for n_rows in options.memory_rows:
            write_digits_apart(folder / "memory.npy", options.images, n_rows)
            memory += [
                (n_rows, job, asdict(_run(_ours(job, _MODELS[0], "numpy", "memory", folder)))) for job in _HALVES
            ]
    if memory:
        draw(memory, _MODELS[0], options.out / "main_job.png")
    facts = _facts(labels[0])
    text = _markdown(facts, results, memory)
    print(text)
    (options.out / "main_job.md").write_text(text, "utf-8")
    found = {"facts": facts, "results": [asdict(result) for result in results], "memory": memory}
    (options.out / "main_job.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    return 0


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _facts(label: str) -> dict[str, Any]:
    packages = {name: version(name) for name in ("numpy", "zstandard", "tensorflow-cpu")}
    return {
        "images": label,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        **packages,
    }


def _ours(job: str, model: str, backend: str, stem: str, folder: Path) -> list[str]:
    paths = [f"{stem}.npy", "-o", f"{stem}.aef"] if job == "pack" else [f"{stem}.aef", "-o", "out.npy"]
    paths = [str(folder / path) if path != "-o" else path for path in paths]
    named = ["--model", model] if job == "pack" else []
    return ["-m", "aeformat", job, *paths, *named, "--backend", backend, "--force"]


def _bare(job: str, model: str, stem: str, folder: Path) -> list[str]:
    source = folder / (f"{stem}.npy" if job == "pack" else f"{stem}-latents.npy")
    return ["-m", "tools.bench_main_job.bare", _HALVES[job], model, str(source), str(folder / "bare.out")]


def _job(model: str, job: str, n_few: int, n_many: int, n_times: int, folder: Path) -> list[Result]:
    """Ours with each backend, and the bare loop; they take turns, so that all meet the same moods of the machine."""
    if job == "unpack":
        for n_rows in (n_few, n_many):
            write_latents_apart(folder / f"{n_rows}-latents.npy", n_rows)
    runs: dict[tuple[str, int], list[Run]] = {}
    for _ in range(n_times):
        for by in ("bare", *_BACKENDS):
            for n_rows in (n_few, n_many):
                stem = str(n_rows)
                command = _bare(job, model, stem, folder) if by == "bare" else _ours(job, model, by, stem, folder)
                runs.setdefault((by, n_rows), []).append(_run(command))
    return [
        Result(model, job, by, n_few, n_many, _best(runs[by, n_few]), _best(runs[by, n_many]))
        for by in ("bare", *_BACKENDS)
    ]


def _best(runs: Sequence[Run]) -> Run:
    return Run(min(r.seconds for r in runs), min(r.cpu for r in runs), max(r.peak_mb for r in runs))


def _run(arguments: list[str]) -> Run:
    """Run Python with these arguments.  Raises RuntimeError where it fails."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([sys.executable, *arguments], cwd=_TOP, stderr=said, stdout=said)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(arguments)}: {said.read().decode(errors='replace')}")
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * _BYTES_A_KB / 1e6)


def _markdown(facts: dict[str, Any], results: list[Result], memory: list[Any]) -> str:
    lines = [", ".join(f"{key} {value}" for key, value in facts.items()), ""]
    if results:
        lines += [
            "| model | job | by | whole process, rows/s | of bare | steady, rows/s | of bare | goal | CPU us a row | peak MB |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
    for result in results:
        bare = next(r for r in results if (r.model, r.job, r.by) == (result.model, result.job, "bare"))
        whole, steady = result.whole / bare.whole, result.steady / bare.steady
        goal = (
            ""
            if result is bare
            else f"{_GOAL[result.model]:g}: {'reached' if steady >= _GOAL[result.model] else 'not reached'}"
        )
        lines.append(
            f"| {result.model} | {result.job} | {result.by} | {result.whole:,.0f} | {whole:.2f} | {result.steady:,.0f} | "
            f"{steady:.2f} | {goal} | {result.cpu_us:.2f} | {result.many.peak_mb:.0f} |"
        )
    if memory:
        lines += ["", f"| rows | job ({_MODELS[0]}, NumPy) | seconds | peak MB |", "|---|---|---|---|"]
        lines += [f"| {n:,} | {job} | {run['seconds']:.1f} | {run['peak_mb']:.0f} |" for n, job, run in memory]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
