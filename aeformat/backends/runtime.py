"""TensorFlow, imported on first use.  No other module of the package imports it.

Owns the import, the log level and the error where it is not installed.  Knows nothing of what is computed with it.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from typing import Any

from aeformat.errors import BackendUnavailable


def tensorflow_installed() -> bool:
    """True where `load_tensorflow` can be expected to work; imports nothing."""
    return importlib.util.find_spec("tensorflow") is not None


@cache
def load_tensorflow() -> Any:
    """The tensorflow module, imported on the first call (2-4 s).  Raises BackendUnavailable.

    TensorFlow's messages are hidden, unless TF_CPP_MIN_LOG_LEVEL is set.
    """
    quiet = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only; read once, at import
    try:
        with _stderr_only_on_failure() if quiet else nullcontext():
            import tensorflow

            tensorflow.config.list_physical_devices()  # where there is no GPU, the driver says so at the first look
    except ImportError as error:
        raise BackendUnavailable('TensorFlow is not installed: pip install "aeformat[tensorflow]"') from error
    return tensorflow


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
        load_tensorflow().keras.datasets.mnist.load_data()
    except Exception as error:  # Keras raises bare Exception where the download fails
        raise OSError(str(error)) from error
