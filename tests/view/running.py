"""What the tests of the page run: `aeformat view` as a process of its own, and a browser that is driven by a script."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from js.running import _missing, npm, program

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "tools" / "page"
BUILT = ROOT / "aeformat" / "data" / "view.html"
_DEADLINE = 600  # seconds; generous for a slow machine
READY = 'await page.waitForSelector(".chip.good, .chip.bad");'


def need_page() -> None:
    """Skip where the page is not built; with AEFORMAT_REQUIRE_ALL=1, fail."""
    if not BUILT.is_file():
        _missing("the page: run `npm ci --prefix tools/page && npm run build --prefix tools/page`")


@contextmanager
def viewing(*arguments: object) -> Iterator[str]:
    """The URL of the page while `aeformat view` runs."""
    need_page()
    command = [sys.executable, "-m", "aeformat", "view", *map(str, arguments), "--no-browser"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def drive(
    script: str, *, refused: bool = False, width: int = 1200, height: int = 800, dark: bool = False, **values: Any
) -> Any:
    """What a script returns that drives a browser (drive.js); the page must have reported no error.

    refused: but for what a server, or the page's own policy, refuses.  values: constants of the script.
    """
    need_page()
    node, chromium = program("node"), program("chromium")
    prefix = npm("AEFORMAT_BROWSER", "playwright-core")
    axe = PAGE / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.is_file():
        _missing("axe-core: run `npm ci --prefix tools/page`")
    constants = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in values.items())
    job = {"script": constants + script, "width": width, "height": height, "dark": dark}
    done = subprocess.run(
        [node, str(Path(__file__).with_name("drive.js")), str(prefix), chromium, str(axe)],
        input=json.dumps(job), capture_output=True, text=True, timeout=_DEADLINE, check=False, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    expected = ("Failed to load resource", "Content Security Policy") if refused else ()
    assert [error for error in found["errors"] if not any(text in error for text in expected)] == []
    return found.get("result")
