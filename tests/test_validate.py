"""The validator: every problem, by rule and byte."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aeformat.backends.golden_check import check
from aeformat.backends.numpy_passes import prior_of
from aeformat.cli.main import main
from aeformat.cli.validate import exit_code_of
from aeformat.container.header import LatentsHeader
from aeformat.container.wire import CHUNK_HEADER_BYTES
from aeformat.container.writer import LatentsWriter
from aeformat.model import places, store
from aeformat.pipeline.checking import Decoders
from aeformat.validator import validate

VECTORS = Path(__file__).resolve().parent.parent / "spec" / "vectors"


def files(folder: str) -> list[Path]:
    return sorted(VECTORS.glob(f"*/{folder}/*.aef"))


def three_chunks() -> tuple[bytes, int]:
    """A file of three chunks of ten rows of 64 bytes, and where the first chunk header is."""
    sink = io.BytesIO()
    header = LatentsHeader(decoder=bytes(32), dims=(64,), image=(28, 28, 1), encoding="u8")
    with LatentsWriter(sink, header, chunk_rows=10) as writer:
        writer.write(np.arange(1920, dtype=np.uint8).reshape(30, 64))
    return sink.getvalue(), 24 + len(header.to_bytes())


@pytest.mark.parametrize("path", files("valid"), ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_valid_vectors_have_no_problem(path):
    """What the spec allows is reported as good, golden sets included."""
    with path.open("rb") as file:
        report = validate(file, check_golden=check, find_receipt_check=Decoders().receipt_check, prior_of=prior_of)
    assert not report.problems
    assert exit_code_of(report) == 0


@pytest.mark.parametrize("path", files("invalid"), ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_the_first_problem_is_the_one_a_reader_reports(path):
    """Each invalid vector: same code, rule and byte as every reader gives."""
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    with path.open("rb") as file:
        report = validate(file, check_golden=check, find_receipt_check=Decoders().receipt_check, prior_of=prior_of)
    first = report.problems[0]
    assert (first.code, first.rule, first.at) == (expected["code"], expected["rule"], expected["at"])
    assert first.expected


def test_there_are_vectors():
    """The two tests above cannot pass by finding nothing."""
    assert len(files("valid")) > 20
    assert len(files("invalid")) >= 150


def test_all_problems_are_listed_not_the_first():
    """Two damaged chunks: both payloads are named, and what they bring with them is not."""
    data, at = three_chunks()
    bad = bytearray(data)
    for chunk in (0, 2):
        bad[at + chunk * (CHUNK_HEADER_BYTES + 640) + CHUNK_HEADER_BYTES + 3] ^= 0x40
    report = validate(io.BytesIO(bytes(bad)))
    assert [(p.rule, p.at) for p in report.problems] == [
        ("C4-11", at + CHUNK_HEADER_BYTES),
        ("C4-11", at + 2 * (CHUNK_HEADER_BYTES + 640) + CHUNK_HEADER_BYTES),
    ]


def test_damage_and_a_cut_are_both_listed():
    """A damaged chunk in a file that is also cut: two problems, and the graver exit code."""
    data, at = three_chunks()
    bad = bytearray(data[:-10])
    bad[at + CHUNK_HEADER_BYTES] ^= 1
    report = validate(io.BytesIO(bytes(bad)))
    assert [p.rule for p in report.problems] == ["C4-11", "C9-1"]
    assert exit_code_of(report) == 1


def test_an_embedded_decoder_is_checked_inside():
    """A damaged embedded decoder is reported with its own rule, and where it lies."""
    package = bytearray((places.shipped_folder() / "mnist-exact.decoder.aef").read_bytes())
    decoder = store.find_pair("mnist-exact")[1]
    package[2000] ^= 1
    sink = io.BytesIO()
    header = LatentsHeader(decoder=decoder.model_id, dims=(64,), image=(28, 28, 1), encoding="u8")
    with LatentsWriter(sink, header, decoder=bytes(package)) as writer:
        writer.write(np.zeros((1, 64), np.uint8))
    report = validate(io.BytesIO(sink.getvalue()), check_golden=check)
    assert [p.rule for p in report.problems] == ["C4-11"]
    assert report.problems[0].inside == "dECo"
    assert sink.getvalue()[report.problems[0].inside_at :].startswith(b"\x89AEF")


@pytest.mark.parametrize(
    ("decoder", "dims", "rule"),
    [("mnist-128-64-128", (64,), "C7-4"), ("mnist-exact", (65,), "C3-14")],
)
def test_an_embedded_decoder_must_belong(decoder, dims, rule):
    """Another decoder than the header's, or one that takes other rows, is reported."""
    exact = store.find_pair("mnist-exact")[1]
    package = (places.shipped_folder() / f"{decoder}.decoder.aef").read_bytes()
    sink = io.BytesIO()
    header = LatentsHeader(decoder=exact.model_id, dims=dims, image=(28, 28, 1), encoding="u8")
    with LatentsWriter(sink, header, decoder=package) as writer:
        writer.write(np.zeros((1, *dims), np.uint8))
    report = validate(io.BytesIO(sink.getvalue()), check_golden=check)
    assert [p.rule for p in report.problems] == [rule]


def test_the_list_of_problems_is_bounded():
    """A file made to have a problem in every chunk does not fill the report without end."""
    sink = io.BytesIO()
    header = LatentsHeader(decoder=bytes(32), dims=(1,), image=(1, 1, 1), encoding="u8")
    with LatentsWriter(sink, header, chunk_rows=1) as writer:
        writer.write(np.zeros((1200, 1), np.uint8))
    bad = bytearray(sink.getvalue())
    at = 24 + len(header.to_bytes())
    for chunk in range(1200):
        bad[at + chunk * (CHUNK_HEADER_BYTES + 1) + CHUNK_HEADER_BYTES] ^= 1
    report = validate(io.BytesIO(bytes(bad)))
    assert len(report.problems) == 1000
    assert report.is_cut_short


def test_json_has_a_stable_shape(tmp_path, capsys):
    """`validate --json`: the keys that others may rely on."""
    good, bad = tmp_path / "good.aef", tmp_path / "bad.aef"
    data, _ = three_chunks()
    good.write_bytes(data)
    bad.write_bytes(data[:-1] + b"\0")
    assert main(["validate", str(good), str(bad), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["format"] == "aeformat-report-1"
    keys = {"file", "valid", "exit_code", "kind", "rows", "chunks", "bytes", "content_id", "receipts", "proved"}
    keys |= {"problems", "more_problems", "not_checked"}
    assert [set(entry) for entry in report["files"]] == [keys, keys]
    assert [entry["valid"] for entry in report["files"]] == [True, False]
    assert set(report["files"][1]["problems"][0]) == {"code", "rule", "byte", "what", "expected", "inside", "inside_at"}


def test_it_never_loads_tensorflow():
    """Validating a model package, golden set included, in a fresh process."""
    path = places.shipped_folder() / "mnist-128-22-128.decoder.aef"
    code = (
        "import sys; from aeformat.cli.main import main; code = main(['validate', sys.argv[1]]); "
        "sys.exit(9 if 'tensorflow' in sys.modules else code)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True).returncode == 0
