"""Promise: a cache that goes into a set and comes out again is the same, bit by bit; what cannot be kept is said, by name."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile

import numpy as np
import pytest

import aeformat
from aeformat.cli.main import main
from tests.exchange.needs import need
from tools.caches.writers import NEEDS, WRITERS, arrays_in, differing_bits, npy_file, npz, rows, write_safetensors

N = 7
LOST = {
    "HDF5": [
        "attributes in HDF5",
        "compression and chunks of HDF5 datasets",
        "dataset 'about', which has no row for each latent",
    ],
    "Arrow": ["column 'date' of type timestamp[ms]", "row groups, batches and compression of a table"],
    "Parquet": ["column 'date' of type timestamp[ms]", "row groups, batches and compression of a table"],
    "WebDataset": ["dates, owners and modes of the members of a tar"],
}


def list_files(folder):
    """The files below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def run(capsys, *arguments: object) -> dict:
    """A command that succeeds, and its report."""
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("to", ["set", "one.aef"])
@pytest.mark.parametrize("tool", WRITERS)
def test_there_and_back(tmp_path, capsys, tool, to):
    """All arrays, their names, types, shapes and metadata; the set is a valid one."""
    name, write = WRITERS[tool]
    if tool in NEEDS:
        need(NEEDS[tool])
    write(tmp_path / "cache", N)
    before = arrays_in(tmp_path / "cache")
    assert before

    made = run(capsys, "import", name, tmp_path / "cache", "-o", tmp_path / to)
    back = run(capsys, "export", name, tmp_path / to, "-o", tmp_path / "again")

    assert aeformat.validate(tmp_path / to).problems == []
    assert sorted(lost["what"] for lost in made["not_kept"]) == LOST.get(tool, [])
    assert (made["skipped"], back["not_kept"]) == ([], [])
    assert made["rows"] == back["rows"] >= N and made["files"] == back["files"] == len(list_files(tmp_path / "cache"))
    assert differing_bits(before, arrays_in(tmp_path / "again")) == 0


def test_files_of_numpy_are_the_same_bytes(tmp_path, capsys):
    """As the same NumPy writes them: order of arrays too."""
    for tool in ("npz", "kohya sd, sdxl", "kohya, resolutions"):
        name, write = WRITERS[tool]
        write(tmp_path / tool / "cache", 3)
        run(capsys, "import", name, tmp_path / tool / "cache", "-o", tmp_path / tool / "set")
        run(capsys, "export", name, tmp_path / tool / "set", "-o", tmp_path / tool / "again")
        for path in (tmp_path / tool / "cache").iterdir():
            assert path.read_bytes() == (tmp_path / tool / "again" / path.name).read_bytes()


def test_the_comparison_sees_one_bit(tmp_path):
    """Else the test above would show nothing."""
    npz(tmp_path / "a", 1)
    found = arrays_in(tmp_path / "a")
    kind, shape, data = found["0.npz: latents"]
    changed = found | {"0.npz: latents": (kind, shape, bytes([data[0] ^ 4]) + data[1:])}

    assert differing_bits(found, changed) == 1
    assert differing_bits(found, {}) > 100


def test_rows_and_fields_of_kohya(tmp_path, capsys):
    """By the names of the files; a key that files share is a field, and a resolution a row."""
    WRITERS["kohya sd, sdxl"][1](tmp_path / "cache", 3)
    run(capsys, "import", "kohya", tmp_path / "cache", "-o", tmp_path / "set")

    with aeformat.open(tmp_path / "set") as latents:
        assert latents.header.dims == (4, 0, 0)
        assert np.array_equal(latents["img1_0064x0128_sdxl.npz"], rows(3)[1])
        assert latents.fields["original_size"][1].tolist() == [67, 128]
        assert latents.fields["latents_flipped"][0] is None and latents.fields["latents_flipped"][1] is not None

    WRITERS["kohya, resolutions"][1](tmp_path / "many", 2)
    run(capsys, "import", "kohya", tmp_path / "many", "-o", tmp_path / "set2")
    with aeformat.open(tmp_path / "set2") as latents:
        assert [latents.names(i).names[0] for i in range(3)] == [
            "img0_0064x0064_flux.npz", "img1_0064x0064_flux.npz/latents_8x12", "img1_0064x0064_flux.npz/latents_16x8",
        ]  # fmt: skip
        assert json.loads(latents.fields["cache.keys"][2])["crop_ltrb"] == "crop_ltrb_16x8"


def test_rows_and_fields_of_musubi(tmp_path, capsys):
    """bf16 stays bf16; the shapes in keys are no part of a field's name."""
    WRITERS["musubi-tuner"][1](tmp_path / "cache", 2)
    made = run(capsys, "import", "musubi", tmp_path / "cache", "-o", tmp_path / "set")

    assert made["encoding"] == "bf16le" and made["dims"] == [4, 2, None, None]
    assert set(made["fields"]) == {"cache.keys", "cache.metadata", "clip", "latents_image", "f_indices"}


def test_text_encoders_are_a_set_of_their_own(tmp_path, capsys):
    """kohya leaves them out and says so; they are imported by their names."""
    WRITERS["kohya sd, sdxl"][1](tmp_path, 2)
    for i in range(2):
        np.savez(
            tmp_path / f"img{i}_te_outputs.npz",
            hidden_state1=np.ones((77, 8), np.float32),
            pool2=np.ones(4, np.float32),
        )

    made = run(capsys, "import", "kohya", tmp_path, "-o", tmp_path / "set")
    (lost,) = made["not_kept"]
    assert lost["count"] == 2 and "text encoders" in lost["what"] and lost["first"] == "img0_te_outputs.npz"

    options = ["--files", "*_te_outputs.npz", "--key", "hidden_state1"]
    texts = run(capsys, "import", "npz", tmp_path, *options, "-o", tmp_path / "texts")
    assert texts["rows"] == 2 and texts["dims"] == [77, 8] and texts["fields"]["pool2"] == ["float32", 4]


def test_generic_formats_take_any_set(tmp_path, capsys):
    """Rows that no import made: names become names of files; what a format has no room for is said."""
    with aeformat.create(
        tmp_path / "a.aef", dims=(3,), encoding="bf16le", fields={"caption": str, "label": int}
    ) as file:
        file.write(np.ones((2, 3), np.float32), names=["x/a.png", "b.png"], caption=["one", "two"], label=[1, 2])

    back = run(capsys, "export", "safetensors", tmp_path / "a.aef", "-o", tmp_path / "out")

    (lost,) = back["not_kept"]
    assert (lost["what"], lost["count"]) == ("field caption: str in a file of arrays", 2)
    found = arrays_in(tmp_path / "out")
    assert found["x/a.png.safetensors: latents"] == ("BF16", (3,), b"\x80\x3f" * 3)
    assert found["b.png.safetensors: label"] == ("I64", (), b"\x02" + bytes(7))
    assert main(["export", "npz", str(tmp_path / "a.aef"), "-o", str(tmp_path / "npz")]) == 2
    assert "NumPy lacks" in capsys.readouterr().err and not (tmp_path / "npz").exists()


def test_shards_are_bounded(tmp_path, capsys):
    """A shard ends with the row that fills it."""
    WRITERS["npz"][1](tmp_path / "cache", 5)
    made = run(capsys, "import", "npz", tmp_path / "cache", "-o", tmp_path / "set", "--shard-bytes", 1)

    assert made["shards"] == made["rows"] == 5


BROKEN = {
    "cut": ("2.npz", lambda data: data[: len(data) // 2], "no whole .npz file"),
    "no zip": ("2.npz", lambda data: b"nothing", "no whole .npz file"),
    "one bit": ("2.npz", lambda data: data[:300] + bytes([data[300] ^ 1]) + data[301:], "no whole .npz file"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_named(tmp_path, capsys, how):
    """One line, exit code 1, nothing written; with --skip-broken the others are there, and the report names it."""
    name, breaking, what = BROKEN[how]
    npz(tmp_path / "cache", 4)
    path = tmp_path / "cache" / name
    path.write_bytes(breaking(path.read_bytes()))

    assert main(["import", "npz", str(tmp_path / "cache"), "-o", str(tmp_path / "set")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and name in error and what in error
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]

    made = run(capsys, "import", "npz", tmp_path / "cache", "-o", tmp_path / "set", "--skip-broken")
    assert made["rows"] == made["files"] == 3 and [one["file"] for one in made["skipped"]] == [name]


REFUSED = {
    "a pickle": (lambda path: np.savez(path, latents=np.array([{}], object)), 1, "pickle"),
    "NaN": (lambda path: np.savez(path, latents=np.array([np.nan], np.float32)), 1, "C5-3"),
    "int64": (lambda path: np.savez(path, latents=np.array([1])), 1, "type i64"),
    "complex": (lambda path: np.savez(path, latents=np.array([1j])), 1, "complex128"),
    "texts": (lambda path: np.savez(path, latents=np.ones(2), a=np.array("x")), 1, "array 'a'"),
    "scalar": (lambda path: np.savez(path, latents=np.float32(1)), 1, "which is no row"),
    "no key": (lambda path: np.savez(path, a=np.ones(1), b=np.ones(1)), 2, "key"),
    "no name": (lambda path: np.savez(path, latents=np.ones(1), **{"a\nb": np.ones(1)}), 1, "no field can be"),
    "our name": (lambda path: np.savez(path, latents=np.ones(1), **{"cache.file": np.ones(1)}), 1, "cache.file"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_row_can_hold_is_refused_by_name(tmp_path, capsys, what):
    write, code, words = REFUSED[what]
    (tmp_path / "cache").mkdir()
    write(tmp_path / "cache" / "x.npz")

    assert main(["import", "npz", str(tmp_path / "cache"), "-o", str(tmp_path / "set")]) == code
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "x.npz" in error and words in error
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_another_order_is_kept_in_values(tmp_path, capsys):
    """Fortran and big-endian arrays: the values, and a line that says what became of the order."""
    array = np.arange(6, dtype=">f4").reshape(2, 3)
    (tmp_path / "cache").mkdir()
    np.save(tmp_path / "cache" / "a.npy", np.asfortranarray(array))

    made = run(capsys, "import", "npy", tmp_path / "cache", "-o", tmp_path / "set")

    assert len(made["not_kept"]) == 2
    with aeformat.open(tmp_path / "set") as latents:
        assert np.array_equal(latents[0], array)


def test_rows_of_two_types_are_no_set(tmp_path, capsys):
    (tmp_path / "cache").mkdir()
    np.save(tmp_path / "cache" / "a.npy", np.ones(3, np.float32))
    np.save(tmp_path / "cache" / "b.npy", np.ones(3, np.float16))

    assert main(["import", "npy", str(tmp_path / "cache"), "-o", str(tmp_path / "set")]) == 1
    assert "b.npy" in capsys.readouterr().err


def test_an_export_stays_in_its_folder(tmp_path, capsys):
    """A set of a stranger names files: no path leads out of the folder."""
    fields = {"cache.file": str, "cache.keys": str}
    ext = {"cache": {"format": "npz", "tensors": []}}
    with aeformat.create(tmp_path / "a.aef", dims=(3,), encoding="f32le", fields=fields, ext=ext) as file:
        given = {"cache.file": ["../../out.npz"], "cache.keys": ['{"": "latents"}']}
        file.append(np.ones((1, 3), np.float32), names=["a"], fields=given)

    assert main(["export", "npz", str(tmp_path / "a.aef"), "-o", str(tmp_path / "out")]) == 1
    assert "safe relative path" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.aef"]


USAGE = {
    "no format": (["import", "nonsense", "{0}/cache", "-o", "{0}/set"], "invalid choice"),
    "no folder": (["import", "npz", "{0}/gone", "-o", "{0}/set"], "no such folder"),
    "nothing": (["import", "npy", "{0}/cache", "-o", "{0}/set"], "nothing to import"),
    "no match": (
        ["import", "npz", "{0}/cache", "-o", "{0}/set", "--files", "*_te.npz"],
        "no file whose name matches *_te.npz",
    ),
    "target": (["import", "npz", "{0}/cache", "-o", "{0}/cache"], "is there already"),
    "parent": (["import", "npz", "{0}/cache", "-o", "{0}/a/b"], "does not exist"),
    "no such set": (["export", "npy", "{0}/nothing.aef", "-o", "{0}/out"], "nothing.aef: no such file"),
    "a folder that is no set": (["export", "npy", "{0}", "-o", "{0}/out"], "is a folder, not an .aef file"),
    "other tool": (["export", "kohya", "{0}/a.aef", "-o", "{0}/out"], "was not imported from a cache"),
}


@pytest.mark.parametrize("what", USAGE)
def test_usage(tmp_path, capsys, what):
    arguments, words = USAGE[what]
    npz(tmp_path / "cache", 1)
    with aeformat.create(tmp_path / "a.aef", dims=(3,), encoding="f32le") as file:
        file.append(np.ones((1, 3), np.float32))

    try:
        code = main([text.format(tmp_path) for text in arguments])
    except SystemExit as end:
        code = end.code
    assert code == 2 and words in capsys.readouterr().err


def test_metadata_of_safetensors_is_what_the_library_reads(tmp_path, capsys):
    """Files that this package writes are whole for the library of that name."""
    library = pytest.importorskip("safetensors")
    write_safetensors(
        tmp_path / "cache" / "a.safetensors", {"latent": ("F32", (1,), bytes(4)), "b": ("U8", (3,), b"abc")}, k="v"
    )
    run(capsys, "import", "safetensors", tmp_path / "cache", "-o", tmp_path / "set")
    run(capsys, "export", "safetensors", tmp_path / "set", "-o", tmp_path / "again")

    with library.safe_open(tmp_path / "again" / "a.safetensors", "np") as file:
        assert file.metadata() == {"k": "v"} and file.get_tensor("b").tobytes() == b"abc"


TARS = {
    "a link": ([("a.npy", b"", tarfile.SYMTYPE)], "is a link"),
    "no extension": ([("README", b"x", tarfile.REGTYPE)], "no extension"),
    "twice": ([("a.txt", b"x", tarfile.REGTYPE), ("a.txt", b"x", tarfile.REGTYPE)], "two members"),
    "no latent": ([("a.txt", b"x", tarfile.REGTYPE)], "'a'"),
    "no npy": ([("a.npy", b"x", tarfile.REGTYPE)], "a.npy"),
    "no text": ([("a.npy", npy_file(np.ones(1)), tarfile.REGTYPE), ("a.txt", b"\xff", tarfile.REGTYPE)], "a.txt"),
}


@pytest.mark.parametrize("what", TARS)
def test_a_tar_that_is_no_webdataset(tmp_path, capsys, what):
    """By the name of the member."""
    members, words = TARS[what]
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name, data, kind in members:
            member = tarfile.TarInfo(name)
            member.size, member.type = len(data), kind
            tar.addfile(member, io.BytesIO(data))

    assert main(["import", "webdataset", str(tmp_path / "x.tar"), "-o", str(tmp_path / "set")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "x.tar" in error and words in error


TAR_DAMAGE = {
    "in a head": lambda data: data[:1500],
    "between members": lambda data: data[:1024],
    "in an array": lambda data: data[:2000],
    "a damaged head": lambda data: data[:1024] + b"?" + data[1025:],
    "another tar behind": lambda data: data + data,
}


@pytest.mark.parametrize("how", TAR_DAMAGE)
def test_a_damaged_tar(tmp_path, capsys, how):
    """Python's library takes most of these for the end: none is taken in silence."""
    WRITERS["WebDataset"][1](tmp_path / "cache", 4)
    path = tmp_path / "cache" / "shard-000000.tar"
    path.write_bytes(TAR_DAMAGE[how](path.read_bytes()))

    assert main(["import", "webdataset", str(tmp_path / "cache"), "-o", str(tmp_path / "set")]) == 1
    assert "no whole .tar file" in capsys.readouterr().err
    assert main(["import", "webdataset", str(tmp_path / "cache"), "-o", str(tmp_path / "set"), "--skip-broken"]) == 2


def lists(rows):
    """A table with one column of lists, as a Parquet file."""

    def write(path):
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table({"latents": rows}), path)

    return write


TABLES = {
    "cut": ("x.parquet", lambda path: path.write_bytes(b"PAR1"), "no whole table"),
    "no arrow": ("x.arrow", lambda path: path.write_bytes(b"none"), "no whole table"),
    "lists of several sizes": ("x.parquet", lists([[[1.0], [1.0, 2.0]]]), "several sizes"),
    "no number": ("x.parquet", lists([[1.0, None]]), "is missing"),
    "no row": ("x.parquet", lists([[1.0], None]), "row 1 has no latent"),
    "no array": ("x.parquet", lists([1.0]), "it has no array"),
    "a word": ("x.txt", lambda path: path.write_text("1 2\n1 two\n"), "line 2"),
    "no number in Python's words": ("x.txt", lambda path: path.write_text("1_0\n"), "line 1"),
    "NaN as text": ("x.txt", lambda path: path.write_text("nan\n"), "C5-3"),
}


@pytest.mark.parametrize("what", TABLES)
def test_a_table_that_is_none(tmp_path, capsys, what):
    """Named, with its column, row or line."""
    name, write, words = TABLES[what]
    form = {"x.parquet": "parquet", "x.arrow": "arrow", "x.txt": "text"}[name]
    if form != "text":
        need("pyarrow")
    write(tmp_path / name)

    assert main(["import", form, str(tmp_path / name), "-o", str(tmp_path / "set")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and name in error and words in error


def test_text_written_otherwise(tmp_path, capsys):
    """The values are kept, and a line says that the writing is not."""
    (tmp_path / "a.txt").write_text("# x y\n1,2\n\n0.1, -0\n# end")

    made = run(capsys, "import", "text", tmp_path / "a.txt", "-o", tmp_path / "set")

    assert made["rows"] == 2 and made["not_kept"][0]["count"] == 5
    with aeformat.open(tmp_path / "set") as latents:
        assert latents[1].tolist() == [0.1, -0.0] and np.signbit(latents[1][1])


def test_the_network_that_made_them(tmp_path, capsys):
    """Its id goes into the set."""
    npz(tmp_path / "cache", 1)
    write_safetensors(tmp_path / "vae.safetensors", {"w": ("F32", (1,), bytes(4))})

    run(
        capsys,
        "import",
        "npz",
        tmp_path / "cache",
        "-o",
        tmp_path / "set",
        "--decoder-file",
        tmp_path / "vae.safetensors",
    )

    with aeformat.open(tmp_path / "set") as latents:
        assert latents.header.foreign_decoder == aeformat.model_id(tmp_path / "vae.safetensors")


def test_truth_values_are_0_or_1(tmp_path, capsys):
    """Another byte, which a safetensors file can hold, would make an invalid set."""
    write_safetensors(tmp_path / "a.safetensors", {"latent": ("F32", (1,), bytes(4)), "b": ("BOOL", (2,), b"\1\2")})

    assert main(["import", "safetensors", str(tmp_path / "a.safetensors"), "-o", str(tmp_path / "set")]) == 1
    assert "neither 0 nor 1" in capsys.readouterr().err


def test_metadata_that_a_format_lacks_is_said(tmp_path, capsys):
    """A surrogate in it, which UTF-8 has not, comes back too."""
    write_safetensors(
        tmp_path / "cache" / "a.safetensors", {"latent": ("F32", (1,), bytes(4))}, odd="\ud800", plain="\u00e4"
    )
    run(capsys, "import", "safetensors", tmp_path / "cache" / "a.safetensors", "-o", tmp_path / "set")

    back = run(capsys, "export", "npz", tmp_path / "set", "-o", tmp_path / "npz")
    run(capsys, "export", "safetensors", tmp_path / "set", "-o", tmp_path / "again")

    assert [lost["what"] for lost in back["not_kept"]] == ["metadata odd, plain"]
    assert arrays_in(tmp_path / "again") == arrays_in(tmp_path / "cache")


def test_a_link_to_a_folder_is_not_followed(tmp_path, capsys):
    """It may lead back to where it is."""
    npz(tmp_path / "cache", 1)
    try:
        (tmp_path / "cache" / "loop").symlink_to(tmp_path / "cache", target_is_directory=True)
    except OSError:
        pytest.skip("no links here")

    made = run(capsys, "import", "npz", tmp_path / "cache", "-o", tmp_path / "set")

    assert made["rows"] == 1 and [lost["first"] for lost in made["not_kept"]] == ["loop"]


CHANGES = {
    "shape": lambda folder: np.savez(
        folder / "1.npz", latents=np.ones((4, 8)), label=np.int64(1), score=np.ones(3, np.float32)
    ),
    "field": lambda folder: np.savez(
        folder / "1.npz", latents=np.ones((4, 8, 8)), label=np.int8(1), score=np.ones(3, np.float32)
    ),
    "new": lambda folder: np.savez(folder / "2.npz", latents=np.ones((4, 8, 8)), other=np.ones(2)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_cache_that_changes_between_the_walks(tmp_path, monkeypatch, capsys, what):
    """Is refused in one line, by the name of the file."""
    from aeformat.adapters import importing

    npz(tmp_path / "cache", 2)
    begin = importing._Writer

    def changed(*given, **more):
        CHANGES[what](tmp_path / "cache")
        return begin(*given, **more)

    monkeypatch.setattr(importing, "_Writer", changed)
    assert main(["import", "npz", str(tmp_path / "cache"), "-o", str(tmp_path / "set")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "was changed" in error and ".npz" in error
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_set_of_a_stranger(tmp_path, capsys):
    """One that says it was a WebDataset, and has not what such rows have."""
    given = {"cache": {"format": "webdataset", "tensors": []}}
    for number, keys in enumerate((None, '{"": 5}', '{"": "npy", "txt": "txt"}', "[]", "{")):
        path = tmp_path / f"{number}.aef"
        with aeformat.create(path, dims=(3,), encoding="f32le", fields={"cache.keys": str}, ext=given) as file:
            file.append(np.ones((1, 3), np.float32), names=["a"], fields={"cache.keys": [keys]})

        assert main(["export", "webdataset", str(path), "-o", str(tmp_path / "out")]) == 1
        assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_file_is_kept_whole_or_not_at_all(tmp_path, capsys):
    """Of two resolutions in a file one is broken: with --skip-broken neither is in the set."""
    (tmp_path / "cache").mkdir()
    good = np.ones((4, 8, 8), np.float32)
    np.savez(tmp_path / "cache" / "a.npz", latents_8x8=good, latents_8x9=np.full((4, 8, 9), np.nan, np.float32))
    np.savez(tmp_path / "cache" / "b.npz", latents_8x8=good)

    made = run(capsys, "import", "kohya", tmp_path / "cache", "-o", tmp_path / "set", "--skip-broken")

    assert made["rows"] == 1 and [one["file"] for one in made["skipped"]] == ["a.npz"]
    with aeformat.open(tmp_path / "set") as latents:
        assert latents.names(0).names == ("b.npz",)


def test_bytes_behind_an_array_are_not_dropped(tmp_path, capsys):
    """A member of a .npz that is longer than its head says."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("latents.npy", npy_file(np.ones(3, np.float32)) + b"more")

    assert main(["import", "npz", str(tmp_path / "a.npz"), "-o", str(tmp_path / "set")]) == 1
    assert "bytes of values are stated" in capsys.readouterr().err
