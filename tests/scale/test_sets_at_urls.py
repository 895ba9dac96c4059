"""Promise: a set in a bucket is made, resumed, raced for and read as one in a folder; no row is lost, none is there twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import aeformat
from aeformat.cli.main import main
from aeformat.errors import DecoderMissing, ImageError, SetInvalid, UsageError
from aeformat.scaling import job, packages, shard
from aeformat.scaling.plan import mark_name, plan_name, read_part, read_plan
from aeformat.sets.manifest import NAME, parse_manifest
from aeformat.sets.places import place_at
from scale.conftest import N_IMAGES, PER_SHARD, digits, get_keys, npy, png, put

MODEL = "mnist-exact"
HOW = {"model": MODEL, "rows_per_shard": PER_SHARD}


@pytest.fixture(scope="module")
def images(bucket):
    """The URL of an array of images."""
    from tools.loopback.unkind_bucket import NAME as BUCKET

    url = f"s3://{BUCKET}/inputs/digits.npy"
    put(url, npy(digits(N_IMAGES)))
    return url


@pytest.fixture(scope="module")
def in_folder(tmp_path_factory):
    """The same images as a set in a folder, made by one process."""
    folder = tmp_path_factory.mktemp("one")
    np.save(folder / "digits.npy", digits(N_IMAGES))
    done = aeformat.pack_set(folder / "digits.npy", folder / "set", **HOW)
    assert (done.n_rows, done.n_shards, done.n_there) == (N_IMAGES, 8, 0)
    return folder / "set"


def names_in(path):
    with aeformat.open(path) as latents:
        return [latents.names(row).names[0] for row in range(latents.n_rows)]


NAMES = [f"digits/{row:05}.png" for row in range(N_IMAGES)]


def test_where_a_set_is_made_changes_no_byte(url, images, in_folder):
    """S5-2: the shards in the bucket are those of the folder; done again, nothing is written."""
    done = aeformat.pack_set(images, url, **HOW)
    assert (done.n_rows, done.n_there, done.generation) == (N_IMAGES, 0, 1)
    assert names_in(url) == names_in(in_folder) == NAMES
    assert place_at(url).read(NAME)[0] == (in_folder / NAME).read_bytes()
    again = aeformat.pack_set(images, url, **HOW)
    assert (again.n_rows, again.n_there, again.generation) == (N_IMAGES, 8, 1)


def test_a_set_is_read_by_its_url(url, images, in_folder, tmp_path, capsys):
    """The commands and the Python API take the URL of the folder, of the manifest, and of a shard."""
    aeformat.pack_set(images, url, **HOW)
    np.save(tmp_path / "digits.npy", digits(N_IMAGES))
    with aeformat.open(f"{url}/{NAME}") as latents, aeformat.open(in_folder) as here:
        assert np.array_equal(latents[:], here[:])
        assert np.array_equal(latents[[40, 3]], here[[40, 3]])
        shard_url = f"{url}/{latents.shards[2].name}"
    with aeformat.open(shard_url) as latents:
        assert latents.n_rows == PER_SHARD
    assert aeformat.validate(url).problems == []
    assert main(["validate", url]) == 0
    assert main(["unpack", url, "-o", str(tmp_path / "all.npy")]) == 0
    assert main(["unpack", str(in_folder), "-o", str(tmp_path / "here.npy")]) == 0
    assert main(["unpack", url, "--rows", "6:27", "-o", str(tmp_path / "some.npy")]) == 0
    assert main(["unpack", url, "--latents", "-o", str(tmp_path / "latents.npy")]) == 0
    whole = np.load(tmp_path / "all.npy")
    assert np.array_equal(whole, np.load(tmp_path / "here.npy"))
    assert np.array_equal(whole[6:27], np.load(tmp_path / "some.npy"))
    assert len(np.load(tmp_path / "latents.npy")) == N_IMAGES
    aeformat.unpack(url, tmp_path / "picked.npy", rows=[3, 7, 8, 40])
    assert np.array_equal(whole[[3, 7, 8, 40]], np.load(tmp_path / "picked.npy"))
    aeformat.unpack(shard_url, tmp_path / "shard.npy")
    assert np.array_equal(whole[16:24], np.load(tmp_path / "shard.npy"))
    capsys.readouterr()
    assert main(["eval", "--json", url, "--against", str(tmp_path / "digits.npy")]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == N_IMAGES
    assert main(["unpack", url, "--rows", "50:61", "-o", str(tmp_path / "no.npy")]) == 2
    assert main(["unpack", f"{url}/nothing/", "-o", str(tmp_path / "no.npy")]) == 1
    assert "nothing/manifest.aefset" in capsys.readouterr().err


def test_a_shard_that_was_changed_is_refused(url, images, tmp_path):
    """S3-2: whoever reads all of it sees that it is another file."""
    aeformat.pack_set(images, url, **HOW)
    with aeformat.open(url) as latents:
        first, second = latents.shards[:2]
    put(f"{url}/{first.name}", place_at(url).read(second.name)[0])
    assert [problem.rule for problem in aeformat.validate(url).problems][:1] == ["S3-1"]
    assert main(["unpack", url, "-o", str(tmp_path / "no.npy")]) == 1


def test_images_in_a_tree_keep_their_names(url, tmp_path, capsys):
    """Sorted by name; what is no image is said; the SHA-256 of each file is recorded, and `check` finds all current."""
    pixels = digits(12)
    folder = tmp_path / "images"
    for number, image in enumerate(pixels):
        name = f"{number % 3}/{number:02}.png"
        put(f"{url}/in/{name}", png(image))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(image))
    put(f"{url}/in/notes.txt", b"no image")
    options = ["--model", MODEL, "--rows-per-shard", "5", "--sources"]
    assert main(["pack", f"{url}/in/**", "-o", f"{url}/out/", *options]) == 0
    said = capsys.readouterr().err
    assert "left out 1: 1 of kind .txt" in said and "12 images in 3 shards" in said
    names = sorted(f"{number % 3}/{number:02}.png" for number in range(12))
    assert names_in(f"{url}/out") == names
    assert main(["check", f"{url}/out", "--images", str(folder)]) == 0
    assert main(["check", f"{url}/out", "--images", f"{url}/in/"]) == 0
    put(f"{url}/in/0/00.png", png(pixels[1]))
    assert main(["check", f"{url}/out", "--images", f"{url}/in/"]) == 1
    assert main(["check", f"{url}/out", "--images", f"{url}/in/", "--update", "os:listdir"]) == 2
    with aeformat.open(f"{url}/out") as latents:
        expected = aeformat.load_model(MODEL).encode(pixels[[int(name[2:4]) for name in names]])
        assert np.array_equal(latents[:], expected)


def test_a_full_bucket_loses_nothing(bucket, url, images, in_folder):
    """The job ends with the bucket's own words, nothing is committed; with room again only the missing shards are made."""
    bucket.be(shards=3)
    with pytest.raises(OSError, match="QuotaExceeded") as caught:
        aeformat.pack_set(images, url, **HOW)
    assert caught.value.filename.startswith(url)
    assert place_at(url).read(NAME) is None
    bucket.be()
    done = aeformat.pack_set(images, url, **HOW)
    assert (done.n_rows, done.n_there) == (N_IMAGES, 3)
    assert place_at(url).read(NAME)[0] == (in_folder / NAME).read_bytes()


def test_a_bucket_that_slows_down_is_waited_for(bucket, url, images):
    """503 SlowDown on each seventh request."""
    bucket.be(throttle=7)
    assert aeformat.pack_set(images, url, **HOW).n_rows == N_IMAGES
    assert bucket.counted()["throttled"] > 3
    bucket.be()
    assert names_in(url) == NAMES


def test_answers_that_are_lost_double_nothing(bucket, url, images):
    """S4-4, S5-3: each second mark, and the manifest, is written and answered with an error."""
    before = bucket.counted().get("lost answers", 0)
    bucket.be(lose=2)
    assert aeformat.pack_set(images, url, **HOW).n_rows == N_IMAGES
    assert bucket.counted()["lost answers"] > before
    bucket.be()
    assert names_in(url) == NAMES


def test_jobs_that_race_for_one_manifest_lose_nothing(url, images):
    """S4-2, S4-3: two jobs of the same images, and three of others, all at once."""
    jobs = [images, images]
    for number in range(3):
        jobs.append(f"{url}/other-{number}.npy")
        put(jobs[-1], npy(digits(10, first=number + 1)))
    errors = []

    def run(inputs):
        try:
            aeformat.pack_set(inputs, f"{url}/set", **HOW)
        except Exception as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(inputs,)) for inputs in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    others = [f"other-{number}/{row:05}.png" for number in range(3) for row in range(10)]
    assert sorted(names_in(f"{url}/set")) == sorted(NAMES + others)


def test_a_bad_image_is_an_error_or_left_out_by_request(url, tmp_path, capsys):
    """S5-5: by default the job says which one, and keeps the other shards; asked to, it records what it left out."""
    for number, image in enumerate(digits(9)):
        put(f"{url}/in/{number}.png", png(image) if number != 4 else b"no image")
    options = [f"{url}/in/", "-o", f"{url}/out/", "--model", MODEL, "--rows-per-shard", "3"]
    assert main(["pack", *options]) == 1
    said = capsys.readouterr().err
    assert f"{url}/in/4.png: is no image" in said and "2 of 3 shards are made" in said and "--skip-bad-images" in said
    assert place_at(f"{url}/out").read(NAME) is None
    assert main(["pack", *options, "--skip-bad-images"]) == 0
    said = capsys.readouterr().err
    assert "left out 4.png" in said and "8 images in 3 shards, 2 of which were there" in said
    marks = [key for key in get_keys(f"{url}/out") if key.endswith("1.done")]
    assert json.loads(place_at(f"{url}/out").read(marks[0])[0])["skipped"][0][0] == "4.png"
    assert names_in(f"{url}/out") == [f"{number}.png" for number in range(9) if number != 4]


def test_rows_come_from_several_arrays(url, tmp_path):
    """Ranges go across files; IDX and gzip are read in place."""
    import gzip

    pixels = digits(20)
    header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (10, 28, 28))
    (tmp_path / "b.idx3-ubyte.gz").write_bytes(gzip.compress(header + pixels[10:].tobytes()))
    np.save(tmp_path / "a.npy", pixels[:10])
    inputs = [tmp_path / "a.npy", tmp_path / "b.idx3-ubyte.gz"]
    assert aeformat.pack_set(inputs, url, model=MODEL, rows_per_shard=7).n_shards == 3
    with aeformat.open(url) as latents:
        assert np.array_equal(latents[:], aeformat.load_model(MODEL).encode(pixels))
    assert names_in(url)[9:11] == ["a/00009.png", "b/00000.png"]


class TestPlans:
    """What a plan, a part, a mark may be, and what becomes of those that are not."""

    @pytest.fixture
    def place(self, tmp_path):
        np.save(tmp_path / "digits.npy", digits(20))
        aeformat.pack_set(tmp_path / "digits.npy", tmp_path / "set", **HOW)
        return place_at(tmp_path / "set")

    def plan_of(self, place, tmp_path):
        (folder,) = (tmp_path / "set" / "plans").iterdir()
        return read_plan(place, folder.name)

    def test_a_part_that_is_another_is_refused(self, place, tmp_path):
        """S5-1."""
        plan = self.plan_of(place, tmp_path)
        path = tmp_path / "set" / "plans" / plan.request.id / f"{plan.parts[1][1]}.rows"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(SetInvalid, match=r"S5-1"):
            read_part(place, plan, 1)
        path.unlink()
        with pytest.raises(SetInvalid, match=r"S5-1"):
            read_part(place, plan, 1)

    @pytest.mark.parametrize("data", [b"{", b"{}", b'{"format": "aeformat-plan-1"}'])
    def test_what_is_no_plan_is_refused(self, place, tmp_path, data):
        plan = self.plan_of(place, tmp_path)
        (tmp_path / "set" / plan_name(plan.request.id)).write_bytes(data)
        with pytest.raises(SetInvalid, match=r"plan.json: this is no plan .*S5-1"):
            read_plan(place, plan.request.id)

    def test_the_first_mark_of_a_range_counts(self, place, tmp_path, monkeypatch):
        """S5-3: who comes second takes the first one's shard, though its own is another file."""
        plan = self.plan_of(place, tmp_path)
        name = mark_name(plan.request.id, 0)
        (tmp_path / "set" / name).unlink()
        real = shard.RangeTask._new_shard

        def slow(*arguments):
            own = real(*arguments)
            faster = own._replace(shard=own.shard._replace(name="other.aef"))
            (tmp_path / "set" / "other.aef").write_bytes((tmp_path / "set" / own.shard.name).read_bytes())
            assert place.put(name, faster.to_bytes(), replaces=None)
            return own

        monkeypatch.setattr(shard.RangeTask, "_new_shard", slow)
        task = shard.RangeTask(place.name, plan.request.id, MODEL, False, 4096, "numpy")
        assert task(0).shard.name == "other.aef"
        assert task(0).was_there

    def test_a_mark_whose_shard_is_gone_is_made_anew(self, place, tmp_path):
        """S5-3: by its length, too."""
        with aeformat.open(tmp_path / "set") as latents:
            first, second = latents.shards[:2]
        whole = (tmp_path / "set" / second.name).read_bytes()
        (tmp_path / "set" / first.name).unlink()
        (tmp_path / "set" / second.name).write_bytes(whole[:-1])
        done = aeformat.pack_set(tmp_path / "digits.npy", tmp_path / "set", **HOW)
        assert (done.n_there, done.generation) == (1, 1)
        assert (tmp_path / "set" / second.name).read_bytes() == whole
        assert aeformat.validate(tmp_path / "set").problems == []

    def test_what_is_no_mark_is_refused(self, place, tmp_path):
        """S5-3."""
        plan = self.plan_of(place, tmp_path)
        (tmp_path / "set" / mark_name(plan.request.id, 1)).write_bytes(b'{"shard": 7, "skipped": []}')
        with pytest.raises(SetInvalid, match=r"00000001.done: this is no mark .*S5-3"):
            aeformat.pack_set(tmp_path / "digits.npy", tmp_path / "set", **HOW)

    def test_nothing_is_committed_without_all_marks(self, place):
        """S5-4."""
        with pytest.raises(SetInvalid, match=r"S5-4"):
            job.commit_marks(place, [], 1)

    def test_rows_of_one_name_are_refused(self, tmp_path):
        """S5-2: two ranges could be one file."""
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "x.png").write_bytes(png(digits(1)[0]))
            np.save(tmp_path / folder / "y.npy", digits(3))
        for name in ("x.png", "y.npy"):
            with pytest.raises(ImageError, match="one name"):
                aeformat.pack_set([tmp_path / "a" / name, tmp_path / "b" / name], tmp_path / "set", **HOW)
        assert not (tmp_path / "set" / "plans").exists()

    def test_a_set_of_other_latents_is_left_alone(self, place, tmp_path):
        before = (tmp_path / "set" / NAME).read_bytes()
        with pytest.raises(UsageError, match="another header"):
            aeformat.pack_set(
                tmp_path / "digits.npy", tmp_path / "set", model="mnist-128-64-128", rows_per_shard=PER_SHARD
            )
        assert (tmp_path / "set" / NAME).read_bytes() == before


def test_a_machine_without_the_model_says_so_in_one_line():
    """By the model's name and id, with what to do."""
    with pytest.raises(DecoderMissing, match=r"model nowhere .* is not on this machine: install it there") as caught:
        packages.model_here("ab" * 32, "cd" * 32, "nowhere")
    assert "\n" not in str(caught.value)


def test_a_model_is_found_by_its_url(url, tmp_path):
    """Both halves are read from there, and held against their ids."""
    from aeformat.model import store

    for role in ("encoder", "decoder"):
        put(f"{url}/my.{role}.aef", store.shipped_file(MODEL, role).read_bytes())
    np.save(tmp_path / "digits.npy", digits(3))
    assert aeformat.pack_set(tmp_path / "digits.npy", tmp_path / "set", model=f"{url}/my").n_rows == 3
    with pytest.raises(OSError, match=r"other\.encoder\.aef"):
        aeformat.pack_set(tmp_path / "digits.npy", tmp_path / "set", model=f"{url}/other")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["x.npy", "-o", "set", "--rows-per-shard", "3"], "a set takes --model"),
        (["x.npy", "-o", "set.aef", "--rows-per-shard", "3", "--model", MODEL], "a set is a folder"),
        (["x.npy", "-o", "set", "--rows-per-shard", "3", "--model", MODEL, "--force"], "leave --force out"),
        (["-", "-o", "set", "--rows-per-shard", "3", "--model", MODEL], "standard input"),
        (["x.npy", "-o", "http://127.0.0.1/set", "--model", MODEL], "no conditional writes"),
        (["x.npy", "-o", "set", "--rows-per-shard", "3", "--model", MODEL], "x.npy: no such file or folder"),
    ],
)
def test_what_makes_no_set_is_a_usage_error(arguments, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["pack", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_an_interrupted_job_commits_nothing_and_goes_on(tmp_path):
    """Ctrl-C between two shards: no manifest, no temporary file; the same command makes the rest."""
    np.save(tmp_path / "digits.npy", digits(500))
    command = [sys.executable, "-m", "aeformat", "pack", "digits.npy", "-o", "set", "--model", MODEL]
    command += ["--rows-per-shard", "2", "--backend", "numpy"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while len(list(tmp_path.glob("set/plans/*/*.done"))) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 130, said
    assert "no manifest was written" in said
    assert not (tmp_path / "set" / NAME).exists()
    assert not list(tmp_path.glob("set/.aeformat-tmp-*"))
    done = aeformat.pack_set(tmp_path / "digits.npy", tmp_path / "set", model=MODEL, rows_per_shard=2)
    assert 3 <= done.n_there < done.n_shards == 250
    manifest = parse_manifest((tmp_path / "set" / NAME).read_bytes())
    assert (manifest.n_rows, len(manifest.shards)) == (500, 250)
