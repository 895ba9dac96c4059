"""Fixtures that every test may use, and two promises of every run: no test depends on speed, no worker grows without end."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

# Slow machines do the same work: no deadlines.  With CI=true each run draws the same examples.
settings.register_profile(
    "any machine",
    deadline=None,
    database=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")

# Resident memory of one worker, checked where AEFORMAT_REQUIRE_ALL=1.  The aim is 1.5 GB; which tests meet in one worker, and
# what TensorFlow keeps, differ from run to run.
_MOST_BYTES: Final = 3_000_000_000
_FREED_AFTER: Final = 50_000_000  # bytes that a worker has grown by
_kept = {"bytes": 0}  # what this process held when it last gave memory back
_peaks: dict[str, int] = {}  # worker -> resident bytes, at most so far

_MNIST_FILE = "t10k-images-idx3-ubyte.gz"


def _skip_or_fail(reason: str) -> None:
    """Skip, unless this run promised to have everything (AEFORMAT_REQUIRE_ALL=1)."""
    if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.hookimpl(hookwrapper=True)  # the name that Debian's pytest 7 knows too: it runs these tests on s390x
def pytest_runtest_teardown() -> Iterator[None]:
    """What tests have freed is the system's again: glibc keeps hundreds of megabytes that lie between others."""
    yield
    if _resident_bytes() < _kept["bytes"] + _FREED_AFTER:
        return
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    _kept["bytes"] = _resident_bytes()


def _resident_bytes() -> int:
    """Of this process; 0 where that cannot be told."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if status.exists() else 0


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The folder with the four gzipped MNIST files; skips where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
    places = [Path(os.environ["AEFORMAT_DATA"]) / "mnist"] if os.environ.get("AEFORMAT_DATA") else []
    for place in [*places, beside]:
        if (place / _MNIST_FILE).is_file():
            return place
    _skip_or_fail(f"MNIST is not here: set AEFORMAT_DATA to a folder with mnist/{_MNIST_FILE}")
    raise AssertionError("unreachable")


@pytest.fixture(scope="session")
def tensorflow() -> object:
    """TensorFlow, as this package loads it; skips where it is not installed."""
    from aeformat.backends.runtime import load_tensorflow, tensorflow_installed

    if not tensorflow_installed():
        _skip_or_fail('TensorFlow is not installed: pip install "aeformat[tensorflow]"')
    return load_tensorflow()


@pytest.fixture(scope="session")
def python_be() -> str:
    """A big-endian Python; AEFORMAT_PYTHON_BE names it.  tools/s390x.sh makes one."""
    path = os.environ.get("AEFORMAT_PYTHON_BE")
    if path is None:
        _skip_or_fail("no big-endian Python: run tools/s390x.sh DIR and set AEFORMAT_PYTHON_BE=DIR/python-be")
        raise AssertionError("unreachable")
    return path


@pytest.fixture(scope="session")
def torch_command() -> list[str]:
    """A Python that has torch, onnxscript and torchdata, in `torch_environment`; skips where there is none.

    It is a program of its own: a process that has TensorFlow is large enough.  AEFORMAT_TORCH names a folder with all three,
    where pip install --target has put them; else this Python has them.
    """
    given = os.environ.get("AEFORMAT_TORCH")
    modules = ("torch", "onnxscript", "torchdata")
    if not given and not all(importlib.util.find_spec(name) for name in modules):
        _skip_or_fail('torch, onnxscript or torchdata is not installed: pip install "aeformat[torch]" torchdata')
    return [sys.executable]


@pytest.fixture(scope="session")
def torch_environment() -> dict[str, str]:
    """The environment of `torch_command`."""
    given = os.environ.get("AEFORMAT_TORCH")
    return {**os.environ, "PYTHONPATH": given} if given else dict(os.environ)


@pytest.fixture(scope="session")
def hatchling() -> None:
    """What builds wheels; skips where it is not installed."""
    if importlib.util.find_spec("hatchling") is None:
        _skip_or_fail("hatchling is not installed")


def _peak_bytes() -> int:
    """Of this process; 0 where that cannot be told."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """A worker of pytest-xdist has ended and said how large it was."""
    _peaks[node.gateway.id] = getattr(node, "workeroutput", {}).get("peak_bytes", 0)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["peak_bytes"] = _peak_bytes()
        return
    if not _peaks:
        _peaks["this process"] = _peak_bytes()
    if os.environ.get("AEFORMAT_REQUIRE_ALL") == "1" and max(_peaks.values()) > _MOST_BYTES:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how large the workers became."""
    sizes = ", ".join(f"{name} {n_bytes / 1e6:,.0f} MB" for name, n_bytes in sorted(_peaks.items()))
    terminalreporter.write_line(f"resident memory, at most: {sizes} (a worker may take {_MOST_BYTES / 1e6:,.0f} MB)")
