"""`aeformat pack ... -o - | aeformat unpack - -o out`: constant memory at both ends, however many images pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.images import demo_digits
from aeformat.model import store

RUN = """
import sys
from pathlib import Path
from aeformat.cli.main import main
code = main(sys.argv[2:])
lines = Path("/proc/self/status").read_text().splitlines()
Path(sys.argv[1]).write_text(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
sys.exit(code)
"""
MORE = 7_000_000  # bytes by which three times as many images may make an end larger
N_IMAGES = 150_000  # 118 MB
FEW_IMAGES = 50_000  # enough to fill all that waits between the steps of an end


def pipe(folder: Path, n_images: int, out: str) -> list[int]:
    """Pack so many images into a pipe, unpack from it; the resident bytes of each end, at most."""
    images = np.lib.format.open_memmap(folder / "in.npy", "w+", np.uint8, (n_images, 28, 28))
    for at in range(0, n_images, 100):
        images[at : at + 100] = demo_digits()[: n_images - at, ..., 0]
    images.flush()
    run = [sys.executable, "-c", RUN]
    pack = subprocess.Popen(
        [*run, "sent", "pack", "in.npy", "-o", "-", "--backend", "numpy"], cwd=folder, stdout=subprocess.PIPE
    )
    unpack = subprocess.Popen(
        [*run, "received", "unpack", "-", "-o", out, "--backend", "numpy"], cwd=folder, stdin=pack.stdout
    )
    pack.stdout.close()
    assert (pack.wait(120), unpack.wait(120)) == (0, 0)
    return [int((folder / name).read_text()) << 10 for name in ("sent", "received")]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
def test_a_pipe_streams(tmp_path):
    """Three times as many images take no more memory, at neither end; and they are the right ones."""
    few = pipe(tmp_path, FEW_IMAGES, "few.npy")
    many = pipe(tmp_path, N_IMAGES, "out.npy")
    assert [b - a < MORE for a, b in zip(few, many, strict=True)] == [True, True], (few, many)

    encoder, decoder = (NumpyBackend().load(package) for package in store.find_pair("mnist-exact"))
    expected = decoder.run(encoder.run(demo_digits()))[..., 0]
    found = np.load(tmp_path / "out.npy", mmap_mode="r")
    assert found.shape == (N_IMAGES, 28, 28)
    for at in range(0, N_IMAGES, 7500):
        assert np.array_equal(found[at : at + 100], expected)


def test_what_passes_is_a_container(tmp_path):
    """The very file that pack writes, byte for byte; so anything that passes bytes on may stand in between."""
    np.save(tmp_path / "in.npy", demo_digits()[..., 0])
    for out in ("-", "file.aef"):
        done = subprocess.run(
            [sys.executable, "-m", "aeformat", "pack", "in.npy", "-o", out],
            cwd=tmp_path,
            capture_output=True,
            check=True,
        )
        if out == "-":
            piped = done.stdout
    assert piped == (tmp_path / "file.aef").read_bytes()


def test_a_pipe_has_a_name(tmp_path):
    """Standard input and output, in what is said of them, are not called "-"."""

    def run(*arguments: str, data: bytes = b"") -> tuple[int, bytes, str]:
        command = [sys.executable, "-m", "aeformat", *arguments]
        done = subprocess.run(command, cwd=tmp_path, input=data, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr.decode()

    np.save(tmp_path / "in.npy", demo_digits()[..., 0])
    code, packed, said = run("pack", "in.npy", "-o", "-")
    assert code == 0 and said.startswith("standard output: 100 images")
    for arguments, data, name in (
        (("unpack", "-", "-o", "o.npy", "--recover"), packed[:-20], "aeformat: standard input: recovered"),
        (("unpack", "-", "-o", "o.npy"), b"noise", "aeformat: standard input: "),
        (("unpack", "-", "-o", "o.npy"), packed[:-20], "aeformat: standard input: "),
        (("unpack", "-", "-o", "-"), packed, "standard output: 100 images"),
        (("convert", "-", "-", "--codec", "none"), packed, "standard output: 100 rows"),
        (("convert", "-", "o.aef", "--codec", "none"), packed[:-20], "aeformat: standard input: "),
        (("validate", "-"), packed[:-20], "standard input: 1 problem"),
    ):
        code, _, said = run(*arguments, data=data)
        assert said.startswith(name), (arguments, said)
        assert code == (0 if data == packed else 1 if data == b"noise" else 3)
        (tmp_path / "o.npy").unlink(missing_ok=True)
