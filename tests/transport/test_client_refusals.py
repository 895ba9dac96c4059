"""What a client makes of answers that are of no use: it stops with a reason, waits, or sends less at a time."""

from __future__ import annotations

import hashlib
import json
from random import Random

import pytest
from container.files import Chunk, split

from aeformat.transport.draft import BadField, boolean
from aeformat.transport.fetch_client import FetchClient, State
from aeformat.transport.http_fields import PROBLEM_TYPE, entity_tag, parse_repr_digest, repr_digest
from aeformat.transport.messages import Cut, Done, Failed, Hash, Lost, Request, Response, Wait
from aeformat.transport.policy import decide_transfer
from aeformat.transport.problems import Problem, TransferUnfinished
from aeformat.transport.retry import Retry
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_client import UploadClient, UploadSource
from aeformat.transport.upload_limit import parse_limit
from transport.containers import ends, latents
from transport.world import LIMITS

pytestmark = pytest.mark.usefixtures("small_requests")

FILE = latents(60)
ENDS = ends(FILE)
SHA = hashlib.sha256(FILE).digest()
PATH = f"v1/containers/{SHA.hex()}"


def uploading(**source: object) -> UploadClient:
    """A client that is about to send FILE to v1/uploads/u."""
    fields = {"size": len(FILE), "sha256": SHA, "ends": ENDS, **source}
    client = UploadClient(UploadSource(**fields), Retry(Random(1)))
    assert client.next().method == "HEAD"
    client.on(Response(404, {}))
    client.on(Response(201, {"location": "../v1/uploads/u"}))
    assert (client.next().method, client.next().body) == ("PATCH", (0, len(FILE)))
    return client


def querying() -> UploadClient:
    """The next run of the program, which asks how far the upload is."""
    client = UploadClient(UploadSource(len(FILE), SHA, ENDS), Retry(Random(1)), upload="v1/uploads/u")
    assert (client.next().method, client.next().path) == ("HEAD", "v1/uploads/u")
    return client


def problem(slug: str) -> Response:
    document = Problem(slug, "why").document()
    return Response(document["status"], {"content-type": PROBLEM_TYPE}, json.dumps(document).encode())


END_IT = {
    "redirect": (Response(307, {"location": "elsewhere"}), "redirects are not followed"),
    "refused": (problem("invalid-container"), "why"),
    "nothing resumable": (Response(204, {"upload-complete": "?0"}), "no resumable upload"),
    "an offset that is no number": (Response(204, {"upload-offset": "x"}), "not a byte count"),
    "an offset behind the end": (Response(204, {"upload-offset": str(len(FILE) + 1)}), "claims to have"),
    "stored without its digest": (Response(201, {"upload-complete": "?1"}), "which digest"),
}


@pytest.mark.parametrize(("found", "why"), END_IT.values(), ids=END_IT)
def test_an_upload_ends_where_trying_again_cannot_help(found, why):
    """The reason is that of the server, or what it did wrong."""
    client = uploading()

    client.on(found)

    assert isinstance(client.next(), Failed) and why in str(client.next().error)
    assert not isinstance(client.next().error, TransferUnfinished)


@pytest.mark.parametrize("is_created", [False, True])
def test_an_upload_without_a_place_is_none(is_created):
    """201 without a Location, and a probe that is refused for good."""
    client = UploadClient(UploadSource(len(FILE), SHA), Retry(Random(1)))
    client.next()
    client.on(Response(404 if is_created else 400, {}))
    if is_created:
        client.on(Response(201, {}))

    assert isinstance(client.next(), Failed)
    assert ("does not say where" in str(client.next().error)) is is_created


@pytest.mark.parametrize("begin", [uploading, querying])
def test_a_server_that_is_busy_is_asked_again_after_a_wait(begin):
    """503 with Retry-After: at least as long as that, then how far the upload is."""
    client = begin()

    client.on(Response(503, {"retry-after": "7"}))

    assert isinstance(client.next(), Wait) and client.next().seconds >= 7
    client.go_on()
    assert (client.next().method, client.next().path) == ("HEAD", "v1/uploads/u")


def test_a_probe_that_a_busy_server_does_not_answer_is_repeated():
    """500 to the first request."""
    client = UploadClient(UploadSource(len(FILE), SHA), Retry(Random(1)))
    client.next()
    client.on(Response(500, {}))

    assert isinstance(client.next(), Wait)
    client.go_on()
    assert (client.next().method, client.next().path) == ("HEAD", PATH)


@pytest.mark.parametrize("begin", [uploading, querying])
def test_an_upload_that_is_gone_is_begun_anew(begin):
    """404: from the probe on."""
    client = begin()

    client.on(Response(404, {}))

    assert isinstance(client.next(), Wait) and client.upload is None
    client.go_on()
    client.on(Response(404, {}))
    assert client.next().method == "POST"


def test_an_offset_in_a_refusal_is_where_to_go_on():
    """409: from the answer; without one, or where nothing was won, it counts as a failure."""
    client = uploading()

    client.on(Response(409, {"upload-offset": str(ENDS[2])}))
    assert client.next().body == (ENDS[2], len(FILE))
    client.on(Response(409, {"upload-offset": str(ENDS[2])}))
    assert isinstance(client.next(), Wait)
    client.go_on()
    assert client.next().body == (ENDS[2], len(FILE))
    client.on(Response(409, {}))
    client.go_on()
    assert client.next().method == "HEAD"


def test_a_server_that_keeps_nothing_is_given_up():
    """T8-2: too many tries without progress, and what is kept is said."""
    client = uploading()
    while not isinstance(client.next(), Failed):
        if isinstance(client.next(), Wait):
            client.go_on()
        client.on(Response(204, {"upload-offset": "0"}))

    assert isinstance(client.next().error, TransferUnfinished)
    assert "gave up after" in str(client.next().error) and "kept nothing" in str(client.next().error)


def test_a_model_is_probed_by_its_id_and_may_have_another_digest():
    """A package is the same whatever compressed it."""
    client = UploadClient(UploadSource(len(FILE), SHA, model=bytes(32)), Retry(Random(1)))
    assert client.next().path == f"v1/models/{'00' * 32}"

    client.on(Response(200, {"repr-digest": repr_digest(b"x" * 32)}))

    assert client.next() == Done(f"v1/models/{'00' * 32}", SHA)


def test_a_digest_that_becomes_known_is_compared_with_the_one_that_was_named():
    """T5-3: the answer came first."""
    for own, ends_as in ((SHA, Done), (bytes(32), Failed)):
        client = UploadClient(UploadSource(len(FILE), None, ENDS), Retry(Random(1)))
        client.next()
        client.on(Response(201, {"location": "../v1/uploads/u"}))
        client.next()
        client.on(Response(201, {"upload-complete": "?1", "repr-digest": repr_digest(SHA)}))
        assert client.next() == Hash()
        client.hashed(own)
        assert isinstance(client.next(), ends_as)


HEAD = {"content-length": str(len(FILE)), "repr-digest": repr_digest(SHA)}


def fetching(limits: TransferLimits = LIMITS, sha256: bytes | None = SHA) -> FetchClient:
    """A client that has asked for size and digest."""
    client = FetchClient(PATH, Retry(Random(1)), limits=limits, sha256=sha256)
    assert client.next().method == "HEAD"
    return client


def receiving() -> FetchClient:
    """A client that receives the body of FILE."""
    client = fetching()
    client.on(Response(200, HEAD))
    assert client.next().method == "GET" and client.on(Response(200, {}))
    return client


NOT_TO_BE_HAD = {
    "redirect": (Response(302, {"location": "elsewhere"}), "redirects are not followed"),
    "not there": (problem("not-found"), "why"),
    "no digest": (Response(200, {"content-length": "9"}), "digest and the length"),
    "no length": (Response(200, {"repr-digest": repr_digest(SHA)}), "digest and the length"),
    "other bytes": (Response(200, {"content-length": "9", "repr-digest": repr_digest(bytes(32))}), "other bytes"),
    "too large": (Response(200, {**HEAD, "content-length": str(LIMITS.max_size + 1)}), "allowed here"),
}


@pytest.mark.parametrize(("found", "why"), NOT_TO_BE_HAD.values(), ids=NOT_TO_BE_HAD)
def test_a_download_ends_before_it_begins(found, why):
    """With a reason."""
    client = fetching()

    client.on(found)

    assert isinstance(client.next(), Failed) and why in str(client.next().error)


def test_a_partial_file_that_is_whole_is_not_fetched_again():
    """And one that is whole, but of other bytes, is dropped."""
    client = fetching()
    assert client.restore(FILE) and client.restored() == len(FILE)
    client.on(Response(200, HEAD))
    assert client.next() == Done(PATH, SHA)

    other = latents(60, seed=2)
    client = fetching()
    assert client.restore(other) and client.restored() == len(FILE)
    client.on(Response(200, HEAD))
    assert client.verified_at == 0 and "Range" not in client.next().fields


def test_a_partial_file_is_read_to_where_it_is_damaged():
    """The verified chunks are kept, and asked for is what comes after them."""
    client = fetching()
    assert not client.restore(FILE[: ENDS[2]] + bytes(64))
    assert client.restored() == ENDS[2]
    client.on(Response(200, HEAD))

    assert client.next().fields["Range"] == f"bytes={ENDS[2]}-"
    assert client.next().fields["If-Range"] == entity_tag(SHA)


def test_a_file_that_was_sent_broken_is_not_asked_for_again():
    """Its checksums hold: it is no damage of the connection."""
    client = receiving()

    assert not client.data(split(FILE).insert(1, Chunk(b"XXXX", b"?")).join()[: len(FILE)])

    assert isinstance(client.next(), Failed) and "cannot be taken" in str(client.next().error)
    assert not client.data(b"more")
    client.ended()


def test_a_body_with_other_bytes_than_promised_is_dropped():
    """T5-7: whole and well formed, but its digest is another one."""
    client = receiving()
    assert client.data(latents(60, seed=2))
    client.ended()

    assert client.next() == Cut(0)
    client.go_on()
    assert isinstance(client.next(), Wait)
    client.go_on()
    assert isinstance(client.next(), Request) and "Range" not in client.next().fields


def test_bytes_behind_the_end_are_cut_off():
    """The file is there; the server sent more than it said."""
    client = fetching()
    client.on(Response(200, HEAD))
    client.on(Response(200, {}))
    assert client.data(FILE[:-1])
    assert not client.data(FILE[-1:] + b"more")

    assert client.next() == Cut(len(FILE))
    client.go_on()
    assert client.next() == Done(PATH, SHA)


def test_a_file_that_is_longer_than_was_said_is_dropped():
    """Good chunks behind the length that HEAD gave: what is there has not the digest, so it is fetched anew."""
    client = fetching()
    client.on(Response(200, {**HEAD, "content-length": str(ENDS[2])}))
    assert client.on(Response(200, {}))
    assert not client.data(FILE[: ENDS[4]])
    assert client.next() == Cut(ENDS[4])
    client.go_on()

    assert client.next() == Cut(0)
    client.go_on()
    client.go_on()
    assert "Range" not in client.next().fields


def test_a_server_that_always_begins_at_the_first_byte_is_given_up():
    """200 where a range was asked for, again and again, and each time a chunk more before the connection breaks."""
    client = receiving()
    n_times = 0
    while not isinstance(client.next(), Failed):
        if isinstance(client.next(), Wait | Cut):
            client.go_on()
        elif client.state is State.BODY:
            client.data(FILE[: ENDS[n_times]])
            client.ended()
        else:
            n_times += client.verified_at > 0
            client.on(Response(200, {}))

    assert "does not let downloads be resumed" in str(client.next().error)


def test_a_connection_that_never_brings_anything_is_given_up():
    """T8-2."""
    client = receiving()
    while not isinstance(client.next(), Failed):
        if isinstance(client.next(), Wait | Cut):
            client.go_on()
        elif client.state is State.BODY:
            client.ended("cut")
        else:
            client.on(Response(200, {}))

    assert isinstance(client.next().error, TransferUnfinished) and "0 bytes are kept" in str(client.next().error)


@pytest.mark.parametrize(
    "found", [Lost("cut"), Response(503, {}), Response(200, {**HEAD, "content-encoding": "gzip"})], ids=str
)
def test_a_probe_without_an_answer_is_repeated(found):
    """Also one that is coded, although identity was asked for (T5-4)."""
    client = fetching()
    client.on(found)

    assert isinstance(client.next(), Wait)
    client.go_on()
    assert client.next().method == "HEAD"


def test_ranges_that_do_not_fit_are_not_appended():
    """T5-5: another place, or no Content-Range at all; 416 begins anew."""
    client = receiving()
    client.data(FILE[: ENDS[2]])
    client.ended()
    client.go_on()
    client.go_on()
    for named in ({}, {"content-range": f"bytes {ENDS[2] + 1}-{len(FILE) - 1}/{len(FILE)}"}):
        assert not client.on(Response(206, named))
        client.go_on()
    assert client.verified_at == ENDS[2]
    client.on(Response(416, {}))
    assert client.next() == Cut(0)


def test_fields_that_mean_nothing():
    """Each is as if it were not there, or is refused by name."""
    assert parse_repr_digest("sha-256=:" + "=" * 44 + ":") is None
    assert parse_limit("max-size=5, x, max-age=y") == {}
    with pytest.raises(BadField, match="not \\?0 or \\?1"):
        boolean("Upload-Complete", "1")
    assert boolean("Upload-Complete", "?0") is False
    with pytest.raises(ValueError, match="policy 'sometimes'"):
        decide_transfer("sometimes", n_rows=1, image_bytes=1, container_bytes=1, model_bytes=1)
    assert Response(400, {"content-type": PROBLEM_TYPE}, b"{").problem == {}
    assert TransferLimits().advertised()["max_size"] == TransferLimits().max_size
    assert str(Problem("not-found", "it is not here")) == "it is not here (404 not-found)"
