"""`aeformat send` and `fetch` beside curl and the same server on 127.0.0.1, in one run: large files, and many small ones.

    python -m tools.bench_client [--mb 300] [--files 1000] [--rounds 5]

Each takes its turn in every round, so that a busy machine disturbs all alike; whole processes, their start included.  curl verifies
nothing and keeps one connection for all small files.  Printed: seconds, and the ratio of speeds to curl, best and median.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aeformat.container.header import LatentsHeader
from aeformat.container.writer import LatentsWriter
from tools.bench_transport import aeformat, curl, make, versions
from tools.loopback.server import Running, running

POST = ["-X", "POST", "-H", "Upload-Complete: ?1", "-H", "Content-Type: application/vnd.aeformat", "-H", "Expect:"]


def small_files(folder: Path, n_files: int) -> list[Path]:
    """Files of 5 kB, each with rows of its own."""
    folder.mkdir()
    header = LatentsHeader(hashlib.sha256(b"bench").digest(), (32,), (28, 28, 1), "f64le", codec="none", filter="none")
    rng, paths = np.random.default_rng(1), []
    for number in range(n_files):
        sink = io.BytesIO()
        with LatentsWriter(sink, header) as writer:
            writer.write(rng.normal(size=(18, 32)))
        paths.append(folder / f"{number:06}.aef")
        paths[-1].write_bytes(sink.getvalue())
    return paths


def curl_all(paths: list[Path], url: str, folder: Path) -> None:
    """Send files with one curl, over one connection."""
    lines: list[str] = []
    for path in paths:
        named = [f'header = "{text}"' for text in POST[3::2]]
        lines += [
            f'url = "{url}v1/uploads"',
            f'upload-file = "{path}"',
            'request = "POST"',
            *named,
            'output = "/dev/null"',
            "next",
        ]
    (folder / "config").write_text("\n".join(lines[:-1]), encoding="utf-8")
    subprocess.run(["curl", "-sS", "-f", "-K", folder / "config"], check=True, stdout=subprocess.DEVNULL)


class Bench:
    """The seconds of each way, round after round."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seconds, self._number = folder, dict[str, list[float]](), 0

    def fresh(self) -> Path:
        """The folder of a new store."""
        self._number += 1
        return self.folder / f"store{self._number}"

    def time(self, what: str, work: Callable[[], None]) -> None:
        """Measure what `work` takes."""
        os.sync()
        began = time.perf_counter()
        work()
        self.seconds.setdefault(what, []).append(time.perf_counter() - began)

    def large(self, source: Path) -> None:
        """One large file, each way."""
        sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
        with running(self.fresh()) as server:
            self.time("curl, large, up", lambda: curl(*POST, "-T", source, f"{server.url}v1/uploads"))
            blob = f"{server.url}v1/containers/{sha256}"
            copy = self.folder / "copy"
            for what, get in (
                ("curl", lambda: curl("-o", copy, blob)),
                ("aeformat", lambda: aeformat("fetch", blob, "-o", copy)),
            ):
                self.time(f"{what}, large, down", get)
                copy.unlink()
        with running(self.fresh()) as server:
            self.time("aeformat, large, up", lambda: aeformat("send", source, server.url))

    def small(self, paths: list[Path], jobs: int) -> None:
        """Many small files."""

        def ours(server: Running) -> None:
            aeformat("send", paths[0].parent, server.url, "--jobs", jobs)

        with running(self.fresh()) as server:
            self.time("curl, small, up", lambda: curl_all(paths, server.url, self.folder))
        with running(self.fresh()) as server:
            self.time("aeformat, small, up", lambda: ours(server))
            self.time("aeformat, small, again", lambda: ours(server))


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=300)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["AEFORMAT_CACHE"] = str(folder / "cache")
        bench = Bench(folder)
        if options.mb:
            make(folder / "large.aef", options.mb)
        paths = small_files(folder / "small", options.files)
        for _ in range(options.rounds):
            if options.mb:
                bench.large(folder / "large.aef")
            if paths:
                bench.small(paths, options.jobs)
    print(f"{versions()}; {options.mb} MB; {options.files:,} files of 5 kB; {options.rounds} rounds")
    for what, took in bench.seconds.items():
        who, *how = what.split(", ")
        theirs = bench.seconds.get(", ".join(["curl", *how])) if who != "curl" else None
        text = f"{what:24} {min(took):7.2f} s best {statistics.median(took):7.2f} s median"
        if theirs is not None:
            ratios = [f(theirs) / f(took) for f in (min, statistics.median)]
            text += f"   {ratios[0]:.2f} (best) {ratios[1]:.2f} (median) of the speed of curl"
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
