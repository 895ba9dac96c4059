"""A command that is told to stop stops, wherever Python is just then."""

from __future__ import annotations

import io
import signal
import subprocess
import sys

import numpy as np
import pytest

# What runs while the output is being written.  Python lets an exception out of the first one only: it drops what comes
# out of the next two, and makes another error of the last (until 3.11).
PLACES = {
    "plain code": "stop()",
    "a destructor": "class Doomed:\n    def __del__(self):\n        stop()\nDoomed()",
    "a callback": "class Seen:\n    pass\nseen = Seen()\nwatch = weakref.ref(seen, lambda _: stop())\ndel seen",
    "the making of a class": (
        "class Named:\n    def __set_name__(self, owner, name):\n        stop()\nclass Owner:\n    named = Named()"
    ),
    "an error that is raised instead": (
        "from aeformat.errors import UsageError\ntry:\n    stop()\nexcept BaseException:\n    raise UsageError('x') from None"
    ),
}

CODE = """
import os, sys, weakref
from aeformat.cli import common
from aeformat.cli.main import run

place, number = sys.argv[1], int(sys.argv[2])
network = common.network

def in_between(*arguments):
    exec(place, {"stop": lambda: os.kill(os.getpid(), number), "weakref": weakref})
    return network(*arguments)

common.network = in_between
sys.argv[1:] = ["pack", "-", "-o", "o.aef"]
run()
"""


def _npy() -> bytes:
    made = io.BytesIO()
    np.save(made, np.zeros((3, 28, 28), np.uint8))
    return made.getvalue()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_signal_ends_the_command_wherever_it_comes(tmp_path, place, name):
    """128 plus the signal's number, no traceback, no file; and no waiting for input that does not come."""
    number = getattr(signal, name)
    child = subprocess.Popen(
        [sys.executable, "-c", CODE, place, str(int(number))],
        cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    child.stdin.write(_npy()[:2000])
    child.stdin.flush()
    try:
        code = child.wait(60)
    finally:
        child.kill()
        _, err = child.communicate()
    assert code == 128 + number, err.decode()
    assert b"Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_signal_that_is_ignored_stays_ignored(tmp_path):
    """As after nohup, or in the background of a script."""
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" + CODE
    ran = subprocess.run(
        [sys.executable, "-c", code, PLACES["plain code"], str(int(signal.SIGINT))],
        cwd=tmp_path, input=_npy(), stderr=subprocess.PIPE, timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr.decode()
    assert [path.name for path in tmp_path.iterdir()] == ["o.aef"]
