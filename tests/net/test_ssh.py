"""`aeformat pack ... -o - | ssh host aeformat unpack - -o out`, as the documentation has it, with a real ssh and its server."""

from __future__ import annotations

import getpass
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import aeformat
from aeformat.backends.numpy_backend import NumpyBackend
from aeformat.images import demo_digits
from aeformat.model import store
from net.running import accepts, free_port, needs, until

PACK = [sys.executable, "-m", "aeformat", "pack", "in.npy", "-o", "-", "--backend", "numpy"]


@pytest.fixture
def ssh(tmp_path):
    """The words that run a command on "another" machine: an ssh server started for the test, with its own keys."""
    sshd, client, keygen = needs("sshd"), needs("ssh"), needs("ssh-keygen")
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd gives up its rights
    port = free_port()
    settings = [
        f"Port={port}", "ListenAddress=127.0.0.1", f"HostKey={tmp_path / 'host'}", "PidFile=none", "UsePAM=no",
        f"AuthorizedKeysFile={tmp_path / 'user.pub'}", "StrictModes=no", "PermitRootLogin=yes", "LogLevel=ERROR",
    ]  # fmt: skip
    server = subprocess.Popen([sshd, "-D", "-e", "-f", os.devnull, *(f"-o{setting}" for setting in settings)])
    try:
        until(lambda: accepts(port))
        trusting = ["-oStrictHostKeyChecking=no", f"-oUserKnownHostsFile={os.devnull}", "-oLogLevel=ERROR"]
        identity = ["-i", str(tmp_path / "user"), "-oIdentitiesOnly=yes", "-oBatchMode=yes"]
        words = [client, "-F", os.devnull, *trusting, *identity, "-p", str(port), f"{getpass.getuser()}@127.0.0.1"]
        probe = subprocess.run([*words, "true"], capture_output=True, timeout=300)
        if probe.returncode != 0 and os.environ.get("AEFORMAT_REQUIRE_ALL") != "1":
            pytest.skip(f"ssh to this machine does not work: {probe.stderr.decode().strip()}")
        assert probe.returncode == 0, probe.stderr.decode()
        yield words
    finally:
        server.terminate()
        server.wait(30)


def unpacking(folder: Path, name: str) -> str:
    """The command that the other machine runs."""
    found = str(Path(aeformat.__file__).parents[1])
    words = [
        "env",
        f"PYTHONPATH={found}",
        sys.executable,
        "-m",
        "aeformat",
        "unpack",
        "-",
        "-o",
        str(folder / name),
        "--backend",
        "numpy",
    ]
    return shlex.join(words)


def test_a_container_through_ssh(tmp_path, ssh):
    """The images on the other side are those of the decoder, bit for bit."""
    np.save(tmp_path / "in.npy", demo_digits())
    with subprocess.Popen(PACK, cwd=tmp_path, stdout=subprocess.PIPE) as pack:
        done = subprocess.run(
            [*ssh, unpacking(tmp_path, "out.npy")], stdin=pack.stdout, capture_output=True, timeout=120
        )
    assert (pack.returncode, done.returncode) == (0, 0), done.stderr.decode()
    encoder, decoder = (NumpyBackend().load(package) for package in store.find_pair("mnist-exact"))
    expected = decoder.run(encoder.run(demo_digits()))
    assert np.array_equal(np.load(tmp_path / "out.npy").reshape(expected.shape), expected)


def test_a_connection_that_breaks_leaves_nothing(tmp_path, ssh):
    """The other side sees that the container is incomplete, reports it, and writes no file."""
    np.save(tmp_path / "in.npy", demo_digits())
    packed = subprocess.run(PACK, cwd=tmp_path, stdout=subprocess.PIPE, check=True).stdout
    cut = packed[: len(packed) // 2]
    done = subprocess.run([*ssh, unpacking(tmp_path, "out.npy")], input=cut, capture_output=True, timeout=120)
    assert done.returncode == 3, done.stderr.decode()
    assert b"standard input: the file ends inside chunk" in done.stderr
    assert not list(tmp_path.glob("*out.npy*"))
