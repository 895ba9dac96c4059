"""TensorFlow is looked for without importing it, and its absence is said in one line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from aeformat.backends import runtime
from aeformat.backends.runtime import load_tensorflow
from aeformat.errors import BackendUnavailable


def test_absence_names_the_command_that_helps(monkeypatch):
    """The error says what to install, and a later installation is noticed: absence is not cached."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # makes `import tensorflow` fail
    load_tensorflow.cache_clear()
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match=r'pip install "aeformat\[tensorflow\]"'):
            load_tensorflow()


def test_looking_for_it_imports_nothing():
    code = (
        "import sys; from aeformat.backends.runtime import tensorflow_installed; "
        "tensorflow_installed(); sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_greetings_are_dropped(capfd):
    """What C++ writes to descriptor 2 during a good import is not shown, and later words are."""
    with runtime._stderr_only_on_failure():
        os.write(2, b"greetings\n")
    os.write(2, b"an error\n")
    assert capfd.readouterr().err == "an error\n"


def test_last_words_are_kept(capfd):
    """A failed import shows all that was said."""
    with pytest.raises(ImportError), runtime._stderr_only_on_failure():
        os.write(2, b"no such library\n")
        raise ImportError
    assert capfd.readouterr().err == "no such library\n"
