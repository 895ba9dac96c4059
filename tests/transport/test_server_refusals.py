"""What the server's side of an upload refuses, and what it does where the disk or the program failed."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from container.files import Chunk, split

from aeformat.transport import draft
from aeformat.transport.problems import NEVER, RESUME, Problem
from aeformat.transport.transfer_limits import TransferLimits
from aeformat.transport.upload_actions import Answer, Append, Digest, Discard, Prove, Replay, Store, Sync, Truncate
from aeformat.transport.upload_server import UploadServer
from aeformat.transport.upload_states import State
from aeformat.transport.verify import Verifier
from transport.containers import ends, latents
from transport.world import LIMITS

FILE = latents()
ENDS = ends(FILE)
SHA = hashlib.sha256(FILE).digest()
PLENTY = 1 << 40


def begun(limits: TransferLimits = LIMITS, *, length: int | None = None, **request) -> tuple[UploadServer, int]:
    """An upload, and the generation of the request that writes from its first byte on."""
    upload = UploadServer(limits, now=0, length=length)
    generation, _ = upload.append(Append(**{"offset": 0, "is_last": True, **request}), now=0, quota_left=PLENTY)
    return upload, generation


def sent(upload: UploadServer, generation: int, data: bytes) -> None:
    """Bytes arrive and are good."""
    assert upload.data(generation, len(data), now=0, quota_left=PLENTY) is not None
    assert upload.check(data) is None


def slug_of(call) -> str:
    with pytest.raises(Problem) as caught:
        call()
    return caught.value.type.slug


def test_an_upload_that_was_finished_before_a_restart_still_answers():
    """T4-11: HEAD, and nobody writes."""
    upload = UploadServer.finished(LIMITS, now=0, size=len(FILE), sha256=SHA, content_location="/v1/containers/x")

    answer = upload.head()
    assert (answer.status, answer.fields[draft.OFFSET], answer.fields["Content-Location"]) == (
        200, str(len(FILE)), "/v1/containers/x",
    )  # fmt: skip
    assert upload.settle(now=1) == []
    empty, more = Append(len(FILE), True, body_bytes=0), Append(0, True)
    assert slug_of(lambda: upload.append(empty, now=1, quota_left=PLENTY)) == "completed-upload"
    assert slug_of(lambda: upload.append(more, now=1, quota_left=PLENTY)) == "inconsistent-upload-length"


def test_an_upload_that_is_over_is_gone():
    """Cancelled, or too old: HEAD and PATCH say so."""
    cancelled, _ = begun()
    assert cancelled.cancel() == [Discard(), Answer(204, {})]
    expired = UploadServer(LIMITS, now=0, is_restored=True)
    assert expired.tick(LIMITS.max_age) == []
    assert expired.tick(LIMITS.max_age + 1) == [Discard()]
    assert expired.give_up(Problem("quota-exceeded", "full")) == []

    for upload in (cancelled, expired):
        assert slug_of(upload.head) == "upload-gone"
        assert slug_of(lambda upload=upload: upload.append(Append(0, True), now=9, quota_left=PLENTY)) == "upload-gone"
        assert upload.tick(1e9) == []


LIMIT = replace(LIMITS, max_size=4000, max_append_size=2000)


def test_sizes_above_the_limits_are_refused_at_once():
    """Section 7: the whole, one request, and where both lengths are given they are the same."""
    assert slug_of(lambda: UploadServer(LIMIT, now=0, length=4001)) == "too-large"
    for request, slug in (
        (Append(0, True, body_bytes=2001), "too-large"),
        (Append(0, True, length=4001), "too-large"),
        (Append(0, True, body_bytes=600), "quota-exceeded"),
        (Append(7, True), "mismatching-upload-offset"),
    ):
        upload = UploadServer(LIMIT, now=0)
        assert slug_of(lambda: upload.append(request, now=0, quota_left=500)) == slug  # noqa: B023
    upload = UploadServer(LIMIT, now=0, length=3000)
    upload.append(Append(0, True, length=3000), now=0, quota_left=PLENTY)


@pytest.mark.parametrize(("request_", "retry"), [
    (Append(0, True, length=2999), NEVER),
    (Append(0, False, length=2999), NEVER),
    (Append(0, True, body_bytes=1999), RESUME),
    (Append(0, True, length=3000, body_bytes=1999), RESUME),
    (Append(0, False, body_bytes=3001), RESUME),
])  # fmt: skip
def test_lengths_that_contradict_each_other_are_refused_before_anything_moves(request_, retry):
    """T4-24: what was said before, Upload-Length, and a last body's end."""
    upload = UploadServer(LIMITS, now=0, length=3000)
    with pytest.raises(Problem) as caught:
        upload.append(request_, now=0, quota_left=PLENTY)
    assert (caught.value.type.slug, caught.value.retry) == ("inconsistent-upload-length", retry)
    assert caught.value.document()["retry"] == retry
    assert (upload.state, upload.length, upload.head().fields[draft.LENGTH]) == (State.CREATED, 3000, "3000")
    upload.append(Append(0, True, body_bytes=3000), now=0, quota_left=PLENTY)


def test_a_last_body_says_the_length_of_the_upload():
    """T4-24, T4-25: HEAD tells it, and the next request must agree; one that shows it was wrong takes it back."""
    upload, generation = begun(body_bytes=ENDS[2])
    sent(upload, generation, FILE[: ENDS[1]])
    upload.lost(generation)
    assert upload.head().fields[draft.LENGTH] == str(ENDS[2])
    other = Append(ENDS[1], True, body_bytes=1)
    assert slug_of(lambda: upload.append(other, now=0, quota_left=PLENTY)) == "inconsistent-upload-length"

    generation, _ = upload.append(Append(ENDS[1], True), now=0, quota_left=PLENTY)
    sent(upload, generation, FILE[ENDS[1] : ENDS[2]])
    assert upload.end(generation, now=0)[-1].problem.type.slug == "upload-truncated"
    assert draft.LENGTH not in upload.head().fields
    upload.append(Append(ENDS[2], True, body_bytes=len(FILE) - ENDS[2]), now=0, quota_left=PLENTY)


def test_a_body_beyond_the_length_ends_the_upload():
    """T4-24: also one that does not say its own length."""
    upload, generation = begun(length=ENDS[2], is_last=False)
    assert upload.data(generation, ENDS[2] + 1, now=0, quota_left=PLENTY) is None
    actions = upload.excess(ENDS[2] + 1, quota_left=PLENTY)
    assert actions[0] == Discard() and actions[-1].problem.type.slug == "inconsistent-upload-length"
    assert upload.state is State.FAILED


def test_a_body_that_is_not_what_its_digest_says_is_taken_back():
    """T3-4, T4-26: its verified bytes too.  The third time the upload is over."""
    upload, generation = begun(is_last=False)
    sent(upload, generation, FILE[: ENDS[1]])
    upload.end(generation, now=0)
    upload.staged.synced(ENDS[1])
    for slug in ("mismatching-content-digest", "mismatching-content-digest", "damaged-again"):
        for action in upload.settle(now=0):
            assert action == Replay()
            assert upload.replay(FILE[: ENDS[1]])
            upload.replayed()
        wrong = Append(ENDS[1], True, digests={"sha-512": bytes(64)})
        generation, _ = upload.append(wrong, now=0, quota_left=PLENTY)
        sent(upload, generation, FILE[ENDS[1] :])
        upload.staged.synced(ENDS[3])
        actions = upload.end(generation, now=0)
        assert actions[-1].problem.type.slug == slug
        if slug != "damaged-again":
            assert (actions[0], actions[-1].fields[draft.OFFSET]) == (Truncate(ENDS[1]), str(ENDS[1]))
            assert (upload.state, upload.staged.acknowledged) == (State.IDLE, ENDS[1])
    assert upload.state is State.FAILED and Discard() in actions


def test_a_body_that_is_what_its_digests_say_is_taken():
    """T4-26: by both algorithms."""
    digests = {"sha-256": SHA, "sha-512": hashlib.sha512(FILE).digest()}
    upload, generation = begun(digests=digests)
    sent(upload, generation, FILE)
    assert upload.end(generation, now=0)[-1] == Store(SHA, len(FILE))


@pytest.mark.parametrize(("digests", "is_good"), [
    ({"sha-256": SHA}, True),
    ({"sha-256": bytes(32)}, False),
    ({"sha-512": hashlib.sha512(FILE).digest()}, True),
    ({"sha-512": bytes(64)}, False),
    ({"sha-256": bytes(32), "sha-512": hashlib.sha512(FILE).digest()}, False),
])  # fmt: skip
def test_the_whole_must_be_what_the_digest_says_that_was_announced(digests, is_good):
    """T3-5, T4-27: else nothing is stored, and the upload is over."""
    upload = UploadServer(LIMITS, now=0, digests=digests)
    generation, _ = upload.append(Append(0, True), now=0, quota_left=PLENTY)
    sent(upload, generation, FILE)
    actions = upload.end(generation, now=0)
    if "sha-512" in digests:
        assert actions == [Sync(len(FILE)), Digest("sha-512")]
        actions = upload.digested({"sha-512": hashlib.sha512(FILE).digest()})
    if is_good:
        assert (actions[-1], upload.state) == (Store(SHA, len(FILE)), State.VERIFYING)
        return
    assert actions[-1].problem.type.slug == "mismatching-repr-digest"
    assert upload.state is State.FAILED and Discard() in actions


def test_a_body_that_is_longer_than_allowed_ends():
    """T4-20: above the quota or the limit the upload is over, and its staged bytes go."""
    for n_bytes, quota_left, slug in ((400, 399, "quota-exceeded"), (4001, PLENTY, "too-large")):
        upload, generation = begun(LIMIT)
        assert upload.data(generation, n_bytes, now=0, quota_left=quota_left) is None
        over = upload.excess(n_bytes, quota_left=quota_left)
        assert over[0] == Discard() and isinstance(over[-1], Answer) and over[-1].problem.type.slug == slug
        for call in (upload.head, lambda upload=upload: upload.append(Append(0, True), now=0, quota_left=PLENTY)):
            assert slug_of(call) == slug


def test_an_upload_that_was_refused_for_good_keeps_nothing():
    """T4-20: whatever state it was in; the answer is repeated."""
    for upload in (UploadServer(LIMITS, now=0), begun()[0], idle_with(ENDS[1])):
        assert upload.give_up(Problem("quota-exceeded", "the disk is full")) == [Discard()]
        assert slug_of(upload.head) == "quota-exceeded" and not upload.is_open


def idle_with(n_bytes: int) -> UploadServer:
    """An upload whose first n_bytes are acknowledged."""
    upload, generation = begun(is_last=False)
    sent(upload, generation, FILE[:n_bytes])
    upload.end(generation, now=0)
    return upload


def test_an_upload_that_holds_nothing_lives_shortly():
    """T4-21: and so does one whose first request was refused, until another comes.  Upload-Limit says so."""
    limits = replace(LIMITS, empty_age=60)
    empty = UploadServer(limits, now=0)
    assert (empty.expires, empty.tick(60)) == (60, []) and "max-age=60" in empty.upload_limit
    assert empty.tick(61) == [Discard()]

    upload, generation = begun(limits, is_last=False)
    sent(upload, generation, FILE[: ENDS[2]])
    upload.lost(generation)
    assert upload.expires == limits.max_age and f"max-age={limits.max_age}" in upload.upload_limit
    upload.refused_first()
    assert upload.expires == 60
    upload.settle(now=5)
    assert upload.expires == 5 + limits.max_age


def test_a_request_can_be_put_off():
    """T7-5: what was verified is kept, and the offset is said."""
    upload, generation = begun(is_last=False)
    sent(upload, generation, FILE[: ENDS[2] + 9])
    actions = upload.postpone(Problem("busy", "memory is short"))
    assert actions[:-1] == [Truncate(ENDS[2]), Sync(ENDS[2])]
    assert actions[-1].problem.type.slug == "busy" and actions[-1].fields[draft.OFFSET] == str(ENDS[2])
    assert upload.state is State.IDLE


def test_what_an_idle_upload_holds_can_be_dropped_and_is_read_back():
    """T7-5: one that receives keeps it."""
    upload = idle_with(ENDS[2])
    assert upload.offset == ENDS[2] and upload.forget() and not upload.forget()
    assert upload.offset is None and upload.expires == LIMITS.max_age
    assert upload.settle(now=0) == [Replay()]
    assert upload.replay(FILE[: ENDS[2]])
    assert upload.replayed() == [Sync(ENDS[2])] and upload.offset == ENDS[2]
    upload.append(Append(ENDS[2], True), now=0, quota_left=PLENTY)
    assert not upload.forget()


def test_what_an_upload_holds_is_known():
    """T7-5: bytes of a chunk that is not whole, and the index that its chunks demand.  An idle one holds the index only."""
    upload, generation = begun(is_last=False)
    assert upload.verifier.held_bytes == 0
    sent(upload, generation, FILE[: ENDS[1] + 7])
    held = upload.verifier.held_bytes
    upload.lost(generation)
    assert held == upload.verifier.held_bytes + 7 and upload.verifier.model_bytes is None


def test_the_prior_of_an_embedded_decoder_counts_and_its_container_is_dropped():
    """T7-5: of codec rans, before and after its lookup tables are made."""
    from container.test_rans import file

    data = file(embed=True)
    places, verifier = ends(data), Verifier(LIMITS)
    verifier.feed(data[: places[1]])
    arrays = verifier.held_bytes
    assert 0 < arrays < places[1] - places[0]
    verifier.feed(data[places[1] :])
    assert verifier.is_complete and verifier.held_bytes > arrays + 2 * (1 << 8)  # a slot's entry takes two bytes


def test_a_package_is_proved_before_it_is_stored():
    """T4-2: the rules of its numbers take all of it, so the caller reads the staged package once, at its end."""
    from container.priors import decoder_of, random_prior

    from aeformat.errors import LimitExceeded, ManifestInvalid
    from aeformat.model.file_io import package_bytes

    data = package_bytes(decoder_of(random_prior(1), lo=-6, hi=9, dims=(5,)))
    for error, slug in (
        (ManifestInvalid("M4-1", 9, "too large"), "invalid-container"),
        (LimitExceeded("M7-1", 9, "too much"), "too-large"),
        (None, None),
    ):
        upload, generation = begun()
        sent(upload, generation, data)
        sync, prove = upload.end(generation, now=0)
        assert sync == Sync(len(data)) and prove == Prove(upload.verifier.model_bytes) and prove.model_bytes > 1000
        actions = upload.proved(error)
        if error is None:
            assert actions == [Store(hashlib.sha256(data).digest(), len(data))]
        else:
            assert actions[0] == Discard() and actions[-1].problem.type.slug == slug
            assert actions[-1].problem.document()["rule"] == error.rule and upload.state is State.FAILED


def test_a_container_of_another_length_than_was_said_is_over():
    """Seen when it is complete and shorter."""
    upload, generation = begun(length=len(FILE) + 1)
    sent(upload, generation, FILE)
    actions = upload.end(generation, now=0)
    assert actions[0] == Discard() and actions[-1].problem.type.slug == "inconsistent-upload-length"


def test_a_last_request_that_breaks_off_is_no_end():
    """T4-7: what is verified is kept and synced, the rest is cut off."""
    upload, generation = begun()
    sent(upload, generation, FILE[: ENDS[2] + 5])

    actions = upload.end(generation, now=0)

    assert actions[:-1] == [Truncate(ENDS[2]), Sync(ENDS[2])]
    assert (actions[-1].status, actions[-1].problem.type.slug) == (
        actions[-1].problem.type.status, "upload-truncated",
    )  # fmt: skip
    assert actions[-1].fields[draft.OFFSET] == str(ENDS[2])


def test_a_verifier_says_why_a_container_is_not_complete(monkeypatch):
    """Or it has a fault, which is ours and no problem of the request."""
    upload, generation = begun()
    sent(upload, generation, FILE[: ENDS[2]])
    monkeypatch.setattr(Verifier, "close", lambda _verifier: None)

    with pytest.raises(AssertionError, match="complete"):
        upload.end(generation, now=0)


def test_damage_at_one_place_is_borne_a_few_times():
    """T4-5: then it is no accident."""
    upload = UploadServer(LIMITS, now=0)
    slugs = []
    for _ in range(LIMITS.tries_at_offset):
        generation, _actions = upload.append(Append(0, True), now=0, quota_left=PLENTY)
        bad = bytearray(FILE)
        bad[ENDS[0] + 40] ^= 1
        upload.data(generation, len(bad), now=0, quota_left=PLENTY)
        error = upload.check(bytes(bad))
        actions = upload.broken(error)
        slugs.append(actions[-1].problem.type.slug)
        if upload.state is State.IDLE:
            upload = resumed(upload)
    assert slugs == ["chunk-damaged"] * (LIMITS.tries_at_offset - 1) + ["damaged-again"]


def resumed(upload: UploadServer) -> UploadServer:
    """Begun at the first byte again: what was verified is dropped, so that all comes anew."""
    upload.staged.forget()
    return upload


def test_after_a_failure_of_the_disk_the_staged_bytes_are_read_back():
    """T4-15: before that nothing is known; afterwards the offset follows from what is there."""
    upload, generation = begun(is_last=False)
    sent(upload, generation, FILE[: ENDS[3]])
    upload.staged.not_written()
    assert upload.end(generation, now=0)[:-1] == []

    assert upload.settle(now=0) == [Replay()]
    assert upload.replay(FILE[: ENDS[1]]) and not upload.replay(bytes(64))
    assert upload.replayed() == [Truncate(ENDS[1]), Sync(ENDS[1])]
    upload.staged.synced(ENDS[1])
    assert upload.head().fields[draft.OFFSET] == str(ENDS[1])


def test_bytes_from_before_a_crash_that_no_request_can_make_good_are_over():
    """The crash came before the refusal was recorded."""
    upload = UploadServer(LIMITS, now=0, is_restored=True)
    assert upload.settle(now=0) == [Replay()]
    assert not upload.replay(split(FILE).insert(1, Chunk(b"XXXX", b"?")).join())
    assert upload.replayed() == [Discard()]

    assert slug_of(upload.head) == "invalid-container"


def test_a_container_without_a_place_can_be_put_there_later():
    """The last request is repeated, without a body."""
    upload, generation = begun()
    sent(upload, generation, FILE)
    assert upload.end(generation, now=0) == [Sync(len(FILE)), Store(SHA, len(FILE))]
    assert slug_of(lambda: upload.append(Append(0, True), now=0, quota_left=PLENTY)) == "upload-verifying"

    answer = upload.not_stored(Problem("server-error", "the disk failed"))[-1]

    assert answer.problem.type.slug == "server-error" and upload.state is State.IDLE
    generation, _ = upload.append(Append(len(FILE), True, body_bytes=0), now=0, quota_left=PLENTY)
    assert upload.end(generation, now=0)[-1] == Store(SHA, len(FILE))
    stored = upload.stored("/v1/containers/x")
    assert (stored.status, stored.fields["Content-Location"]) == (201, "/v1/containers/x")


def test_a_container_that_has_no_room_is_over():
    """T4-20: the disk is full, and nothing is kept on it."""
    upload, generation = begun()
    sent(upload, generation, FILE)
    upload.end(generation, now=0)
    assert upload.not_stored(Problem("quota-exceeded", "the disk is full"))[0] == Discard()
    assert upload.state is State.FAILED


def test_a_request_that_was_fenced_does_nothing_any_more():
    """T4-9: its end is no end, and its loss is no loss."""
    upload, generation = begun()
    sent(upload, generation, FILE[: ENDS[0]])
    upload.settle(now=0)

    assert upload.lost(generation) == []
    assert slug_of(lambda: upload.end(generation, now=0)) == "superseded"


def test_a_sync_is_due_after_so_many_bytes():
    """Of those that are written and verified."""
    upload, generation = begun()
    sent(upload, generation, FILE[: ENDS[3]])

    assert upload.staged.sync_due(LIMITS.sync_bytes - 1) is None
    assert upload.staged.sync_due(len(FILE)) == Sync(ENDS[3])


def test_a_package_larger_than_allowed_is_refused():
    """M2-6: by what its chunks say, before they are unpacked."""
    from container.priors import decoder_of, random_prior

    from aeformat.errors import LimitExceeded
    from aeformat.model.file_io import package_bytes

    data = package_bytes(decoder_of(random_prior(1), lo=-6, hi=9, dims=(5,)))
    with pytest.raises(LimitExceeded, match="M2-6"):
        Verifier(replace(LIMITS, model_bytes=100)).feed(data)
