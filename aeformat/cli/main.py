"""The `aeformat` command: options in, exit code out.

Owns the table of commands.  An error is one line on stderr, and an exit code (advice.py):

    0  good            1  the data is bad      2  usage
    3  incomplete      4  the decoder is missing or does not match
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType
from typing import Final, NoReturn

from aeformat import __version__
from aeformat.cli import streams
from aeformat.cli.advice import describe, exit_code
from aeformat.errors import AeformatError, UsageError

INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
_SIGNALLED: Final = 128  # plus the signal's number
_RETRY_SECONDS: Final = 0.05
_PRODUCT_THREADS: Final = "OPENBLAS_NUM_THREADS"  # NumPy reads it when it is imported

# Command -> what --help says of it.  Each lives in the module of its name here, with `add_arguments` and `run`.
COMMANDS: Final = {
    "demo": "pack, validate, unpack and compare a hundred digits, and show it",
    "pack": "images -> .aef",
    "unpack": ".aef -> images",
    "info": "what a file says of itself",
    "view": "a page in the browser: images, latents, receipts, problems",
    "validate": "check files against the spec, report all problems",
    "check": "which rows are current, changed, new or gone, against images and a decoder; make them current",
    "convert": "the same latents in another encoding or codec",
    "import": "a cache of latents that another tool has made -> a set",
    "export": "a set -> a cache as another tool reads it",
    "eval": "MSE, RMSE, PSNR and bytes an image, against the originals",
    "serve": "keep containers and models for others, over HTTP",
    "store": "check what a server keeps, mend it, clean it up",
    "send": "files to a server, resumable",
    "fetch": "a file from a server, verified",
    "ls": "what you have on a server",
    "rm": "containers, models and uploads away from a server",
    "model": "list, show, train, import, export, install models; what they cost",
}


class _Parser(argparse.ArgumentParser):
    """Reports a usage error in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {streams.shown(message)}; see {self.prog} --help\n")


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser, with the options of the chosen command only: the modules of the others are not imported."""
    parser = _Parser(prog="aeformat", description="Pack what an autoencoder has compressed, and get the images back.")
    parser.add_argument("--version", action="version", version=f"aeformat {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen:
            import_module(f"aeformat.cli.{name}").add_arguments(command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.  Errors that this package raises on purpose become one line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = argparse.Namespace()
    try:
        chosen = next((argument for argument in arguments if argument in COMMANDS), None)
        options = _parser(chosen).parse_args(arguments)
        if getattr(options, "output", None) == "":
            raise UsageError("the output has no name; is a shell variable empty?")
        code: int = import_module(f"aeformat.cli.{options.command}").run(options)
        sys.stdout.flush()
        return code
    except AeformatError as error:
        print(f"aeformat: {describe(error)}", file=sys.stderr)
        return exit_code(error.code)
    except BrokenPipeError:
        return BROKEN_PIPE
    except OSError as error:
        where = error.filename if error.filename is not None else _output_on_full_disk(error, options)
        print(
            f"aeformat: {'' if where is None else f'{streams.shown(str(where))}: '}{error.strerror or error}",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("aeformat: interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED


def _output_on_full_disk(error: OSError, options: argparse.Namespace) -> str | None:
    """The output, where the disk is full.  Such an error has no file name once the file is open; a command has one output."""
    from aeformat.atomic import NO_ROOM
    from aeformat.cli.common import output_name

    output: str | None = getattr(options, "output", None) if error.errno in NO_ROOM else None
    return None if output is None else output_name(output)


class _Stop:
    """Ends the command on a signal by raising an exception, so that temporary files are removed.

    The exception is raised at the point that Python has reached, and it can get lost there.  A destructor, or the callback of a
    weak reference (each import has some), drops it: Python calls sys.unraisablehook and continues.  Then the signal is sent
    again.  The creation of a class, or C code, turns it into another error.  number: of the last signal.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else the shell has set it to be ignored
            signal.signal(signal.SIGINT, self._interrupt)
        for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._terminate)
        sys.unraisablehook = self._dropped

    def _interrupt(self, number: int, _frame: FrameType | None) -> NoReturn:
        self.number = number
        raise KeyboardInterrupt

    def _terminate(self, number: int, _frame: FrameType | None) -> NoReturn:
        self.number = number
        raise SystemExit(_SIGNALLED + number)

    def _dropped(self, dropped: sys.UnraisableHookArgs) -> None:
        """Python has dropped an exception.  If it was ours, send the signal again a little later."""
        if self.number is None or not issubclass(dropped.exc_type, KeyboardInterrupt | SystemExit):
            sys.__unraisablehook__(dropped)
            return
        import threading

        again = threading.Timer(_RETRY_SECONDS, _signal_main_thread, (self.number,))
        again.daemon = True
        again.start()


def _signal_main_thread(number: int) -> None:
    """Send a signal to the main thread; on POSIX this also interrupts a system call that waits."""
    if sys.platform == "win32":
        from _thread import interrupt_main

        interrupt_main(number)
    else:
        from threading import main_thread

        ident = main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, number)


def run() -> NoReturn:
    """Entry point of the installed command.

    Batches are computed side by side, one a core, and each product of matrices in one thread: more would only take turns with
    these, at half the speed (docs/performance/main_job.md).  Who has set that variable is obeyed.
    """
    os.environ.setdefault(_PRODUCT_THREADS, "1")
    streams.prepare()
    stop = _Stop()
    try:
        code = main()
    except SystemExit as end:  # argparse's own way out, and that of some signals
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        if stop.number is None:
            raise
        code = _SIGNALLED + stop.number
    if code and stop.number is not None:  # the signal was the cause of any error
        code = _SIGNALLED + stop.number
    try:
        sys.stdout.flush()
        error = getattr(sys.stdout, "error", None)
        if error is not None:
            raise error
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more at its end, and would fail again
        code = code or _unwritten(error)
    sys.exit(code)


def _unwritten(error: OSError) -> int:
    """The exit code where the last of the result could not be written, which nobody has said yet."""
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    print(f"aeformat: standard output: {error.strerror}", file=sys.stderr)
    return 1
