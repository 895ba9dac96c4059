"""Promise: no file makes the validator work or take memory beyond what its own bytes pay for (container.md, C13-1)."""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import replace

import numpy as np
import pytest

from aeformat import receipt_proofs
from aeformat.backends.golden_check import check
from aeformat.cli.main import main
from aeformat.container import rans, rans_few, work
from aeformat.container.limits import Limits
from aeformat.pipeline.checking import Decoders
from aeformat.receipt_proofs import ReceiptCheck
from aeformat.validator import validate
from tests.spec.vectors import VECTORS, cases
from tools.build_vectors.frames import block, frame
from tools.build_vectors.framing import Chunk, Draft
from tools.build_vectors.latents import Latents
from tools.build_vectors.network import Network, Tensor
from tools.build_vectors.rans import BYTES, MIXTURE, code, file, mixture
from tools.build_vectors.sample_networks import FLOAT_DECODER, TWO_PIXELS


def never(_package: object) -> None:
    raise AssertionError("a golden set was run that costs too much")


def zeros(n_bytes: int) -> bytes:
    """A frame of so many zeros; nobody gets as far as its checksum."""
    whole, rest = divmod(n_bytes, 1 << 17)
    blocks = block(1, 1 << 17, b"\0") * whole + block(1, rest, b"\0", is_last=True)
    window = 13 << 3
    return frame(b"", stated_size=n_bytes, size_bytes=4, window=window, blocks=blocks, checksum=bytes(4))


LOOKUP = [Tensor([1], "i32", [1]), Tensor([2], "u8", [0, 1])]
WINDOW = {"kind": "max_pool", "size": [129, 129], "strides": [1, 1], "padding": [64, 64, 64, 64]}


def golden_set(layers: int) -> Network:
    """A good package of 256 x 256 pixels that adds its input to itself, many times over."""
    shape, n = {"shape": [256, 256, 1], "type": "u8"}, 1 << 16
    pairs = []
    for number in range(layers):
        value = 2 * number
        pairs += [{"kind": "add", "inputs": [value] * 64}, {"kind": "lookup", "multiplier": 0, "shift": 7, "table": 1}]
    return Network(input=shape, output=shape, layers=pairs, tensors=LOOKUP, golden=[[0] * n], golden_output=[[0] * n])


def conv(size: int, kernel: int) -> Network:
    shape = {"shape": [size, size, 1], "type": "u8"}
    around = kernel // 2
    layers = [
        {"kind": "conv2d", "weights": 0, "bias": 1, "strides": [1, 1], "padding": [around, around, around, around]},
        {"kind": "lookup", "multiplier": 2, "shift": 0, "table": 3},
    ]
    tensors = [Tensor([kernel, kernel, 1, 1], "i8", [1] * kernel**2), Tensor([1], "i32", [0]), *LOOKUP]
    n = size * size
    return Network(input=shape, output=shape, layers=layers, tensors=tensors, golden=[[0] * n], golden_output=[[1] * n])


def pool(size: int) -> Network:
    shape, n = {"shape": [size, size, 1], "type": "u8"}, size * size
    return Network(input=shape, output=shape, layers=[WINDOW], tensors=[], golden=[[0] * n], golden_output=[[0] * n])


@pytest.mark.parametrize("made", [conv(300, 127), pool(512), golden_set(500)], ids=["conv", "pool", "adds"])
def test_a_golden_set_that_costs_too_much_is_refused_before_it_is_run(made):
    """By C13-1 at the manifest; whoever pays for it may have it."""
    file_ = made.file(codec="zstd").build()

    report = validate(io.BytesIO(file_.data), check_golden=never)

    assert [(p.code, p.rule, p.at) for p in report.problems] == [("limit", "C13-1", file_.payload_at[0])]
    with pytest.raises(AssertionError):
        validate(io.BytesIO(file_.data), check_golden=never, limits=Limits(work=1 << 50, memory_bytes=1 << 40))


def test_memory_of_a_golden_set_is_bounded():
    """Little work, but all values of a row at once, or one row of windows side by side: more than the file pays for."""
    wide = Network(
        input={"shape": [1, 8192, 1], "type": "u8"}, output={"shape": [1, 8066, 1], "type": "u8"},
        layers=[{"kind": "conv2d", "weights": 0, "bias": 1, "strides": [1, 1], "padding": [63, 63, 0, 0]},
                {"kind": "lookup", "multiplier": 2, "shift": 0, "table": 3}],
        tensors=[Tensor([127, 127, 1, 1], "i8", [0] * 127**2), Tensor([1], "i32", [0]), *LOOKUP],
        golden=[[0] * 8192], golden_output=[[1] * 8066],
    )  # fmt: skip
    file_ = wide.file().build()

    report = validate(io.BytesIO(file_.data), check_golden=never)

    assert [(p.rule, p.at) for p in report.problems] == [("C13-1", file_.payload_at[0])]
    assert "memory" in report.problems[0].what


@pytest.mark.parametrize("kind", ["padded", "spread"])
def test_what_lies_between_two_values_is_counted(kind):
    """A pixel behind much padding; a kernel of one number that is spread to whole strides, and cropped again."""
    n = 1 << 11
    if kind == "padded":
        layer = {"kind": "conv2d", "weights": 0, "bias": 1, "strides": [16, 16], "padding": [64, 64, 64, 64]}
        ends, kernel = ([1, 1, n], [9, 9, 1]), [1, 1, n, 1]
    else:
        layer = {"kind": "conv2d_transpose", "weights": 0, "bias": 1, "strides": [16, 16], "crop": [64, 64, 64, 64]}
        ends, kernel = ([9, 9, n], [1, 1, 1]), [1, 1, 1, n]
    made = Network(
        input={"shape": ends[0], "type": "u8"}, output={"shape": ends[1], "type": "u8"},
        layers=[layer, {"kind": "lookup", "multiplier": 2, "shift": 0, "table": 3}],
        tensors=[Tensor(kernel, "i8", [0] * n), Tensor([1], "i32", [0]), *LOOKUP],
        golden=[[0] * int(np.prod(ends[0]))], golden_output=[[1] * int(np.prod(ends[1]))],
    )  # fmt: skip
    file_ = made.file(codec="zstd").build()
    limits = Limits(work=1 << 20, memory_bytes=1 << 26)

    report = validate(io.BytesIO(file_.data), check_golden=never, limits=limits)

    assert [(p.rule, p.at) for p in report.problems] == [("C13-1", file_.payload_at[0])]
    assert "golden set" in report.not_checked


def test_tensors_that_nothing_pays_for_are_refused_before_they_are_unpacked():
    """A package of 33 MB of zeros in 1 kB, under a limit of 64 MB."""
    n = 1 << 25
    made = Network(
        input={"shape": [n], "type": "u8"}, output={"shape": [1, n, 1], "type": "u8"},
        layers=[{"kind": "reshape", "shape": [1, n, 1]}], tensors=[], golden=[[0]],
        ends=[Tensor([1, n], "u8", [0], sha256=bytes(32)), Tensor([1, 1, n, 1], "u8", [0], sha256=bytes(32))],
    )  # fmt: skip
    draft = made.file(codec="zstd", tensors=False)
    tensor = Chunk(b"TENS", zeros(n), raw_len=n)
    file_ = replace(draft, chunks=(*draft.chunks, tensor, tensor)).build()

    report = validate(io.BytesIO(file_.data), limits=Limits(memory_bytes=(1 << 26) - 9 * len(file_.data)))

    assert [(p.rule, p.at) for p in report.problems] == [("C13-1", file_.payload_at[1])]


def rows(n_bytes: int, n_rows: int, stored: bytes, **more: object) -> Draft:
    """One chunk of rows that is larger than it looks."""
    draft = Latents(blocks=[[[0.0] * 2]], dims=[2], **more).draft
    return replace(draft, chunks=(Chunk(b"ROWS", stored, n_rows, raw_len=n_bytes),))


def many_lanes() -> Draft:
    draft = file(BYTES, [([[0] * 8] * 2_000, code(BYTES, [[0] * 8] * 2_000, [0] * 2_000, 10))]).draft
    n_rows = 1 << 24
    return replace(draft, chunks=(draft.chunks[0], replace(draft.chunks[1], n_rows=n_rows, raw_len=8 * n_rows)))


def names() -> Draft:
    draft = Latents(blocks=[[[0]]], dims=[1], codec="zstd").draft
    n = 1 << 24
    return replace(draft, chunks=(Chunk(b"nAMe", zeros(n), n, raw_len=n), *draft.chunks))


def bytes_of_rows() -> Draft:
    draft = rows(1 << 28, 1 << 27, zeros(1 << 28), codec="zstd")
    return replace(draft, chunks=(*draft.chunks, replace(draft.chunks[0], first_row=1 << 27)))


@pytest.mark.parametrize(
    ("draft", "chunk"),
    [
        (rows(54 * 2_000_000, 2_000_000, zeros(54 * 2_000_000), encoding="text19", codec="zstd"), 0),
        (many_lanes(), 1),
        (names(), 0),
    ],
    ids=["text", "lanes", "names"],
)
def test_a_chunk_that_costs_too_much_is_refused_before_it_is_unpacked(draft, chunk):
    """By C13-1, at its payload; what comes behind it is not looked at, and the report says so."""
    file_ = draft.build()

    report = validate(io.BytesIO(file_.data))

    assert (report.problems[0].code, report.problems[0].rule) == ("limit", "C13-1")
    assert report.problems[0].at == file_.payload_at[chunk]
    assert "limit on work" in report.not_checked


@cases("container/valid", "model/valid")
def test_the_work_of_a_file_is_what_its_vector_says(case, monkeypatch):
    """C13-1: a limit of exactly that lets it through, one less does not."""
    if "file_work" not in case.expected:
        return
    monkeypatch.setattr(work, "WORK_A_BYTE", 0)
    units = case.expected["file_work"]

    enough, less = (
        validate(io.BytesIO(case.data), limits=Limits(work=limit)) for limit in (units, units - 1)
    )  # fmt: skip

    assert [p.rule for p in enough.problems if not p.inside] == []
    assert [p.rule for p in less.problems if not p.inside] == ["C13-1"]


def test_an_embedded_decoder_has_a_budget_of_its_own(monkeypatch):
    """What it costs is not charged to the file around it, and its bytes pay for nothing there."""
    data = (VECTORS / "container/valid/087-embedded-decoder.aef").read_bytes()
    monkeypatch.setattr(work, "WORK_A_BYTE", 0)

    report = validate(io.BytesIO(data), limits=Limits(work=8))

    assert {(p.rule, p.inside) for p in report.problems} == {("C13-1", "dECo")}


def receipted(n_rows: int, vary: bool) -> bytes:
    from tools.build_vectors.receipts import receipt

    values = [[(i * vary) % 251, 9] for i in range(n_rows)]
    made = Latents(blocks=[values], dims=[2], image=[1, 2, 1, "u8"], decoder=TWO_PIXELS.model_id)
    front = [Chunk(b"dECo", TWO_PIXELS.file().build().data), receipt(values)]
    return made.with_(before={0: front}).draft.build().data


def test_receipts_that_cost_too_much_are_left_out_and_the_file_is_good(monkeypatch):
    """Those that the budget pays for are proved; the report says how many were not, and why."""
    monkeypatch.setattr(receipt_proofs, "_RECEIPTS_A_BYTE", 0)
    data = receipted(640, vary=True)

    def dear(header, decoder):
        return Decoders().receipt_check(header, decoder)._replace(row_work=1 << 20, run_work=0)

    report = validate(io.BytesIO(data), find_receipt_check=dear, limits=Limits(work=3 * 64 << 20))

    assert (report.problems, report.n_receipts, report.n_proved) == ([], 10, 3)
    assert report.not_checked.startswith("7 receipts: to prove them takes more work")
    assert "10 receipts of which 3 proved" in report.summary and "(not checked)" not in report.summary


def test_equal_runs_are_decoded_once():
    """A few bytes of rows that are all the same do not ask for many times the work."""
    runs = []

    def counted(header, decoder):
        made = Decoders().receipt_check(header, decoder)
        return ReceiptCheck(lambda run: runs.append(run.first_row) or made.digest(run), made.row_work)

    report = validate(io.BytesIO(receipted(640, vary=False)), find_receipt_check=counted)

    assert (report.n_proved, runs) == (10, [0])


def test_each_file_gets_its_verdict(tmp_path, capsys, monkeypatch):
    """One that is not there, one that takes too much, one for which memory runs out: one JSON document for all."""
    (tmp_path / "dear.aef").write_bytes(pool(512).file(codec="zstd").build().data)
    (tmp_path / "good.aef").write_bytes((VECTORS / "model/valid/001-dense.aef").read_bytes())
    paths = [str(tmp_path / name) for name in ("none.aef", "dear.aef", "good.aef")]

    assert main(["validate", *paths, "--json"]) == 1
    files = json.loads(capsys.readouterr().out)["files"]
    assert [[p["rule"] for p in entry["problems"]] for entry in files] == [[""], ["C13-1"], []]
    assert [entry["exit_code"] for entry in files] == [2, 1, 0]

    assert main(["validate", paths[2], "--json", "--max-work", "0", "--max-memory", "0"]) == 1
    assert json.loads(capsys.readouterr().out)["files"][0]["problems"][0]["rule"] == "C13-1"

    def out_of_memory(_package):
        raise MemoryError

    monkeypatch.setattr("aeformat.backends.golden_check.check", out_of_memory)
    assert main(["validate", paths[2], paths[2]]) == 1
    assert capsys.readouterr().err.count("takes more memory than there is") == 2


def test_numbers_that_overflow_are_a_verdict_and_no_warning():
    """A float network that makes infinities and NaN: its golden set does not come out, and NumPy says nothing."""
    huge = FLOAT_DECODER.tensor(0, numbers=[2.0**127] * 6).with_(golden=[[2.0**127] * 3], golden_output=[[0, 0]])
    layers = [huge.layers[0], {"kind": "softplus"}, {"kind": "elu"}, {"kind": "gelu"}, *huge.layers[1:]]
    data = huge.with_(layers=layers).file().build().data

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = validate(io.BytesIO(data), check_golden=check)

    assert [p.rule for p in report.problems] == ["M6-2"]


@pytest.mark.parametrize("log2", range(5))
@pytest.mark.parametrize("n_rows", [40, 133])
def test_few_lanes_are_decoded_as_many_are(log2, n_rows, monkeypatch):
    """Python's loop and NumPy's give the same bytes, and refuse the same broken codes by the same rule."""
    from aeformat.container.prior import Prior

    numbers = {key: MIXTURE.tensors[n] for key, n in MIXTURE.manifest["prior"].items() if key != "bits"}
    arrays = {key: np.array(t.numbers).reshape(t.shape) for key, t in numbers.items()}
    prior = Prior(bits=8, lo=-4, hi=3, **arrays)
    _, payload = mixture(n_rows, log2)
    payloads = [payload, payload[:-2], payload + b"\0\0", payload[:-2] + bytes([payload[-2] ^ 1, payload[-1]])]

    def outcomes() -> list[object]:
        found: list[object] = []
        for stored in payloads:
            try:
                found.append(bytes(rans.decode_rows(stored, prior, n_rows=n_rows)))
            except rans.BadCode as error:
                found.append(error.rule)
        return found

    few = outcomes()
    monkeypatch.setattr(rans, "FEW_LANES", 0)
    assert few == outcomes()
    assert isinstance(few[0], bytes) and few[1:3] == ["C6-11", "C6-11"]
    assert rans_few.FEW_LANES == 16
