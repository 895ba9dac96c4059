"""Standard streams that are closed, full or cannot show a name; and what is written where a pipe or a device is named."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from aeformat.cli.streams import Absent, Printed, shown
from aeformat.errors import UsageError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX shells and special files")
COMMAND = f'"{sys.executable}" -m aeformat'


@pytest.fixture
def packed(aeformat, folder) -> Path:
    """digits.aef: the 100 digits, default model."""
    assert aeformat("pack", "digits.npy", "-o", "digits.aef").code == 0
    return folder / "digits.aef"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of shell, in which `aeformat` is this one."""
    script = f'aeformat() {{ {COMMAND} "$@"; }}; set -o pipefail; {line}'
    ran = subprocess.run(["bash", "-c", script], capture_output=True, timeout=30, env={**os.environ, **environment})
    assert b"Traceback" not in ran.stderr, ran.stderr.decode()
    return ran


CLOSED = {  # line -> exit code, how often "closed" is said, files that there are afterwards
    "aeformat pack - -o o.aef <&-": (2, 1, []),
    "aeformat convert - o.aef <&-": (2, 1, []),
    "aeformat unpack - -o o.npy <&-": (2, 1, []),
    "aeformat info - <&-": (2, 1, []),
    "aeformat validate - <&-": (2, 1, []),
    "aeformat eval - --against digits.npy <&-": (2, 1, []),
    "aeformat pack digits.npy -o o.aef <&- >&- 2>&-": (0, 0, ["o.aef"]),
    "aeformat unpack digits.aef -o o.npy >&-": (0, 0, ["o.npy"]),
    "aeformat unpack digits.aef -o o.npy 2>&-": (0, 0, ["o.npy"]),
    "aeformat convert digits.aef o.aef >&- 2>&-": (0, 0, ["o.aef"]),
    "aeformat pack digits.npy -o - >&-": (2, 1, []),
    "aeformat unpack digits.aef -o - >&-": (2, 1, []),
    "aeformat info digits.aef >&-": (2, 1, []),
    "aeformat info digits.aef --json >&-": (2, 1, []),
    "aeformat validate digits.aef >&-": (2, 1, []),
    "aeformat eval digits.aef --against digits.npy >&-": (2, 1, []),
    "aeformat model list >&-": (2, 1, []),
    "aeformat pack digits.npy -o /dev/stdout >&-": (2, 0, []),
    "aeformat --help >&-": (2, 1, []),
    "aeformat --version >&- 2>&-": (2, 0, []),
}


@pytest.mark.parametrize("line", CLOSED)
def test_a_closed_stream_matters_only_where_it_is_needed(folder, packed, line):
    """Then in one line; and no other file gets its place."""
    before = {path.name for path in folder.iterdir()}
    code, n_said, made = CLOSED[line]
    ran = shell(line)
    assert (ran.returncode, ran.stderr.count(b"closed")) == (code, n_said), ran.stderr.decode()
    assert ran.stderr.count(b"\n") <= 1
    assert {path.name for path in folder.iterdir()} == before | set(made)


def test_what_is_written_with_streams_closed_is_whole(folder, packed):
    """Not a byte of a message is in it."""
    for line in (
        "aeformat pack digits.npy -o o.aef --force >&- 2>&-",
        "aeformat convert digits.aef o.aef --force 2>&-",
    ):
        shell(line)
        assert Path("o.aef").read_bytes() == packed.read_bytes()


def test_an_error_does_not_go_to_standard_output_instead(folder, packed):
    """With stderr closed nobody hears it; the exit code says it."""
    ran = shell("aeformat info missing.aef 2>&-")
    assert (ran.returncode, ran.stdout) == (2, b"")
    ran = shell("aeformat unpack digits.aef -o - 2>&- | wc -c")
    assert int(ran.stdout) == 128 + 100 * 784


@pytest.mark.parametrize("command", ["info digits.aef", "validate digits.aef --json", "--help", "model list"])
def test_a_full_standard_output_is_an_error(folder, packed, command):
    """One line, exit 1, whoever prints."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    ran = shell(f"aeformat {command} > /dev/full")
    assert ran.returncode == 1 and os.strerror(errno.ENOSPC).encode() in ran.stderr
    assert ran.stderr.count(b"\n") == 1


def test_messages_that_cannot_be_written_are_no_fault(folder, packed):
    """A full disk, or nobody, behind stderr: the work is done, and its exit code is what it would be."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    for line in (
        "aeformat pack digits.npy -o o.aef --force 2> /dev/full",
        "aeformat pack digits.npy -o o.aef --force 2> >(true)",
    ):
        assert shell(line).returncode == 0
        assert Path("o.aef").read_bytes() == packed.read_bytes()
    assert shell("aeformat info missing.aef 2> /dev/full").returncode == 2
    assert shell("aeformat info 2> /dev/full").returncode == 2


@pytest.mark.parametrize("command", ["info digits.aef", "--help", "unpack digits.aef -o -", "validate digits.aef"])
def test_a_reader_that_goes_away_is_no_fault(folder, packed, command):
    """Not a word."""
    ran = shell(f"aeformat {command} | true")
    assert ran.stderr == b""


NAMES = [
    b"b\xff.aef",
    "日本.aef".encode(),
    b"red\x1b[31m.aef",
    b"two\nlines.aef",
    b"back\rwards.aef",
    "left\u202eright.aef".encode(),
    b"bell\x07\x9b.aef",
]
ENCODINGS = [
    {},
    {"PYTHONIOENCODING": "cp1252"},
    {"PYTHONIOENCODING": "ascii:strict"},
    {"PYTHONIOENCODING": "utf-8:strict"},
    {"PYTHONIOENCODING": "utf-8:surrogateescape"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_any_name_is_shown(folder, packed, encoding):
    """What the terminal cannot show, and what would move its cursor, is escaped; one line stays one."""
    for name in NAMES:
        Path(os.fsdecode(name)).write_bytes(packed.read_bytes())
    commands = [
        (0, len(NAMES), ["validate", *NAMES]),
        (0, 1, ["unpack", NAMES[0], "-o", NAMES[3] + b".idx"]),
        (2, 1, ["info", b"no" + NAMES[3]]),
        (0, None, ["info", NAMES[3]]),
        (3, None, ["validate", "/dev/null", NAMES[2]]),
    ]
    for code, n_lines, arguments in commands:
        run = [sys.executable, "-m", "aeformat", *arguments]
        ran = subprocess.run(run, capture_output=True, env={**os.environ, **encoding})
        said = ran.stdout + ran.stderr
        assert ran.returncode == code and said, said
        assert not {0x1B, 0x07, 0x0D, 0xFF} & set(said) and "\u202e" not in said.decode("utf-8", "replace")
        assert b"lines.aef" not in said.splitlines() and n_lines in (None, said.count(b"\n")), said
        assert b"Traceback" not in said


def test_a_name_is_shown_in_one_way(folder, packed):
    """Whoever speaks of it: the command, the parser of its options, the system."""
    Path("n\n  l.aef").write_bytes(packed.read_bytes())
    Path("n\n  l").mkdir()
    for line, says in (
        ("pack digits.npy -o $'n\\n  l.aef'", r"aeformat: n\n  l.aef exists; use --force"),
        ("info $'no\\n  l.aef'", r"aeformat: no\n  l.aef: no such file"),
        ("info digits.aef $'n\\n  l'", r"unrecognized arguments: n\n  l;"),
        ("convert digits.aef $'n\\n  l' --force", r"cannot write n\n  l: it is a folder"),
        ("validate $'no\\n  l.aef'", r"no\n  l.aef: no such file"),
        ("validate ''", "aeformat: a FILE has no name"),
    ):
        ran = shell(f"aeformat {line}")
        said = ran.stderr.decode()
        assert ran.returncode == 2 and says in said and said.count("\n") == 1 and said[0] != ":", said


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("pack digits.npy -o -", "digits.npy"),
        ("pack set.npy digits.npy -o -", "digits.npy"),
        ("pack - -o - < digits.npy", "digits.npy"),
        ("convert digits.aef -", "digits.aef"),
        ("convert - - < digits.aef", "digits.aef"),
        ("unpack digits.aef -o -", "digits.aef"),
        ("unpack digits.aef --latents -o -", "digits.aef"),
        ("pack digits.npy --model m -o -", "m.decoder.aef"),
    ],
)
@pytest.mark.parametrize("how", [">>", "1<>"])
def test_standard_output_is_no_file_that_is_read(folder, packed, model, command, name, how):
    """As with cat: what the shell has opened is as much the output as what is named."""
    np.save("set.npy", np.load("digits.npy"))
    before = Path(name).read_bytes()
    ran = shell(f"aeformat {command} {how} {name}")
    assert Path(name).read_bytes() == before
    assert ran.returncode == 2 and b"standard output is read too" in ran.stderr and ran.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        "convert pipe pipe --force",
        "convert pipe link.npy --force",
        "convert pipe - 1<> pipe",
        "convert - pipe < <(true) 0<> pipe",
        "pack pipe -o pipe",
        "pack digits.npy pipe -o link.npy",
        "unpack pipe -o pipe",
        "unpack pipe --latents -o link.npy",
    ],
)
def test_a_pipe_is_not_read_and_written(folder, packed, command):
    """The command would wait for itself; it is refused before it opens the pipe."""
    os.mkfifo("pipe")
    Path("link.npy").symlink_to("pipe")
    ran = shell(f"timeout 10 {COMMAND} {command}")
    assert ran.returncode == 2 and b"the pipe would wait for itself" in ran.stderr, ran.stderr.decode()
    assert ran.stderr.count(b"\n") == 1 and Path("pipe").is_fifo()


def test_a_pipe_is_not_read_and_written_from_python(folder):
    """Nor opened there."""
    os.mkfifo("pipe")
    line = "import aeformat; aeformat.pack('pipe', 'pipe')"
    ran = subprocess.run([sys.executable, "-c", line], capture_output=True, timeout=30)
    assert ran.returncode == 1 and b"the pipe would wait for itself" in ran.stderr


def test_escapes_are_those_of_python():
    """Only what cannot be shown is changed; a bar may return to the start of its line."""
    assert shown("a\x1b[0m\n\u202e\x85é") == r"a\x1b[0m\n\u202e\x85é"
    stream = io.StringIO()
    Printed(stream).write("\r 5 %\t\x1b[A\n")
    assert stream.getvalue() == "\r 5 %\t\\x1b[A\n"
    with pytest.raises(UsageError, match="closed"):
        Absent("standard output").write("x")


OUTPUTS = {  # line, where "aeformat" writes a container -> nothing else may reach standard output
    "pack digits.npy -o /dev/stdout": "",
    "pack digits.npy -o /dev/fd/1 --force": "",
    "pack digits.npy -o /proc/self/fd/1": "",
    "pack digits.npy -o link --force": "ln -s /dev/stdout link;",
    "convert digits.aef link": "ln -s /proc/self/fd/1 other; ln -s other link;",
    "pack digits.npy -o /dev/fd/7 7>&1": "",
}


@pytest.mark.parametrize("line", OUTPUTS)
@pytest.mark.parametrize("sink", ["| cat", "> got; cat got", ">> got; cat got"])
def test_a_descriptor_is_written_down_and_never_replaced(folder, packed, line, sink):
    """By whatever name, and whatever is behind it."""
    ran = shell(f"{OUTPUTS[line]} aeformat {line} {sink}")
    assert ran.stdout == packed.read_bytes(), ran.stderr.decode()
    assert b"force" not in ran.stderr
    assert not Path("link").exists() or Path("link").is_symlink()


def test_what_stands_before_stays(folder, packed):
    """A file that is appended to, or written by several commands, keeps what it has."""
    for line in (
        "aeformat pack digits.npy -o /dev/stdout",
        "aeformat unpack digits.aef --latents -o -",
        "cat digits.aef | aeformat unpack - --latents -o -",
    ):
        alone = shell(line).stdout
        assert shell(f"(echo head; {line}; echo tail) > got; cat got").stdout == b"head\n" + alone + b"tail\n"
        assert shell(f"echo head > got; {line} >> got; cat got").stdout == b"head\n" + alone


@pytest.mark.parametrize(
    ("command", "n_bytes", "out"),
    [
        (command, n_bytes, out)
        for command, n_bytes in (
            ("pack digits.npy", None), ("unpack digits.aef", 78528), ("unpack digits.aef --latents", 6528),
        )
        for out in (">(cat > got)", "pipe.npy", "/dev/null")
        if out != ">(cat > got)" or "latents" not in command  # which writes to names that end in .npy
    ],
)  # fmt: skip
def test_pipes_and_devices_as_outputs(folder, packed, command, n_bytes, out):
    """A process substitution, a named pipe, a device: written down, and still there."""
    line = f"mkfifo pipe.npy; cat pipe.npy > got & aeformat {command} -o {out}; kill %1 2> /dev/null; wait; exit 0"
    ran = shell(line if out == "pipe.npy" else f"aeformat {command} -o {out} && sleep 0.5")
    if out == "/dev/null":
        if "latents" not in command:
            assert ran.returncode == 0, ran.stderr
        assert Path("/dev/null").is_char_device()
        return
    expected = packed.stat().st_size if n_bytes is None else n_bytes
    assert Path("got").stat().st_size == expected, ran.stderr.decode()
    assert Path("pipe.npy").is_fifo() or out != "pipe.npy"


def test_a_pipe_without_a_reader_is_named_soon(folder, packed):
    """And not waited for without end."""
    ran = shell("mkfifo pipe; aeformat pack digits.npy -o pipe --force; code=$?; ls -l pipe; exit $code")
    assert ran.returncode == 2 and b"nobody reads" in ran.stderr and b"force" not in ran.stderr
    assert ran.stdout.startswith(b"p")


@pytest.mark.parametrize("command", ["pack digits.npy -o", "convert digits.aef", "unpack digits.aef -o"])
def test_a_descriptor_that_cannot_be_written_is_refused(folder, packed, command):
    """One that is open for reading only, or not at all."""
    for line, says in (
        (f"{command} /dev/fd/5 5< /dev/null", b"reading only"),
        (f"{command} /dev/fd/77", b"/dev/fd/77"),
    ):
        ran = shell(f"aeformat {line}")
        assert ran.returncode == 2 and says in ran.stderr and ran.stderr.count(b"\n") == 1, ran.stderr


READERS = {  # command that reads FILE -> what it leaves in `out`
    "unpack FILE -o out.npy": "out.npy",
    "unpack FILE --latents -o out.npy": "out.npy",
    "unpack FILE --latents -o - > out": "out",
    "convert FILE out --encoding u8 --codec none": "out",
    "info FILE --json > out": "out",
    "validate FILE --json > out": "out",
    "eval FILE --against digits.npy --json > out": "out",
}
FEEDS = {"standard input": ("-", "< digits.aef"), "pipe": ("-", "< <(cat digits.aef)"),
         "substitution": ("<(cat digits.aef)", ""), "named pipe": ("pipe", ""), "/dev/stdin": ("/dev/stdin", "< digits.aef")}  # fmt: skip


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("feed", FEEDS)
def test_every_command_that_reads_takes_a_pipe(folder, packed, command, feed):
    """With the same result as from the file: read forward, once."""

    def result(text: str, more: str = "") -> bytes:
        feeding = "mkfifo pipe; cat digits.aef > pipe &" if " pipe" in text else ""
        ran = shell(f"{feeding}\n aeformat {text} {more}; cat {READERS[command]}; rm -f {READERS[command]} pipe")
        assert ran.stdout, ran.stderr.decode()
        return ran.stdout

    name, more = FEEDS[feed]
    from_file, from_pipe = result(command.replace("FILE", "digits.aef")), result(command.replace("FILE", name), more)
    if "--json" in command:
        texts = [json.loads(text) for text in (from_file, from_pipe)]
        for text in texts:
            text.pop("file", None)
            for report in text.get("files", []):
                report.pop("file", None), report.pop("name", None)
        assert texts[0] == texts[1]
    else:
        assert from_file == from_pipe


@pytest.mark.parametrize("kept", [10, 200, -30])
def test_a_pipe_that_ends_early_is_incomplete(folder, packed, kept):
    """Exit 3, as a cut file; info says what it has seen."""
    Path("cut.aef").write_bytes(packed.read_bytes()[:kept])
    for command in ("unpack - -o o.npy", "unpack - --latents -o o.npy", "convert - o.aef", "validate -", "info -"):
        ran = shell(f"cat cut.aef | aeformat {command}")
        assert ran.returncode == 3, (command, ran.stderr)
    assert {path.name for path in folder.iterdir()} == {"cut.aef", "digits.aef", "digits.npy"}


def test_info_of_a_package_from_a_pipe(folder, model):
    """As from the file, whole or cut."""
    whole, piped = (shell(line).stdout for line in ("aeformat info m.decoder.aef", "aeformat info - < m.decoder.aef"))
    assert [*piped.splitlines()[1:]] == [*whole.splitlines()[1:]] and b"prior" in piped
    ran = shell("head -c -20 m.decoder.aef | aeformat info -")
    assert ran.returncode == 3 and b"complete" in ran.stdout and b"layers" in ran.stdout


def test_standard_input_is_read_once(folder, packed):
    """It is not the container and the images as well."""
    ran = shell("aeformat eval - --against - < digits.aef")
    assert ran.returncode == 2 and b"only once" in ran.stderr


@pytest.mark.parametrize(
    "command",
    [
        "unpack digits.aef -o o.npy --decoder pipe",
        "validate digits.aef --decoder pipe",
        "unpack pipe -o o.npy --rows 1:2",
    ],
)
def test_what_is_read_twice_is_no_pipe(folder, packed, command):
    """Refused at once."""
    os.mkfifo("pipe")
    ran = shell(f"aeformat {command}")
    assert ran.returncode == 2 and b"pipe" in ran.stderr and ran.stderr.count(b"\n") == 1
    assert not Path("o.npy").exists()


def test_latents_from_a_pipe_stay_out_of_memory(tmp_path):
    """Ten times as many rows take no more of it, to a file and to a stream."""
    from aeformat.container.header import LatentsHeader
    from aeformat.container.writer import LatentsWriter
    from aeformat.pipeline.unpack import write_latents
    from aeformat.reader import stream_latents

    header = LatentsHeader(decoder=bytes(32), dims=(64,), image=(28, 28, 1), encoding="f32le", codec="none")
    values = np.arange(1_000 * 64, dtype=np.float32).reshape(1_000, 64)
    read, write = os.pipe()

    def feed() -> None:
        with os.fdopen(write, "wb") as sink, LatentsWriter(sink, header) as writer:
            for _ in range(200):  # 51 MB
                writer.write(values)

    import tracemalloc

    thread = threading.Thread(target=feed)
    thread.start()
    tracemalloc.start()
    with os.fdopen(read, "rb") as source, (tmp_path / "o.npy").open("w+b") as out:
        done = write_latents(stream_latents(source), out, None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    thread.join()
    assert done.n_rows == 200_000 and peak < 12_000_000
    array = np.load(tmp_path / "o.npy", mmap_mode="r")
    assert array.shape == (200_000, 64) and np.array_equal(array[-1_000:], values)
