"""aeformat.model_id: what a network is known by, from safetensors, Keras and ONNX files (M13-1 to M13-6 of spec/model.md)."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

import aeformat
from aeformat.errors import FormatError, NetworkInvalid, Unsupported, UsageError
from aeformat.exchange import network_id
from aeformat.exchange.network_id import NetworkTensor, identify, model_id
from aeformat.model import store
from exchange.needs import needed
from tools.second.errors import SpecError
from tools.second.network import network_id as second_id

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "spec" / "vectors" / "network"
h5py, onnx, safetensors = needed("h5py"), needed("onnx"), needed("safetensors.numpy")

WEIGHTS = {
    "decoder.conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "decoder.conv.bias": np.array([1.5, -0.0], np.float16),
    "step": np.array(7, np.int64),
    "mask": np.array([True, False]),
    "nothing": np.empty((0, 3), np.uint8),
}
_TYPES = {"float32": "f32", "float16": "f16", "int64": "i64", "bool": "bool", "uint8": "u8"}


def by_hand(weights: dict[str, np.ndarray]) -> bytes:
    """Section 13, once more."""

    def text(data: bytes) -> bytes:
        return struct.pack("<I", len(data)) + data

    records = [
        text(name.encode()) + text(_TYPES[array.dtype.name].encode()) + struct.pack(f"<I{array.ndim}Q", array.ndim, *array.shape)
        + hashlib.sha256(array.tobytes()).digest()
        for name, array in sorted(weights.items(), key=lambda item: item[0].encode())
    ]  # fmt: skip
    return hashlib.sha256(b"aeformat network 1\n" + struct.pack("<I", len(records)) + b"".join(records)).digest()


def vectors(folder: str) -> list[Path]:
    found = sorted((VECTORS / folder).glob("*.safetensors"))
    assert found
    return found


@pytest.mark.parametrize("path", vectors("valid"), ids=lambda path: path.stem)
def test_valid_vectors(path):
    """The id, and what counts; the library of that name reads the same tensors."""
    want = json.loads(path.with_suffix(".json").read_text("utf-8"))

    made = identify(path)

    assert (made.id.hex(), made.is_package, made.n_tensors) == (want["network_id"], False, len(want["tensors"]))
    assert model_id(str(path)) == made.id
    if "bf16" not in {tensor["type"] for tensor in want["tensors"]}:
        loaded = safetensors.load_file(path)
        assert {tensor["name"]: tensor["sha256"] for tensor in want["tensors"]} == {
            name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in loaded.items()
        }


@pytest.mark.parametrize("path", vectors("invalid"), ids=lambda path: path.stem)
def test_invalid_vectors(path):
    want = json.loads(path.with_suffix(".json").read_text("utf-8"))

    with pytest.raises(FormatError) as caught:
        identify(path)

    assert (caught.value.code, caught.value.rule, caught.value.at) == (want["code"], want["rule"], want["at"])
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_the_page_hashes_the_first_vector_by_hand():
    """The dump at the end of section 13 is what the id is the SHA-256 of."""
    page = (ROOT / "spec" / "model.md").read_text("utf-8").partition("*By hand.*")[2]
    rows = re.findall(r"^    ((?:[0-9a-f]{2} )+?) *(?: {2}.*)?$", page, re.MULTILINE)
    hashed = bytes.fromhex("".join(re.findall(r"^    ((?:[0-9a-f]{2} ?)+)", page, re.MULTILINE)))

    assert rows and hashed.startswith(b"aeformat network 1\n")
    assert hashlib.sha256(hashed).hexdigest() == re.search(r"network id is ([0-9a-f]{64})", page)[1]
    assert hashlib.sha256(hashed).digest() == model_id(vectors("valid")[0])


def save(folder: Path, kind: str, weights: dict[str, np.ndarray]) -> Path:
    """The weights as a file of that kind."""
    path = folder / f"net.{kind}"
    if kind == "safetensors":
        safetensors.save_file(weights, path)
    elif kind == "onnx":
        graph = onnx.helper.make_graph(
            [], "g", [], [], [onnx.numpy_helper.from_array(a, name) for name, a in weights.items()]
        )
        onnx.save_model(onnx.helper.make_model(graph), path)
    elif kind == "keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", "{}")
            archive.writestr("model.weights.h5", save(folder, "weights.h5", weights).read_bytes())
            archive.writestr("metadata.json", "{}")
    else:
        with h5py.File(path, "w") as file:
            for name, array in weights.items():
                file.create_dataset(name, data=array)
    return path


@pytest.mark.parametrize("kind", ["safetensors", "onnx", "keras", "weights.h5", "h5"])
def test_the_same_tensors_have_one_id_in_every_format(tmp_path, kind):
    """Where names, types and shapes are the same; and in whatever order they were saved."""
    turned = dict(reversed(WEIGHTS.items()))
    (tmp_path / "turned").mkdir()

    assert (
        model_id(save(tmp_path, kind, WEIGHTS)) == by_hand(WEIGHTS) == model_id(save(tmp_path / "turned", kind, turned))
    )


@pytest.mark.parametrize("kind", ["safetensors", "onnx", "keras", "h5"])
@pytest.mark.parametrize(
    "other",
    [
        {"step": np.array(8, np.int64)}, {"step": np.array([7], np.int64)}, {"step": np.array(7, np.uint8)},
        {"decoder.conv.bias": np.array([1.5, 0.0], np.float16)}, {"one.more": np.array(1, np.uint8)}, {"nothing": np.empty((3, 0), np.uint8)},
    ],
    ids=["bit", "shape", "type", "zero", "tensor", "empty"],
)  # fmt: skip
def test_every_change_is_another_id(tmp_path, kind, other):
    (tmp_path / "other").mkdir()

    assert model_id(save(tmp_path, kind, WEIGHTS)) != model_id(save(tmp_path / "other", kind, WEIGHTS | other))


def test_a_package_has_its_model_id():
    path = store.find_pair("mnist-exact")[1]

    made = identify(ROOT / "models" / "mnist-exact.decoder.aef")

    assert made.is_package and made.id == path.model_id


@pytest.mark.parametrize("name", ["a.pt", "a.pth", "a.ckpt", "pytorch_model.bin", "a.PKL"])
def test_pickles_are_refused_with_advice(tmp_path, name):
    """And not opened: what is in them does not matter."""
    (tmp_path / name).write_bytes(b"cos\nabort\n(tR.")

    with pytest.raises(UsageError, match=r"safetensors\.torch\.save_file"):
        model_id(tmp_path / name)


def test_other_files_are_refused(tmp_path):
    for name, what in (("a.gguf", "end of the name"), ("a", "end of the name"), ("folder.safetensors", "no such file")):
        (tmp_path / name).mkdir() if name.startswith("folder") else (tmp_path / name).write_bytes(b"")
        with pytest.raises(UsageError, match=what):
            model_id(tmp_path / name)
    with pytest.raises(UsageError, match="no such file"):
        model_id(tmp_path / "nothing.onnx")
    with pytest.raises(UsageError, match="a path is"):
        model_id(b"x")


@pytest.mark.parametrize(("kind", "library"), [("onnx", "onnx"), ("h5", "h5py")])
def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch, kind, library):
    path = save(tmp_path, kind, WEIGHTS)
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(UsageError, match=r"pip install \"aeformat\[export\]\""):
        model_id(path)


def test_names_and_counts_are_checked_for_every_format():
    """What one file format cannot hold, another can."""

    def of(*names: str, kind: str = "u8") -> list[NetworkTensor]:
        return [NetworkTensor(name, kind, (1,), lambda: iter([b"\1"])) for name in names]

    for tensors, rule in (
        (of("a", "a"), "M13-2"),
        (of("\ud800"), "M13-2"),
        (of(), "M13-5"),
        (of("a", kind="f32"), "M13-4"),
    ):
        with pytest.raises(NetworkInvalid, match=rule):
            network_id.network_id(tensors)


def test_the_number_of_tensors_is_limited(monkeypatch):
    monkeypatch.setattr(network_id, "_MOST_TENSORS", 2)
    tensors = [NetworkTensor(str(n), "u8", (0,), lambda: iter([])) for n in range(3)]

    network_id.network_id(tensors[:2])
    with pytest.raises(FormatError, match="M13-5") as caught:
        network_id.network_id(tensors)
    assert caught.value.code == "limit"


def test_progress_counts_the_bytes(tmp_path):
    class Counted:
        n_bytes = 0

        def update(self, n_bytes: int) -> None:
            self.n_bytes += n_bytes

    progress = Counted()

    made = identify(save(tmp_path, "safetensors", WEIGHTS), progress)

    assert progress.n_bytes == made.n_bytes == sum(array.nbytes for array in WEIGHTS.values())


def damaged() -> Iterator[bytes]:
    """Each vector with a byte changed in each place, and with bytes put in and taken out, by a fixed seed."""
    rng = Random(5)
    characters = b'0123456789-,:{}[]"\\eUF\0\xff'
    for path in [*vectors("valid"), *vectors("invalid")]:
        good = path.read_bytes()
        for at in range(8, len(good) if len(good) < 1000 else 0):
            yield good[:at] + bytes([rng.choice(characters)]) + good[at + 1 :]
            text = (
                good[8:at]
                + bytes(rng.choice(characters) for _ in range(rng.randrange(3)))
                + good[at + rng.randrange(3) :]
            )
            yield struct.pack("<Q", min(int.from_bytes(good[:8], "little"), len(text))) + text


def test_damage_means_the_same_to_the_second_decoder(tmp_path):
    """An id is the same in both, or both refuse the file; most are refused, some are not."""
    n_good = n_bad = 0
    path = tmp_path / "x.safetensors"
    for data in damaged():
        path.write_bytes(data)
        try:
            theirs = second_id(data)
        except SpecError:
            n_bad += 1
            with pytest.raises(FormatError):
                model_id(path)
        else:
            n_good += 1
            assert model_id(path).hex() == theirs

    assert n_good > 100 and n_bad > 100


# --- Keras ------------------------------------------------------------------------------------------------------------


def test_what_keras_saves_twice_has_one_id(tmp_path, tensorflow):
    """.keras differs from save to save; its tensors do not, and they are those of the weights file."""
    import keras

    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2, dtype="bfloat16")])
    for name in ("a.keras", "b.keras"):
        model.save(tmp_path / name)
    model.save_weights(tmp_path / "a.weights.h5")

    first, second = (model_id(tmp_path / name) for name in ("a.keras", "b.keras"))

    assert first == second == model_id(tmp_path / "a.weights.h5")
    model.layers[0].bias.assign([1, 2, 3])
    model.save(tmp_path / "c.keras")
    assert model_id(tmp_path / "c.keras") != first


def hdf5(path: Path, fill) -> Path:
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(3, dtype=np.float32)
        fill(file)
    return path


def _cycle(file) -> None:
    group = file.create_group("g")
    group["up"] = group


def _deep(file) -> None:
    group = file
    for _ in range(70):
        group = group.create_group("g")


def _virtual(file) -> None:
    layout = h5py.VirtualLayout((3,), np.float32)
    layout[:] = h5py.VirtualSource("/etc/passwd", "a", (3,))
    file.create_virtual_dataset("v", layout)


def _filtered(file) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((3,))
    plist.set_filter(32_015, h5py.h5z.FLAG_OPTIONAL, (3,))  # zstd, which HDF5 would load from a plugin
    h5py.h5d.create(file.id, b"z", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((3,)), plist)


BROKEN = {
    "soft-link": (lambda file: file.__setitem__("l", h5py.SoftLink("/a")), "M13-6"),
    "external-link": (lambda file: file.__setitem__("l", h5py.ExternalLink("/etc/passwd", "/a")), "M13-6"),
    "hard-link": (lambda file: file.__setitem__("l", file["a"]), "M13-6"),
    "cycle": (_cycle, "M13-6"),
    "virtual": (_virtual, "M13-6"),
    "external": (lambda file: file.create_dataset("e", (2,), "u1", external=[("/etc/passwd", 0, 2)]), "M13-6"),
    "plugin": (_filtered, "M13-6"),
    "no-numbers": (lambda file: file.create_dataset("z", (1 << 40,), "f4", chunks=(1024,)), "M13-6"),
    "deep": (_deep, "M13-1"),
    "text": (lambda file: file.create_dataset("t", data=["x"]), "M13-3"),
    "text-of-bytes": (lambda file: file.create_dataset("t", data=np.array([b"x"])), "M13-3"),
    "complex": (lambda file: file.create_dataset("c", data=np.zeros(2, np.complex64)), "M13-3"),
    "record": (lambda file: file.create_dataset("r", data=np.zeros(2, [("x", "u1"), ("y", "u1")])), "M13-3"),
    "opaque": (lambda file: file.create_dataset("o", data=np.zeros(2, "V2")), "M13-3"),
    "null": (lambda file: file.create_dataset("n", data=h5py.Empty("f4")), "M13-3"),
    "array-type": (lambda file: file.create_dataset("s", shape=(2,), dtype=np.dtype(("u1", (3,)))), "M13-3"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_hdf5_that_leads_elsewhere_is_refused(tmp_path, name):
    """Links, other files, plugins, numbers that are not there, types that are not covered."""
    fill, rule = BROKEN[name]

    with pytest.raises(FormatError) as caught:
        model_id(hdf5(tmp_path / "net.h5", fill))

    assert caught.value.rule == rule
    assert (caught.value.code, caught.value.hint) == (
        ("network", NetworkInvalid.hint) if rule == "M13-1" else ("unsupported", None)
    )


def test_hdf5_forms_of_one_tensor_have_one_id(tmp_path):
    """Chunked, compressed, big-endian, or whole: the numbers count."""
    values = np.arange(6000, dtype="<f4").reshape(3, 2000)
    options = (
        {},
        {"chunks": (1, 500)},
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        {"compression": "lzf"},
    )
    ids = set()
    for number, (more, array) in enumerate([*((more, values) for more in options), ({}, values.astype(">f4"))]):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("w", data=array, **more)
        ids.add(model_id(tmp_path / f"{number}.h5"))

    assert ids == {by_hand({"w": values})}


@pytest.mark.parametrize("shape", [(1, 1, 700), (3, 300, 2), (700,), (2, 0, 5), ()], ids=str)
def test_hdf5_is_read_in_pieces(tmp_path, monkeypatch, shape):
    """However the axes lie."""
    from aeformat.exchange import hdf5_read

    monkeypatch.setattr(hdf5_read, "PIECE_BYTES", 256)
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["w"] = values
    with hdf5_read.open_weights(tmp_path / "x.h5") as (tensor,):
        pieces = list(tensor.pieces())

    assert b"".join(pieces) == values.tobytes()
    assert max(map(len, pieces), default=0) <= 256


def test_a_damaged_keras_file_is_refused(tmp_path):
    """Cut, no archive, without weights, compressed, or with a wrong checksum."""
    good = save(tmp_path, "keras", WEIGHTS).read_bytes()
    at = good.index(b"\x89HDF") + 3000
    files = {
        "cut.keras": (good[:-30], "M13-1"), "other.keras": (b"x" * 100, "M13-1"), "empty.keras": (b"", "M13-1"),
        "flipped.keras": (good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :], "M13-1"), "cut.h5": (b"\x89HDF\r\n\x1a\n" + bytes(9), "M13-1"),
        "polyglot.h5": (good, "M13-1"),
    }  # fmt: skip
    for how, rule in ((zipfile.ZIP_DEFLATED, "M13-6"), (None, "M13-1")):
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", how or zipfile.ZIP_STORED) as archive:
            archive.writestr("model.weights.h5" if how else "config.json", bytes(1000))
        files[f"zip-{how}.keras"] = sink.getvalue(), rule
    for name, (data, rule) in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FormatError) as caught:
            model_id(tmp_path / name)
        assert caught.value.rule == rule, name


def test_every_cut_of_an_hdf5_file_is_one_error(tmp_path):
    """No cut gives the id, nor another exception."""
    good = save(tmp_path, "h5", WEIGHTS)
    data, whole = good.read_bytes(), model_id(good)
    for n_bytes in range(0, len(data), max(1, len(data) // 150)):
        (tmp_path / "cut.h5").write_bytes(data[:n_bytes])
        try:
            assert model_id(tmp_path / "cut.h5") == whole  # what was cut off is no part of a tensor
        except FormatError as error:
            assert error.rule == "M13-1"


def flipped(good: bytes, n: int) -> Iterator[bytes]:
    """Files with one or two bytes changed, most of them where there is something, by a fixed seed."""
    rng = Random(3)
    used = [at for at, byte in enumerate(good) if byte]
    for _ in range(n):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 3)):
            data[rng.choice(used)] = rng.randrange(256)
        yield bytes(data)


@pytest.mark.parametrize("kind", ["h5", "onnx", "keras"])
def test_damage_raises_nothing_but_format_errors(tmp_path, kind):
    """Whatever the library makes of it."""
    path = save(tmp_path, kind, WEIGHTS)
    refused = 0
    for data in flipped(path.read_bytes(), 400):
        path.write_bytes(data)
        try:
            model_id(path)
        except FormatError as error:
            refused += 1
            assert error.rule.startswith("M13-")

    assert refused > 100


# --- ONNX -------------------------------------------------------------------------------------------------------------


def onnx_file(path: Path, *tensors, **more) -> Path:
    graph = onnx.helper.make_graph([], "g", [], [], list(tensors), **more)
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    return path


def test_onnx_lists_and_raw_bytes_are_the_same(tmp_path):
    """The two ways in which ONNX stores numbers, for each type; bf16 and f8 among them."""
    types = onnx.TensorProto
    for number, (kind, size) in enumerate(
        ((types.FLOAT, 4), (types.FLOAT16, 2), (types.BFLOAT16, 2), (types.INT8, 1), (types.UINT64, 8), (types.BOOL, 1),
         (types.DOUBLE, 8), (types.FLOAT8E4M3FN, 1), (types.FLOAT8E5M2, 1), (types.INT64, 8), (types.UINT16, 2))
    ):  # fmt: skip
        listed = onnx.helper.make_tensor("w", kind, [2], [1, 0])
        raw = onnx.TensorProto(
            name="w", data_type=kind, dims=[2], raw_data=onnx.numpy_helper.to_array(listed).tobytes()
        )
        assert len(raw.raw_data) == 2 * size and not listed.HasField("raw_data")
        first, second = (onnx_file(tmp_path / f"{number}{name}.onnx", t) for name, t in (("a", listed), ("b", raw)))
        assert model_id(first) == model_id(second)


def test_onnx_that_is_not_covered_is_refused(tmp_path):
    """External data is not opened, wherever it lies; sparse initializers; text; int4; lengths that do not fit."""
    types = onnx.TensorProto
    external = onnx.numpy_helper.from_array(WEIGHTS["step"], "w")
    onnx.external_data_helper.set_external_data(external, "/etc/passwd")
    external.ClearField("raw_data")
    sparse = onnx.helper.make_sparse_tensor(
        onnx.helper.make_tensor("v", types.FLOAT, [1], [1.0]), onnx.helper.make_tensor("i", types.INT64, [1], [2]), [5]
    )
    cases = (
        ((external,), {}, "M13-6"), ((), {"sparse_initializer": [sparse]}, "M13-3"), ((), {}, "M13-5"),
        ((onnx.helper.make_tensor("w", types.STRING, [1], [b"x"]),), {}, "M13-3"),
        ((types(name="w", data_type=types.INT4, dims=[2], raw_data=b"1"),), {}, "M13-3"),
        ((types(name="w", data_type=99, dims=[1], raw_data=b"1"),), {}, "M13-3"),
        ((types(name="w", data_type=types.FLOAT, dims=[2], raw_data=b"1234"),), {}, "M13-4"),
        ((types(name="w", data_type=types.FLOAT, dims=[2], float_data=[1.0]),), {}, "M13-4"),
        ((types(name="w", data_type=types.FLOAT, dims=[-1], raw_data=b"1234"),), {}, "M13-1"),
        ((external.__class__(name="w", data_type=types.BOOL, dims=[1], raw_data=b"\2"),), {}, "M13-4"),
        ((onnx.numpy_helper.from_array(WEIGHTS["step"], "w"),) * 2, {}, "M13-2"),
    )  # fmt: skip
    for number, (tensors, more, rule) in enumerate(cases):
        with pytest.raises(FormatError) as caught:
            model_id(onnx_file(tmp_path / f"{number}.onnx", *tensors, **more))
        assert caught.value.rule == rule, number
        assert isinstance(caught.value, Unsupported) == (rule in ("M13-3", "M13-6"))


def test_a_file_that_is_no_onnx_is_refused(tmp_path):
    data = save(tmp_path, "onnx", WEIGHTS).read_bytes()
    for number, bad in enumerate((b"\x80\x02}q", data[:-5], b"")):
        (tmp_path / "x.onnx").write_bytes(bad)
        with pytest.raises(FormatError, match="M13-1" if number < 2 else "M13-5"):
            model_id(tmp_path / "x.onnx")


def test_a_name_that_is_no_utf_8_is_refused(tmp_path):
    data = save(tmp_path, "onnx", {"abcd": WEIGHTS["step"]}).read_bytes()
    (tmp_path / "x.onnx").write_bytes(data.replace(b"abcd", b"ab\xff\xfe"))

    with pytest.raises(FormatError) as caught:
        model_id(tmp_path / "x.onnx")
    assert caught.value.rule in ("M13-1", "M13-2")  # protobuf itself may refuse it


# --- cost -------------------------------------------------------------------------------------------------------------

_MEASURE = """
import sys
from aeformat.exchange.network_id import model_id
print(model_id(sys.argv[1]).hex())
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc, which is not here")
@pytest.mark.parametrize("kind", ["safetensors", "keras"])
def test_memory_does_not_grow_with_the_file(tmp_path, kind):
    """300 MB of zeros in one tensor take less than 60 MB more than one number does."""
    peaks = []
    for n_values in (1, 75_000_000):
        path = tmp_path / f"{n_values}.{kind}"
        if kind == "safetensors":
            header = json.dumps(
                {"w": {"dtype": "F32", "shape": [1, n_values], "data_offsets": [0, 4 * n_values]}}
            ).encode()
            with path.open("wb") as file:
                file.write(struct.pack("<Q", len(header)) + header)
                file.truncate(8 + len(header) + 4 * n_values)
        else:
            with h5py.File(tmp_path / "w.h5", "w") as file:
                file["w"] = np.zeros((1, n_values), np.float32)
            with zipfile.ZipFile(path, "w") as archive:
                archive.write(tmp_path / "w.h5", "model.weights.h5")
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        ran = subprocess.run(
            [sys.executable, "-c", _MEASURE, path],
            capture_output=True,
            text=True,
            env=environment,
            timeout=600,
            check=True,
        )
        peaks.append(int(ran.stdout.split()[1]))

    assert peaks[1] - peaks[0] < 60_000


def test_the_front_door_has_it(tmp_path):
    assert aeformat.model_id(save(tmp_path, "safetensors", WEIGHTS)) == by_hand(WEIGHTS)
