"""Who is drawn for, and when drawing stops: T7-7 of spec/transport.md.  By events: no test here measures time."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from model.with_passes import pair_with_passes
from PIL import Image

import aeformat
from aeformat.container.header import LatentsHeader
from aeformat.container.writer import LatentsWriter
from aeformat.model import store
from aeformat.model.file_io import package_bytes, read_package
from aeformat.net.server import render
from aeformat.net.server.tokens import SCOPES
from aeformat.net.server.turns import Turns
from net.running import running, until, upload
from net.test_tenants import write_tokens

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
N_ROWS = 12
TOKENS = {name: (name, list(SCOPES), None) for name in ("acme", "beta")}


def container() -> bytes:
    """Rows for the shipped exact decoder."""
    decoder = store.find_pair("mnist-exact")[1]
    sink = io.BytesIO()
    header = LatentsHeader(decoder.model_id, decoder.input.shape, decoder.output.shape, decoder.input.type)
    with LatentsWriter(sink, header) as writer:
        writer.write(np.ones((N_ROWS, *decoder.input.shape), {"u8": np.uint8, "i8": np.int8}[decoder.input.type]))
    return sink.getvalue()


FILE = container()
PACKAGE = package_bytes(store.find_pair("mnist-exact")[1], level=3)
PATH = f"v1/containers/{hashlib.sha256(FILE).hexdigest()}?rows="


class Gate:
    """Stops the work of a server at a step, and counts how often it came there.  It is a folder, which processes share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def close(self) -> None:
        (self._folder / "closed").touch()

    def open(self) -> None:
        (self._folder / "closed").unlink()

    def passed(self) -> int:
        """How often the step has begun."""
        return len(list(self._folder.glob("step-*")))

    def step(self) -> None:
        """Called by the server."""
        (self._folder / f"step-{time.monotonic_ns()}").touch()
        while (self._folder / "closed").exists():
            time.sleep(0.01)


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path / "gate")


@pytest.fixture
def rows_one_by_one(gate, monkeypatch):
    """Each row is a turn, and each turn is a step at the gate."""
    decoded = render._decoded

    def slowly(*arguments):
        gate.step()
        return decoded(*arguments)

    monkeypatch.setattr(render, "_TURN_WORK", 1)
    monkeypatch.setattr(render, "_decoded", slowly)


def n_lines(log: Path) -> int:
    """The requests for containers that were answered, or broke off, so far."""
    return sum(json.loads(line).get("route") == "/v1/containers/{name}" for line in log.read_text().splitlines())


def test_drawing_for_clients_that_have_left_stops(tmp_path, gate, rows_one_by_one):
    """Six ask for all rows and hang up.  The turns that had begun are finished; no other one begins but for who is there."""
    log = tmp_path / "log"
    with running(tmp_path / "root", log=log, decoding_at_a_time=2) as server:
        assert upload(server, FILE).status == upload(server, PACKAGE).status == 201
        gate.close()
        socks = [socket.create_connection(("127.0.0.1", server.port), 120) for _ in range(6)]
        for sock in socks:
            sock.sendall(f"GET /{PATH}0-{N_ROWS - 1} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: gate.passed() == 2)
        for sock in socks:
            sock.close()
        until(lambda: n_lines(log) == 6)  # the server has noticed
        gate.open()
        assert server.request("GET", PATH + "0-2", {"Accept": "application/x-npy"}).status == 200
        assert gate.passed() == 2 + 3


def test_a_request_that_was_sent_ahead_is_answered_after_the_picture(tmp_path, gate, rows_one_by_one):
    """A client that is watched may send its next request; it is not taken for one that has left."""
    with running(tmp_path / "root") as server:
        assert upload(server, FILE).status == upload(server, PACKAGE).status == 201
        gate.close()
        with socket.create_connection(("127.0.0.1", server.port), 120) as sock:
            sock.sendall(f"GET /{PATH}0-2 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            until(lambda: gate.passed() == 1)
            sock.sendall(b"GET /v1/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sock.sendall(b"GET /v1/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert server.request("GET", "v1/").status == 200  # so that those have come, too
            gate.open()
            found = b""
            while piece := sock.recv(65536):
                found += piece
        statuses = [part[:3] for part in found.split(b"HTTP/1.1 ")[1:]]
        assert statuses == [b"200", b"404", b"200"]


SIZED = (VECTORS / "container/valid/190-sized-free-decoder.aef").read_bytes()  # with its decoder
SIZED_PATH = f"v1/containers/{hashlib.sha256(SIZED).hexdigest()}?rows="


def test_an_image_of_its_own_size_is_drawn_alone(tmp_path):
    """As PNG and as npy, with the pixels that the decoder makes; several at once are refused."""
    (tmp_path / "sized.aef").write_bytes(SIZED)
    expected = aeformat.decode(tmp_path / "sized.aef")
    with running(tmp_path / "root") as server:
        assert upload(server, SIZED).status == 201
        for row, image in enumerate(expected):
            answer = server.request("GET", f"{SIZED_PATH}{row}", {"Accept": "image/png"})
            assert answer.status == 200
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.body))).reshape(image.shape), image)
            answer = server.request("GET", f"{SIZED_PATH}{row}", {"Accept": "application/x-npy"})
            assert np.array_equal(np.load(io.BytesIO(answer.body)).reshape(image.shape), image)
        answer = server.request("GET", SIZED_PATH + "0-1")

    assert answer.status == 406 and b"one by one" in answer.body


def test_a_photograph_coded_with_passes_is_drawn(tmp_path):
    """With the decoder inside, or as a package of the tenant's; without it the model is missing."""
    images = [(np.random.default_rng(i).random((30 + i, 41 - i, 3)) < 0.01).astype(np.uint8) for i in range(2)]
    model = aeformat.Model(*pair_with_passes())
    for name, is_inside in (("inside.aef", True), ("alone.aef", False)):
        aeformat.pack(images, tmp_path / name, model=model, embed_decoder=is_inside)
    files = {name: (tmp_path / name).read_bytes() for name in ("inside.aef", "alone.aef")}
    paths = {name: f"v1/containers/{hashlib.sha256(data).hexdigest()}?rows=1" for name, data in files.items()}
    expected = aeformat.decode(tmp_path / "inside.aef")[1]
    with running(tmp_path / "root") as server:
        for data in files.values():
            assert upload(server, data).status == 201
        assert server.request("GET", paths["alone.aef"]).status == 409
        assert upload(server, package_bytes(model.the_decoder)).status == 201
        drawn = [server.request("GET", path, {"Accept": "application/x-npy"}) for path in paths.values()]

    assert [answer.status for answer in drawn] == [200, 200]
    assert all(np.array_equal(np.load(io.BytesIO(answer.body))[0], expected) for answer in drawn)


def test_an_image_that_is_too_large_for_the_server_is_refused(tmp_path):
    """By the work of its own size: the decoder alone, which counts as for one latent, is not too much."""
    decoder = read_package(open_latents_decoder(tmp_path))
    least = decoder.n_multiply_adds + decoder.n_made
    with running(tmp_path / "root", work_of_row=least) as server:
        assert upload(server, SIZED).status == 201
        answer = server.request("GET", SIZED_PATH + "0")

    assert answer.status == 406 and b"too large to be drawn" in answer.body


def open_latents_decoder(folder: Path) -> bytes:
    """The decoder inside the file."""
    (folder / "sized.aef").write_bytes(SIZED)
    with aeformat.open(folder / "sized.aef") as latents:
        return latents.embedded_decoder


def test_a_tenant_with_many_pictures_keeps_no_other_waiting(tmp_path, gate, rows_one_by_one):
    """One turn of its own is being worked on, the others wait; those of the other tenant are all done meanwhile."""
    with running(
        tmp_path / "root", tokens=write_tokens(tmp_path / "tokens", TOKENS | {"t": ("acme", [], None)})
    ) as server:
        for token in ("acme", "beta"):
            assert upload(server, FILE, token).status == upload(server, PACKAGE, token).status == 201
        for token in ("acme", "beta"):
            assert server.request("GET", PATH + "0", token=token).status == 200
        gate.close()
        with ThreadPoolExecutor(6) as pool:
            waiting = [pool.submit(server.request, "GET", PATH + "0-3", None, None, "acme") for _ in range(5)]
            until(lambda: gate.passed() == 3)
            other = pool.submit(server.request, "GET", PATH + "0", None, None, "beta")
            until(lambda: gate.passed() == 4)  # its turn has begun, though five of the other tenant came before
            assert not any(picture.done() for picture in waiting)
            gate.open()
            assert other.result().status == 200 and {picture.result().status for picture in waiting} == {200}


def test_a_decoder_is_proved_once_and_nobody_else_waits_for_it(tmp_path, gate, monkeypatch):
    """Six requests for one decoder: one proof.  Meanwhile another tenant's decoder is proved, and drawn with."""
    golden_rows = render._golden_rows
    owner = {"n": 0}

    def slowly(*arguments):
        owner["n"] += 1
        if owner["n"] == 1:
            gate.step()
        (gate._folder / f"proof-{time.monotonic_ns()}").touch()
        return golden_rows(*arguments)

    monkeypatch.setattr(render, "_golden_rows", slowly)
    with running(
        tmp_path / "root", tokens=write_tokens(tmp_path / "tokens", TOKENS | {"t": ("acme", [], None)})
    ) as server:
        for token in ("acme", "beta"):
            assert upload(server, FILE, token).status == upload(server, PACKAGE, token).status == 201
        gate.close()
        with ThreadPoolExecutor(6) as pool:
            waiting = [pool.submit(server.request, "GET", PATH + "0", None, None, "acme") for _ in range(6)]
            until(lambda: gate.passed() == 1)
            assert server.request("GET", PATH + "1", token="beta").status == 200
            assert not any(picture.done() for picture in waiting)
            gate.open()
            assert {picture.result().status for picture in waiting} == {200}
        assert len(list((tmp_path / "gate").glob("proof-*"))) == 2


def test_a_proof_that_nobody_waits_for_stops_and_the_next_request_begins_it_anew(tmp_path, gate, monkeypatch):
    """T7-7, for the golden set too."""
    golden_rows = render._golden_rows

    def slowly(*arguments):
        gate.step()
        return golden_rows(*arguments)

    monkeypatch.setattr(render, "_TURN_WORK", 1)
    monkeypatch.setattr(render, "_golden_rows", slowly)
    log = tmp_path / "log"
    n_golden = len(store.find_pair("mnist-exact")[1].golden_input)
    assert n_golden > 1
    with running(tmp_path / "root", log=log) as server:
        assert upload(server, FILE).status == upload(server, PACKAGE).status == 201
        gate.close()
        with socket.create_connection(("127.0.0.1", server.port), 120) as sock:
            sock.sendall(f"GET /{PATH}0 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            until(lambda: gate.passed() == 1)
        until(lambda: n_lines(log) == 1)
        gate.open()
        assert server.request("GET", PATH + "0").status == 200
        assert gate.passed() == 1 + n_golden
        assert server.request("GET", PATH + "1").status == 200
        assert gate.passed() == 1 + n_golden


# The order of turns.


def run_turns(most: int, each: int, asked: str, *, leaves: str = "") -> list[str]:
    """The order in which turns begin, asked for in this order while nobody's can begin; each letter is a tenant."""

    async def run() -> list[str]:
        turns, begun = Turns(most, each), []

        async def work(tenant: str) -> None:
            async with turns.turn(tenant):
                begun.append(tenant)
                await asyncio.sleep(0)

        async with AllHeld(turns, most):
            tasks = [asyncio.ensure_future(work(tenant)) for tenant in asked]
            await asyncio.sleep(0)
            for task, tenant in zip(tasks, asked, strict=True):
                if tenant in leaves:
                    task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not turns._waiting and not turns._working
        return begun

    return asyncio.run(run())


class AllHeld:
    """Holds all turns, each for a tenant of its own."""

    def __init__(self, turns: Turns, most: int) -> None:
        self._held = [turns.turn(f"holder {number}") for number in range(most)]

    async def __aenter__(self) -> None:
        for turn in self._held:
            await turn.__aenter__()

    async def __aexit__(self, *_) -> None:
        for turn in self._held:
            await turn.__aexit__(None, None, None)


def test_tenants_take_turns():
    """However many one of them has asked for."""
    assert "".join(run_turns(1, 1, "aaaabbc")) == "abcabaa"
    assert "".join(run_turns(1, 1, "aabb", leaves="b")) == "aa"


def test_a_tenant_has_so_many_turns_at_a_time_and_no_more():
    """Even if nobody else wants them."""

    async def run() -> None:
        turns, n_now, n_most = Turns(4, 2), 0, 0

        async def work() -> None:
            nonlocal n_now, n_most
            async with turns.turn("a"):
                n_now += 1
                n_most = max(n_most, n_now)
                await asyncio.sleep(0)
                n_now -= 1

        await asyncio.gather(*(work() for _ in range(9)))
        assert (n_now, n_most) == (0, 2)

    asyncio.run(run())


def test_who_leaves_in_the_moment_of_its_turn_gives_it_back():
    """The turn was granted, and its owner was cancelled before it ran."""

    async def run() -> None:
        turns = Turns(1, 1)
        first = turns.turn("a")
        await first.__aenter__()

        async def work() -> str:
            async with turns.turn("b"):
                return "worked"

        leaving, staying = asyncio.ensure_future(work()), asyncio.ensure_future(work())
        await asyncio.sleep(0)
        await first.__aexit__(None, None, None)  # grants it to `leaving`
        leaving.cancel()
        assert await staying == "worked" and leaving.cancelled()

    asyncio.run(run())


def test_a_picture_that_is_too_much_work_is_refused_and_its_rows_are_not(tmp_path):
    """The limit is of all its rows together."""
    decoder = read_package(PACKAGE)
    work = decoder.n_multiply_adds + decoder.n_made
    with running(tmp_path / "root", work_of_picture=2 * work) as server:
        for blob in (FILE, PACKAGE):
            assert upload(server, blob).status == 201
        assert server.request("GET", PATH + "0-1").status == 200
        answer = server.request("GET", PATH + "0-2")

    assert answer.status == 406 and b"ask for fewer rows" in answer.body
