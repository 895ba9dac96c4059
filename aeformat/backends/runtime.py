"""TensorFlow and Keras, imported on first use.  No other module of the package imports them.

Owns the imports, the log level, which of Keras's settings count here, and the errors where one of the two is missing or set up
for something else.  Knows nothing of what is computed with them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from aeformat.errors import BackendUnavailable


def tensorflow_installed() -> bool:
    """True where `load_tensorflow` can be expected to work; imports nothing."""
    return importlib.util.find_spec("tensorflow") is not None


_WANTED: Final = "tensorflow"
_BACKENDS: Final = (_WANTED, "jax", "torch", "numpy", "openvino")  # that Keras 3 knows
_CANNOT_START: Final = (ValueError, TypeError, AttributeError, AssertionError)  # for a keras.json that they cannot use


@cache
def load_tensorflow() -> Any:
    """The tensorflow module, imported on the first call (2-4 s).  Raises BackendUnavailable.

    TensorFlow's messages are hidden, unless TF_CPP_MIN_LOG_LEVEL is set.
    """
    quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read once, at import; errors come as exceptions
    try:
        with _stderr_only_on_failure() if quiet else nullcontext(), _known_backend():
            try:
                import tensorflow

                tensorflow.config.list_physical_devices()  # where there is no GPU, the driver says so now
            except _CANNOT_START as error:
                failure = str(error).strip().split("\n")[0] or "a value there is none that it takes"
            else:
                return tensorflow
    except ImportError as error:
        raise BackendUnavailable('TensorFlow is not installed: pip install "aeformat[tensorflow]"') from error
    raise BackendUnavailable(f"TensorFlow cannot start with the settings for Keras in {_settings_file()}: {failure}")


@cache
def load_keras() -> Any:
    """The keras module, version 3, on TensorFlow; also where TF_USE_LEGACY_KERAS is set.  Raises BackendUnavailable."""
    if "keras" not in sys.modules:
        _check_backend(*_told_backend())
    load_tensorflow()
    try:
        import keras
    except ImportError as error:
        raise BackendUnavailable(
            'Keras 3, which comes with TensorFlow, is not installed: pip install "keras>=3"'
        ) from error
    if not keras.__version__.startswith("3."):
        raise BackendUnavailable(f'Keras {keras.__version__} is installed; Keras 3 is needed: pip install "keras>=3"')
    _check_backend(keras.config.backend(), _told_backend()[1])
    return keras


@contextmanager
def keras_as_shipped() -> Iterator[Any]:
    """Keras with the settings that it is shipped with, whatever keras.json or the program set; they are set back at the end.

    float32, channels_last and no mixed precision, for all that is built or loaded in this block.  Raises BackendUnavailable.
    """
    keras = load_keras()
    config = keras.config
    policy, floatx, data_format = config.dtype_policy(), config.floatx(), config.image_data_format()
    try:
        config.set_floatx("float32")
        config.set_image_data_format("channels_last")
        config.set_dtype_policy("float32")
        yield keras
    finally:
        config.set_floatx(floatx)
        config.set_image_data_format(data_format)
        config.set_dtype_policy(policy)


def _check_backend(backend: str, told_by: str) -> None:
    if backend != _WANTED:
        raise BackendUnavailable(
            f"Keras is told to use the backend {backend!r} by {told_by}; TensorFlow is wanted here: "
            f"set KERAS_BACKEND={_WANTED}"
        )


def _told_backend() -> tuple[str, str]:
    """What Keras takes when it is imported, and who says so."""
    from_environment = os.environ.get("KERAS_BACKEND")
    if from_environment:
        return from_environment, "the environment variable KERAS_BACKEND"
    try:
        settings = json.loads(_settings_file().read_text("utf-8"))
    except (OSError, ValueError):
        settings = {}
    found = settings.get("backend", _WANTED) if isinstance(settings, dict) else _WANTED
    return str(found), str(_settings_file())


def _settings_file() -> Path:
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "keras.json"


@contextmanager
def _known_backend() -> Iterator[None]:
    """TensorFlow imports Keras, which fails for a backend that it does not know; networks here need no Keras to run."""
    told = os.environ.get("KERAS_BACKEND")
    if "keras" in sys.modules or _told_backend()[0] in _BACKENDS:
        yield
        return
    os.environ["KERAS_BACKEND"] = _WANTED
    try:
        yield
    finally:
        os.environ.pop("KERAS_BACKEND")
        if told is not None:
            os.environ["KERAS_BACKEND"] = told


@contextmanager
def _stderr_only_on_failure() -> Iterator[None]:
    """Hide what is written to file descriptor 2 in this block.  If an exception ends the block, write it then.

    TensorFlow 2.21 prints messages from C++ while it is imported, before its log level takes effect; and CUDA an error when it
    first looks for a GPU and there is none.
    """
    sys.stderr.flush()
    try:
        stderr = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            with suppress(OSError):  # nobody can hear it
                os.write(stderr, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


def fetch_mnist() -> None:
    """Let Keras download MNIST into its cache.  Raises OSError where that fails, TensorFlow's absence included."""
    if not tensorflow_installed():
        raise OSError("TensorFlow, which would download it, is not installed")
    try:
        load_keras().datasets.mnist.load_data()
    except Exception as error:  # Keras raises bare Exception where the download fails
        raise OSError(str(error)) from error
