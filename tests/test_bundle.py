"""The reader as one file: the same answers as the package's, for every container vector."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
VECTORS = ROOT / "spec" / "vectors" / "container"


@pytest.fixture(scope="module")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "aeformat_reader.py"
    subprocess.run([sys.executable, ROOT / "tools" / "bundle_reader.py", path], check=True, capture_output=True)
    return path


@pytest.fixture(scope="module", params=["package", "bundle"])
def reader(request: pytest.FixtureRequest) -> ModuleType:
    """aeformat.reader, then its bundle: which copy the tests below run on."""
    if request.param == "package":
        import aeformat.errors
        import aeformat.reader

        aeformat.reader.FormatError = aeformat.errors.FormatError
        aeformat.reader.DecoderMissing = aeformat.errors.DecoderMissing
        return aeformat.reader
    path = request.getfixturevalue("bundle_path")
    spec = importlib.util.spec_from_file_location("aeformat_reader", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["aeformat_reader"] = module
    spec.loader.exec_module(module)
    return module


def cases(folder: str) -> list[Path]:
    return sorted(VECTORS.glob(f"{folder}/*.aef"))


def takes_passes(path: Path) -> bool:
    """Whether the rows are coded with passes, which a network computes: the reader alone names the decoder, and stops."""
    number = int(path.stem.partition("-")[0])
    return (
        1106 <= number <= 1114 if path.parent.name == "invalid" else "passes" in path.stem and "coded" not in path.stem
    )


def test_valid_vectors_read_the_same(reader):
    """Rows, dims and the digest of the values are those of the JSON, forward and by random access."""
    assert cases("valid")
    for path in cases("valid"):
        expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        with path.open("rb") as file:
            stream = reader.stream_latents(file)
            if takes_passes(path):
                with pytest.raises(reader.DecoderMissing, match="passes"):
                    list(stream)
                continue
            blocks = list(stream)
        assert sum(len(block.values) for block in blocks) == expected["n_rows"], path.name
        assert list(stream.header.dims) == expected["dims"]
        assert stream.trailer.content_id.hex() == expected["content_id"]
        with reader.open_latents(path) as latents:
            values = latents.rows(0, latents.n_rows)
        streamed = b"".join(block.values.tobytes() for block in blocks)
        assert hashlib.sha256(values.tobytes()).digest() == hashlib.sha256(streamed).digest()


def test_invalid_vectors_are_refused_the_same(reader):
    """Code, rule and byte are those of the JSON; what only a decoder at hand can show is left to the tests of models."""
    n_refused = 0
    for path in cases("invalid"):
        expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if "only" in expected or expected["rule"].startswith("M"):
            continue
        if takes_passes(path):
            with path.open("rb") as file, pytest.raises(reader.DecoderMissing):
                list(reader.stream_latents(file))
            continue
        with path.open("rb") as file, pytest.raises(reader.FormatError) as caught:
            data = path.read_bytes()
            is_model = b"\xa4kind\xa5model" in data[: 24 + int.from_bytes(data[12:16], "little")]
            list(reader.events(file) if is_model else reader.stream_latents(file))
        error = caught.value
        assert (error.code, error.rule, error.at) == (expected["code"], expected["rule"], expected["at"]), path.name
        n_refused += 1
    assert n_refused >= 100


def test_the_bundle_stands_alone(bundle_path):
    """Imported in a fresh process without site configuration of this project: no aeformat, no NumPy."""
    code = (
        "import sys; import aeformat_reader; "
        "bad = [m for m in sys.modules if m.split('.')[0] in ('aeformat', 'numpy', 'tensorflow')]; sys.exit(str(bad) if bad else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=bundle_path.parent, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
