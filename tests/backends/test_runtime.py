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


NOISY = """
import os, sys
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called\\n")
class config:
    def list_physical_devices(kind=None):
        os.write(2, b"E0000 failed call to cuInit: UNKNOWN ERROR (303)\\n")
        {end}
        return []
"""


@pytest.mark.parametrize("end", ["pass", "raise ImportError('broken driver')"], ids=["good", "failing"])
@pytest.mark.parametrize("level", [None, "0"])
def test_what_a_driver_says_at_the_first_look_is_dropped_too(tmp_path, end, level):
    """Unless loading fails, or somebody asked to hear it; what this package says is always heard."""
    (tmp_path / "tensorflow.py").write_text(NOISY.format(end=end))
    code = "import sys\nfrom aeformat.backends.runtime import load_tensorflow\nprint('before', file=sys.stderr)\n"
    code += "try: load_tensorflow()\nexcept Exception as error: print(error, file=sys.stderr)\nprint('after', file=sys.stderr)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    environment |= {} if level is None else {"TF_CPP_MIN_LOG_LEVEL": level}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)

    is_heard = level is not None or end != "pass"
    assert ("cuInit" in ran.stderr, "WARNING" in ran.stderr) == (is_heard, is_heard), ran.stderr
    assert ran.stderr.startswith("before\n") and ran.stderr.endswith("after\n")
