"""Fuzz what reads files.

    python tools/fuzz/run.py TARGET --runs N        one target: reader, validator, maps, package or second
    python tools/fuzz/run.py TARGET --seconds N     the same, for as long as that
    python tools/fuzz/run.py --smoke                all targets, the same number of runs on every machine
    python tools/fuzz/run.py TARGET FILE...         run these inputs, once each
    python tools/fuzz/run.py TARGET --distil FOLDER add to corpus/TARGET the smallest input of FOLDER for each new outcome

With atheris installed (`pip install atheris`) the run is guided by coverage.  Without it, inputs are drawn at random by
the same mutator, and one is kept as a start for others when it ends in a way not seen before.  --keep FOLDER writes there
what was found new.  An input that breaks a target is written to --crashes (default: a temporary folder) and named; the
exit code is then not 0.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

_ROOT = Path(__file__).resolve().parents[2]
if str(_ROOT) not in sys.path:
    sys.path.insert(0, str(_ROOT))

if TYPE_CHECKING:
    from tools.fuzz.targets import Target

MOST_BYTES = 8_192  # of one input
SMOKE_RUNS = 5_000  # a gate does the same work on a slow machine as on a fast one


def main(arguments: list[str] | None = None) -> int:
    """0 if nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?")
    parser.add_argument("inputs", nargs="*", type=Path)
    parser.add_argument("--smoke", action="store_true", help="all targets")
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--runs", type=int, default=SMOKE_RUNS, help="changed inputs for each target, besides those it begins with"
    )
    length.add_argument("--seconds", type=float, help="for each target, instead of a number of runs")
    parser.add_argument("--engine", choices=("auto", "atheris", "random"), default="auto")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same inputs (engine random)")
    parser.add_argument("--keep", type=Path, help="folder for inputs worth keeping")
    parser.add_argument("--distil", type=Path, metavar="FOLDER", help="where a long pass kept its inputs")
    parser.add_argument("--crashes", type=Path, help="folder for inputs that break a target")
    options = parser.parse_args(arguments)
    options.engine = _engine(options.engine)
    options.crashes = options.crashes or Path(tempfile.gettempdir()) / "aeformat-crashes"
    options.crashes.mkdir(parents=True, exist_ok=True)
    if options.smoke:
        return _smoke(options)
    if options.target is None:
        parser.error("name a target, or give --smoke")
    if options.inputs:
        return _replay(options)
    if options.distil is not None:
        return _distil(options)
    return _with_atheris(options) if options.engine == "atheris" else _at_random(options)


def _engine(wanted: str) -> str:
    is_there = importlib.util.find_spec("atheris") is not None
    if wanted == "atheris" and not is_there:
        raise SystemExit("atheris is not installed: pip install atheris, or use --engine random")
    return wanted if wanted != "auto" else "atheris" if is_there else "random"


def _smoke(options: argparse.Namespace) -> int:
    """Every target in a process of its own: atheris can run only one."""
    from tools.fuzz.targets import TARGETS

    failed = []
    for name in TARGETS:
        command = [sys.executable, __file__, name, "--engine", options.engine, "--seed", str(options.seed)]
        command += ["--runs", str(options.runs)] if options.seconds is None else ["--seconds", str(options.seconds)]
        command += ["--crashes", str(options.crashes)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        summary = [
            line for line in (ran.stdout + ran.stderr).splitlines() if line.startswith((name, "Done", "stat::number"))
        ]
        print(f"{name}: engine {options.engine}, exit {ran.returncode}; {'; '.join(summary)}", flush=True)
        if ran.returncode:
            print(ran.stdout[-4_000:] + ran.stderr[-8_000:])
            failed.append(name)
    print(f"broken: {', '.join(failed)}" if failed else "all targets hold")
    return 1 if failed else 0


def _target(name: str) -> Target:
    from tools.fuzz.targets import TARGETS  # not before atheris can watch the import

    if name not in TARGETS:
        raise SystemExit(f"no target {name!r}; there are {', '.join(TARGETS)}")
    return TARGETS[name]


def _replay(options: argparse.Namespace) -> int:
    target = _target(options.target)
    for path in options.inputs:
        print(f"{path}: {target(path.read_bytes())}")
    return 0


def _distil(options: argparse.Namespace) -> int:
    from tools.fuzz.seeds import CORPUS, start

    target = _target(options.target)
    seen = {target(data) for data in start(target.name, takes_maps=target.takes_maps)}
    for path in sorted(options.distil.glob("*"), key=lambda path: path.stat().st_size):
        data = path.read_bytes()
        outcome = target(data)
        if outcome not in seen:
            seen.add(outcome)
            _keep(CORPUS / target.name, data)
    print(f"{target.name}: {len(seen)} kinds of outcome")
    return 0


def _at_random(options: argparse.Namespace) -> int:
    from tools.fuzz.mutator import Mutator
    from tools.fuzz.seeds import files, start

    target = _target(options.target)
    pool = start(target.name, takes_maps=target.takes_maps)
    mutate = target.mutate(Mutator(files()))
    seen, n_runs, began = set(), 0, time.monotonic()
    for data in _drawn(pool, mutate, options):
        n_runs += 1
        try:
            outcome = target(data)
        except Exception:  # noqa: BLE001  # whatever escapes is what we look for
            traceback.print_exc()
            path = options.crashes / f"{target.name}-{_hash(data)}"
            path.write_bytes(data)
            print(f"{target.name}: broken after {n_runs:,} runs by {path}")
            return 1
        if outcome not in seen:
            seen.add(outcome)
            pool.append(data)
            _keep(options.keep, data)
    seconds = time.monotonic() - began
    print(
        f"{target.name}: {n_runs:,} runs in {seconds:.0f} s, {len(seen)} kinds of outcome, engine random, seed {options.seed}"
    )
    return 0


def _drawn(pool: list[bytes], mutate: Callable[[bytes, int], bytes], options: argparse.Namespace) -> Iterator[bytes]:
    """The inputs of the pool, then changed ones, of what the pool holds by then: --runs of them, or for --seconds."""
    yield from pool[::-1]
    rng, n_drawn, began = Random(options.seed), 0, time.monotonic()
    while n_drawn < options.runs if options.seconds is None else time.monotonic() - began < options.seconds:
        n_drawn += 1
        yield mutate(rng.choice(pool), rng.getrandbits(32))[:MOST_BYTES]


def _with_atheris(options: argparse.Namespace) -> int:
    import atheris

    with atheris.instrument_imports(include=["aeformat", "tools.second"]):
        target = _target(options.target)
    from tools.fuzz.mutator import Mutator, plain_change
    from tools.fuzz.seeds import files, start

    def change_bytes(data: bytes, rng: Random) -> bytes:
        if rng.random() < 0.5:
            return plain_change(data, rng)
        return bytes(atheris.Mutate(data, max(len(data) + 16, 64)))

    mutate = target.mutate(Mutator(files(), change_bytes))
    with tempfile.TemporaryDirectory(prefix="aeformat-fuzz-") as folder:
        seeds = Path(folder)
        for data in start(target.name, takes_maps=target.takes_maps):
            _keep(seeds, data)
        if options.keep is not None:
            options.keep.mkdir(parents=True, exist_ok=True)
        corpora = [str(options.keep), folder] if options.keep is not None else [folder]
        is_counted = options.seconds is None
        flags = [
            f"-runs={options.runs}" if is_counted else f"-max_total_time={max(1, round(options.seconds))}",
            f"-max_len={MOST_BYTES}",
            "-rss_limit_mb=2048",
            "-timeout=30",
        ]
        flags += [
            f"-artifact_prefix={options.crashes}/{target.name}-",
            "-print_final_stats=1",
            "-len_control=0",
            "-reload=0",
        ]

        def one_input(data: bytes) -> None:
            target(data)

        def one_mutation(data: bytes, max_size: int, seed: int) -> bytes:
            return mutate(data, seed)[:max_size]

        atheris.Setup([sys.argv[0], *flags, *corpora], one_input, custom_mutator=one_mutation)
        atheris.Fuzz()  # does not come back
    return 0


def _keep(folder: Path | None, data: bytes) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _hash(data)).write_bytes(data)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
