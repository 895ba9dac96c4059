"""The JavaScript package passes every vector, makes the same pixels, and fetches no more than it must, in Node and in Chromium.

Needs node with `npm ci --prefix tools/js`; for a browser chromium and the npm package `playwright-core` (AEFORMAT_BROWSER: its
--prefix); for the types `typescript` (AEFORMAT_TYPESCRIPT: its --prefix).  Skipped where one is missing; AEFORMAT_REQUIRE_ALL=1 turns
that into a failure.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import aeformat
from aeformat.container.names import RowNames
from aeformat.container.writer import LatentsWriter
from aeformat.images import demo_digits
from tools.conformance.javascript import Chromium
from tools.conformance.programs import Missing
from tools.conformance.vectors import all_vectors

from .running import HERE, PACKAGE, ROOT, VECTORS, _missing, browse, node, npm, program, serving

OPEN = 'import { AefError, loadPackage, open, validate } from "aeformat";\nimport { readFileSync } from "node:fs";\n'


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """A hundred digits in one chunk, with two receipts, and their decoder."""
    path = tmp_path_factory.mktemp("js") / "digits.aef"
    aeformat.pack(demo_digits(), path, embed_decoder=True, receipts=True, backend="numpy")
    return path


@pytest.fixture(scope="module")
def apart(digits) -> Path:
    """Their latents in ten chunks, with names, without the decoder."""
    path = digits.with_name("apart.aef")
    with aeformat.open(digits) as latents, path.open("wb") as sink:
        names = RowNames(names=tuple(f"digits/{i:03d}.png" for i in range(len(latents))))
        with LatentsWriter(sink, latents.header, chunk_rows=10) as writer:
            writer.write(latents.rows(0, len(latents)), names)
    return path


def pixels(path: Path) -> bytes:
    """What this package makes of a file."""
    out = path.with_suffix(".npy")
    if not out.exists():
        aeformat.unpack(path, out, backend="numpy")
    return np.load(out).tobytes()


def vectors() -> list[str]:
    """All of them, without suffix."""
    return sorted(str(path.relative_to(VECTORS).with_suffix("")) for path in VECTORS.rglob("*.aef"))


def test_every_vector_in_node():
    """Each is read whole, in halves and byte by byte, and validated."""
    found = node(
        'import { readFileSync } from "node:fs"; import { runVector } from "./src/vectors.js";'
        f"const root = {json.dumps(str(VECTORS))}, names = {json.dumps(vectors())}, failed = [];"
        "for (const name of names) {"
        "  const problems = runVector(name, readFileSync(`${root}/${name}.aef`), JSON.parse(readFileSync(`${root}/${name}.json`)));"
        "  if (problems.length) failed.push([name, problems]);"
        "}"
        "console.log(JSON.stringify({ n: names.length, failed }));"
    )

    assert found == {"n": len(vectors()), "failed": []}


def test_the_command_of_a_conformance_run_counts(tmp_path):
    """A vector that does not pass is named, and the exit code says so."""
    command = [program("node"), str(PACKAGE / "conformance.mjs"), "--json", str(tmp_path)]
    for folder in ("container/valid", "container/invalid", "model/valid", "model/invalid", "history"):
        (tmp_path / folder).mkdir(parents=True)
    for suffix in (".aef", ".json"):
        shutil.copy(VECTORS / f"container/valid/001-small{suffix}", tmp_path / "container/valid")
        shutil.copy(VECTORS / f"container/valid/001-small{suffix}", tmp_path / f"container/valid/002-other{suffix}")
    wrong = json.loads((tmp_path / "container/valid/002-other.json").read_text())
    (tmp_path / "container/valid/002-other.json").write_text(json.dumps(wrong | {"n_rows": 2}))
    node("console.log(1)")  # skips where the package is not installed

    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert (found["vectors"], found["passed"], [entry["vector"] for entry in found["failed"]]) == (
        2,
        1,
        ["container/valid/002-other"],
    )


def test_images_are_those_of_python(digits):
    """No pixel differs, and the receipts are proved."""
    found = node(
        OPEN + 'import { createHash } from "node:crypto";'
        f"const file = await open(readFileSync({json.dumps(str(digits))}));"
        "const images = await file.images(0, file.length), digest = createHash('sha256');"
        "for (const { data } of images) digest.update(data);"
        "const report = validate(await file.bytes());"
        "console.log(JSON.stringify([images.length, digest.digest('hex'), images[7].name, report.problems, report.nProved]));"
    )

    assert found == [100, hashlib.sha256(pixels(digits)).hexdigest(), None, [], 2]


def test_a_decoder_from_outside_and_a_wrong_one(apart):
    """With the decoder beside it the file decodes; with none or another one no pixel comes out."""
    right, other = ROOT / "models/mnist-exact.decoder.aef", ROOT / "models/mnist-rd-24.decoder.aef"
    found = node(
        OPEN + f"const bytes = readFileSync({json.dumps(str(apart))}), found = [];"
        "const tell = async (make) => found.push(await make().then((images) => images.length, (error) => error.code));"
        "await tell(async () => (await open(bytes)).images(0));"
        f"await tell(async () => (await open(bytes, {{ decoder: readFileSync({json.dumps(str(other))}) }})).images(0));"
        f"await tell(async () => (await open(bytes, {{ decoder: readFileSync({json.dumps(str(right))}) }})).images(0, 3));"
        "console.log(JSON.stringify(found));"
    )

    assert found == ["decoder-missing", "decoder-mismatch", 3]


def test_a_wrong_receipt_hands_out_nothing(digits):
    """A run whose digest does not match is refused with its rule, although every checksum holds."""
    found = node(
        OPEN + "import { crc32 } from './src/crc.js'; import { le32, u32 } from './src/bytes.js';"
        f"const bytes = Uint8Array.from(readFileSync({json.dumps(str(digits))}));"
        "const at = Buffer.from(bytes).indexOf('rCPT'), prefix = (n) => crc32(le32(u32(bytes, 16), n));"
        "let number = 0; while (crc32(bytes.subarray(at, at + 28), prefix(number)) !== u32(bytes, at + 28)) number++;"
        "bytes[at + 32] ^= 1;"
        "bytes.set(le32(crc32(bytes.subarray(at + 32, at + 32 + u32(bytes, at + 16)), prefix(number))), at + 24);"
        "bytes.set(le32(crc32(bytes.subarray(at, at + 28), prefix(number))), at + 28);"
        "const file = await open(bytes);"
        "const error = await file.images(0).then(() => null, ({ rule, code, at }) => [rule, code, at]);"
        "console.log(JSON.stringify([error, at + 32, (await file.images(70)).length]));"
    )

    assert found[0] == ["C7-6", "receipt", found[1]]
    assert found[2] == 1


def test_a_row_of_a_remote_file_costs_its_chunk(apart):
    """Header, trailer, index and one chunk are fetched, by ranges, and nothing twice."""
    with serving({"apart.aef": apart}) as site:
        found = node(
            OPEN + f"const file = await open('{site.url}/apart.aef');"
            "const opened = file.length, { values, names } = await file.rows(55);"
            "console.log(JSON.stringify([opened, Array.from(values), names]));"
        )
        asked = list(site.asked)

    with aeformat.open(apart) as latents:
        want = latents[55].reshape(-1).tolist()
        chunk_bytes = apart.stat().st_size // 10
    assert found == [100, want, ["digits/055.png"]]
    assert sum(n for _, n in asked) < 1024 + 2 * chunk_bytes + 32 * 5 + 64 + 32 + 240
    assert len(asked) <= 8


def test_a_server_without_ranges_is_named(apart):
    """It is told what is wrong; the whole file is not fetched in its place."""
    with serving({"apart.aef": apart}) as site:
        found = node(
            OPEN
            + "const whole = (url, init) => realFetch(url, { ...init, headers: {} }), realFetch = fetch; globalThis.fetch = whole;"
            f"console.log(JSON.stringify(await open('{site.url}/apart.aef').then(() => null, ({{ code, what }}) => [code, what])));"
        )

    assert found[0] == "transfer" and "206" in found[1]


def test_a_stream_of_a_url_is_of_the_file_that_was_opened(apart):
    """A refusal, or another file under the same URL, is not read as if it were the file."""
    with serving({"apart.aef": apart}) as site:
        found = node(
            OPEN + "const realFetch = fetch, found = [];"
            "for (const init of [{}, { status: 404 }, { headers: { ETag: '\"other\"' } }]) {"
            "  globalThis.fetch = async (url, asked) => {"
            "    const answer = await realFetch(url, asked);"
            "    return new Headers(asked.headers).has('Range') ? answer : new Response(answer.body, init);"
            "  };"
            f"  const read = async () => {{ let n = 0; for await (const event of (await open('{site.url}/apart.aef')).stream()) n++; return n > 10; }};"
            "  found.push(await read().catch(({ code, what }) => [code, what]));"
            "}"
            "console.log(JSON.stringify(found));"
        )

    assert found[0] is True
    assert [error[0] for error in found[1:]] == ["transfer"] * 2
    assert "404" in found[1][1] and "changed" in found[2][1]


def test_a_stream_tells_everything(digits):
    """A ReadableStream in small pieces: header, decoder, rows, trailer."""
    found = node(
        'import { readStream } from "aeformat"; import { readFileSync } from "node:fs";'
        f"const bytes = readFileSync({json.dumps(str(digits))}), told = {{}};"
        "const stream = new ReadableStream({ start(to) { for (let i = 0; i < bytes.length; i += 1000) to.enqueue(bytes.subarray(i, i + 1000)); to.close(); } });"
        "for await (const { type } of readStream(stream)) told[type] = (told[type] ?? 0) + 1;"
        "console.log(JSON.stringify(told));"
    )

    assert found == {"header": 1, "decoder": 1, "rows": 1, "trailer": 1}


def test_every_vector_in_a_browser(tmp_path):
    """Chromium passes what Node passes, and notices what does not pass."""
    vectors = all_vectors()
    wrong = replace(vectors[0], name="wrong", want=vectors[0].want | {"n_rows": 99})
    try:
        page = Chromium(tmp_path, [*vectors, wrong])
    except Missing as error:
        _missing(str(error))

    assert page.tally.passed == len(vectors)
    assert list(page.tally.failed) == ["wrong"]


def test_a_worker_decodes(digits):
    """Pixels come back from another thread, and errors as what they are."""
    with serving({"worker.html": HERE / "worker.html", "digits.aef": digits, "aeformat": PACKAGE}) as site:
        found = browse(f"{site.url}/worker.html")

    assert found["early"] == "usage"
    assert (found["length"], found["pixels"]) == (100, hashlib.sha256(pixels(digits)).hexdigest())
    assert found["values"] == 128
    assert [(problem["rule"], problem["at"]) for problem in found["problems"]] == [("C9-1", digits.stat().st_size - 1)]


def test_the_lines_of_the_readme_show_a_digit(digits):
    """The page of the README, as it stands there, paints the first image."""
    page = re.search(r"```html\n(.*?)```", (PACKAGE / "README.md").read_text("utf-8"), re.DOTALL)[1]
    look = (
        "<script type=module>const canvas = document.getElementById('picture');"
        "const seen = setInterval(() => { if (canvas.width !== 28) return; clearInterval(seen);"
        "const { data } = canvas.getContext('2d').getImageData(0, 0, 28, 28);"
        "window.found = Array.from({ length: 784 }, (_, i) => data[4 * i]); }, 50);</script>"
    )
    with serving({"page.html": (page + look).encode(), "digits.aef": digits, "aeformat": PACKAGE}) as site:
        found = browse(f"{site.url}/page.html")

    assert bytes(found) == pixels(digits)[:784]


def test_types(tmp_path):
    """A program in TypeScript that uses everything is accepted, and a wrong one is not."""
    compiler = npm("AEFORMAT_TYPESCRIPT", "typescript") / "node_modules/typescript/bin/tsc"
    shutil.copy(HERE / "uses_everything.ts", tmp_path)
    shutil.copy(PACKAGE / "index.d.ts", tmp_path / "aeformat.d.ts")
    options = [
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--module",
        "es2022",
        "--lib",
        "es2022,dom",
        "--moduleResolution",
        "bundler",
    ]
    command = [program("node"), str(compiler), *options, "uses_everything.ts"]

    good = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    source = (tmp_path / "uses_everything.ts").read_text()
    (tmp_path / "uses_everything.ts").write_text(source + "\nvalidate(7);\n")
    bad = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    assert good.returncode == 0, good.stdout
    assert bad.returncode != 0


def test_no_lock_names_a_registry():
    """Whoever installs takes the registry that they have chosen."""
    assert "://" not in (PACKAGE / "package-lock.json").read_text()
