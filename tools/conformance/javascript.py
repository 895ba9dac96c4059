"""What tools/js says of the vectors, and the pixels that it makes, in Node and in Chromium.

The package compares what it read with a vector's JSON by itself (tools/js/src/vectors.js): whole, in halves and byte by byte.
"""

from __future__ import annotations

import base64
import functools
import http.server
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.conformance.pixels import Work
from tools.conformance.programs import Missing, npm, program, run
from tools.conformance.vectors import FOLDER, ROOT, Tally, Vector

JS: Final = ROOT / "tools" / "js"
HERE: Final = Path(__file__).parent
RUNS: Final = 3  # a just-in-time compiler is at its best behind the first


def need_package() -> None:
    """Raises Missing where tools/js has no dependency yet."""
    if not (JS / "node_modules" / "fzstd").is_dir():
        raise Missing("fzstd: run `npm ci --prefix tools/js`")


def node_tally() -> Tally:
    """Every vector in Node."""
    need_package()
    # conformance.mjs ends with 1 where a vector fails
    script = 'process.argv.push("--json", process.argv[2]); await import("./conformance.mjs"); process.exitCode = 0;'
    found = json.loads(run([program("node"), "--input-type=module", "-", str(FOLDER)], text=script, cwd=JS))
    return Tally(passed=found["passed"], failed={entry["vector"]: entry["problems"] for entry in found["failed"]})


def by_node(work: Work) -> tuple[NDArray[np.uint8], float]:
    """The pixels of a file, by Node."""
    need_package()
    out = work.path.with_suffix(".js-pixels")
    # the package finds itself by its name in its own folder alone, so the text of decode.js is run there
    script = (HERE / "decode.js").read_text("utf-8").replace("export ", "") + (
        'const { readFileSync, writeFileSync } = await import("node:fs");'
        "const clock = async () => { const { user, system } = process.cpuUsage(); return (user + system) / 1e6; };"
        f"const {{ pixels, seconds }} = await decode(readFileSync({json.dumps(str(work.path))}), {RUNS}, clock);"
        f"writeFileSync({json.dumps(str(out))}, pixels); console.log(JSON.stringify(seconds));"
    )
    seconds = json.loads(run([program("node"), "--input-type=module", "-"], text=script, cwd=JS))
    return np.fromfile(out, np.uint8), seconds


class Chromium:
    """One page that has run every vector and decoded all files.  tally: of the vectors; `by` has the pixels."""

    def __init__(self, folder: Path, vectors: Sequence[Vector], works: Sequence[Work] = ()) -> None:
        """folder: an empty one.  Raises Missing."""
        need_package()
        command = [
            program("node"),
            str(HERE / "use_page.js"),
            str(npm("AEFORMAT_BROWSER", "playwright-core")),
            program("chromium"),
        ]
        self._put(folder, vectors, works)
        with _serving(folder) as url:
            found = json.loads(run([*command, f"{url}/browser.html"]))
        self.tally = Tally(passed=found["vectors"] - len(found["failed"]), failed=dict(found["failed"]))
        self._decoded: dict[str, Any] = found["decoded"]

    @staticmethod
    def _put(folder: Path, vectors: Sequence[Vector], works: Sequence[Work]) -> None:
        """All that the page asks for: few files, as each costs a request."""
        for path in (HERE / "browser.html", HERE / "decode.js", JS):
            (folder / ("aeformat" if path == JS else path.name)).symlink_to(path)
        files = [(vector, vector.data) for vector in vectors]
        job = {
            "vectors": [[vector.name, len(data), vector.want] for vector, data in files],
            "files": [work.path.name for work in works], "runs": RUNS,
        }  # fmt: skip
        (folder / "job.json").write_text(json.dumps(job), "utf-8")
        (folder / "vectors.bin").write_bytes(b"".join(data for _, data in files))
        for work in works:
            (folder / work.path.name).symlink_to(work.path)

    def by(self, work: Work) -> tuple[NDArray[np.uint8], float]:
        """The pixels of a file."""
        found = self._decoded[work.path.name]
        return np.frombuffer(base64.b64decode(found["pixels"]), np.uint8), found["seconds"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """The URL of a folder, on this machine alone, while it is needed."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
