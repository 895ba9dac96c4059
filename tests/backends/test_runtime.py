"""TensorFlow is looked for without importing it, and its absence is said in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aeformat.backends import runtime
from aeformat.backends.runtime import load_keras, load_tensorflow
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


def test_settings_that_tensorflow_cannot_start_with_are_one_line(tmp_path: Path) -> None:
    """Keras, which TensorFlow imports, reads them; what was said meanwhile is not shown."""
    lines = ["import os", "os.write(2, b'hello')", "raise ValueError('Unable to import backend : x')"]
    (tmp_path / "tensorflow.py").write_text("\n".join(lines))
    code = (
        "import sys; from aeformat.backends.runtime import load_tensorflow; from aeformat.errors import BackendUnavailable\n"
        "try: load_tensorflow()\n"
        "except BackendUnavailable as error: sys.stderr.write(str(error))"
    )
    around = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "KERAS_"))}
    around |= {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "KERAS_HOME": "home"}

    ran = subprocess.run([sys.executable, "-c", code], env=around, capture_output=True, text=True, check=True)

    what = f"TensorFlow cannot start with the settings for Keras in {Path('home/keras.json')}: "
    assert ran.stderr == what + "Unable to import backend : x"


@pytest.mark.parametrize("backend", ["torch", "jax", "theano"])
@pytest.mark.parametrize("by", ["the environment variable KERAS_BACKEND", "keras.json"])
def test_another_backend_of_keras_is_named_before_anything_is_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, backend: str, by: str
) -> None:
    """And what names it; where nothing does, TensorFlow is taken."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(runtime, "load_tensorflow", lambda: pytest.fail("imported"))
    if by == "keras.json":
        (tmp_path / by).write_text(json.dumps({"backend": backend}))
    else:
        (tmp_path / "keras.json").write_text('{"backend": "tensorflow"}')
        monkeypatch.setenv("KERAS_BACKEND", backend)

    with pytest.raises(BackendUnavailable) as caught:
        load_keras.__wrapped__()

    for part in (f"the backend {backend!r} by ", by, "TensorFlow is wanted", "set KERAS_BACKEND=tensorflow"):
        assert part in str(caught.value)


@pytest.mark.parametrize("settings", ["", "[1]", "not JSON", "{}"])
def test_settings_that_name_no_backend_are_no_hindrance(monkeypatch, tmp_path: Path, settings: str) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    (tmp_path / "keras.json").write_text(settings)

    assert runtime._told_backend()[0] == "tensorflow"


def test_a_backend_that_keras_does_not_know_does_not_stop_tensorflow(monkeypatch) -> None:
    """TensorFlow imports Keras; only while it does, and never over a backend that a program may be using."""
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.delitem(sys.modules, "keras")
    for told, during in (("theano", "tensorflow"), ("torch", "torch")):
        monkeypatch.setenv("KERAS_BACKEND", told)
        with runtime._known_backend():
            assert os.environ["KERAS_BACKEND"] == during
        assert os.environ["KERAS_BACKEND"] == told
