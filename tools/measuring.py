"""What the measuring tools have in common: a process of its own for each measurement, its memory, and what machine this is."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
_STATUS: Final = Path("/proc/self/status")
_FORGET_PEAK: Final = "5"  # proc(5), clear_refs: VmHWM becomes what is resident now


def run_child(
    module: str, *, python: str = sys.executable, environment: dict[str, str] | None = None, **given: Any
) -> dict[str, Any]:
    """What `main` of a module prints in a fresh process: its last line, JSON.  given: its one argument, as JSON.

    Raises SystemExit with the end of what it said, where it fails.
    """
    code = f"import sys; from {module} import main; main(sys.argv[1])"
    done = subprocess.run(
        [python, "-c", code, json.dumps(given)],
        cwd=ROOT, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{given}\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def machine() -> str:
    """System, processor and cores."""
    cores = f"{os.cpu_count()} cores"
    return f"{platform.system()} {platform.release()}, {platform.machine()}, {_processor()}{cores}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.*)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return f"{found[1].strip()}, " if found else ""


def forget_peak() -> bool:
    """From now on, `peak_bytes` counts anew.  False where that cannot be had (it is Linux's)."""
    try:
        Path("/proc/self/clear_refs").write_text(_FORGET_PEAK)
    except OSError:
        return False
    return True


def peak_bytes() -> int:
    """The most memory of this process that was resident at a time; unlike ru_maxrss, not what the parent had."""
    return _status("VmHWM")


def resident_bytes() -> int:
    """The memory of this process that is resident."""
    return _status("VmRSS")


def _status(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) << 10
