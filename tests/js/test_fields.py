"""Fields beside the rows (spec/container.md, section 22) in the JavaScript package, in Node: from its first byte on, and by ranges."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aeformat.container.columns import RowFields
from aeformat.container.field_types import FieldType
from aeformat.container.header import LatentsHeader
from aeformat.container.writer import LatentsWriter

from .running import VECTORS, node, serving

OPEN = 'import { AefError, open, validate } from "aeformat";\nimport { readFileSync } from "node:fs";\n'
# A value as JSON has it: numbers of 64 bits as text.
PLAIN = (
    "const plain = (x) => typeof x === 'bigint' ? String(x) : x instanceof Uint8Array ? Array.from(x) : x;"
    "const list = ({ values }) => Array.from(values, plain);"
)
TYPES = {  # in the order of the file; an object of JavaScript has "9" in front of "10"
    "10": FieldType("int64"),
    "9": FieldType("text"),
    "__proto__": FieldType("bytes"),
    "crop": FieldType("float16", (2,)),
    "ok": FieldType("bool"),
}
N_ROWS, CHUNK_ROWS, VALUES = 60, 10, 4096
WIDE = [2**63 - 1, -(2**63), 2**53 + 1]


def texts(rows: range) -> list[str | None]:
    """What is easily lost: nothing, an empty text, a NUL, a byte order mark, a character of four bytes."""
    return [(None, "", "a\0b", "\ufeffx", "\U0001f600 猫")[row % 5] for row in rows]


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """Rows of 16 KiB in six chunks, with five fields."""
    path = tmp_path_factory.mktemp("js") / "fields.aef"
    rows = range(N_ROWS)
    fields = RowFields.of(
        TYPES,
        {
            "10": [WIDE[row % 3] for row in rows],
            "9": texts(rows),
            "__proto__": [None if row % 2 else bytes([row]) for row in rows],
            "crop": np.array([[row, -row / 2] for row in rows], np.float16),
            "ok": np.array([row % 3 == 0 for row in rows]),
        },
        N_ROWS,
    )
    with path.open("wb") as sink:
        header = LatentsHeader(bytes(range(32)), (VALUES,), (28, 28, 1), "f32le")
        with LatentsWriter(sink, header, chunk_rows=CHUNK_ROWS) as writer:
            writer.write(np.zeros((N_ROWS, VALUES), np.float32), fields=fields)
    return path


def want(first: int, count: int) -> dict[str, list]:
    """The fields of some rows, flat, as `list` gives them."""
    rows = range(first, first + count)
    return {
        "10": [str(WIDE[row % 3]) for row in rows],
        "9": texts(rows),
        "__proto__": [None if row % 2 else [row] for row in rows],
        "crop": [number for row in rows for number in (row, -row / 2)],
        "ok": [row % 3 == 0 for row in rows],
    }


def test_fields_come_beside_the_rows(path):
    """Across the edge of a chunk, from ranges and from a stream; names that JavaScript sorts or treats apart are names."""
    found = node(
        OPEN
        + PLAIN
        + f"const file = await open(readFileSync({json.dumps(str(path))})), found = {{ rows: [], stream: [] }};"
        "for (const [name, column] of Object.entries((await file.rows(7, 25)).fields)) found.rows.push([name, list(column)]);"
        "for await (const event of file.stream()) if (event.type === 'rows' && event.firstRow === 20n)"
        "  for (const [name, column] of Object.entries(event.fields)) found.stream.push([name, list(column)]);"
        "console.log(JSON.stringify({ ...found, types: Object.entries(await file.fieldTypes()) }));"
    )

    assert dict(found["rows"]) == want(7, 25)
    assert dict(found["stream"]) == want(20, 10)
    assert dict(found["types"]) == {name: {"type": of.name, "sizes": list(of.sizes)} for name, of in TYPES.items()}


def test_a_field_of_a_remote_file_costs_no_rows(path):
    """Of two chunks of 160 KiB that the rows lie in, the headers and the fields are fetched."""
    with serving({"fields.aef": path}) as site:
        found = node(
            OPEN + PLAIN + f"const file = await open('{site.url}/fields.aef');"
            "const some = await file.fields('10', 38, 4), none = await file.fields('9', 3, 0);"
            "console.log(JSON.stringify([list(some), list(none), none.type]));"
        )
        asked = list(site.asked)

    assert found == [want(38, 4)["10"], [], "text"]
    assert sum(n for _, n in asked) < 8192


def test_a_field_that_is_not_there_is_named(path):
    """Also where the file has no fields at all."""
    plain = VECTORS / "container/valid/001-small.aef"
    found = node(
        OPEN + "const found = [];"
        f"for (const path of {json.dumps([str(path), str(plain)])}) {{"
        "  const file = await open(readFileSync(path));"
        "  found.push(await file.fields('score', 0).then(() => null, ({ code, what }) => [code, what]));"
        "}"
        f"const file = await open(readFileSync({json.dumps(str(plain))}));"
        "console.log(JSON.stringify([...found, await file.fieldTypes(), (await file.rows(0)).fields]));"
    )

    assert found == [["usage", 'the rows have no field "score"']] * 2 + [None, None]


def test_a_reader_that_seeks_refuses_what_a_forward_reader_refuses():
    """Each vector of bad fields, by ranges: the same rule and byte; an index may show another rule first."""
    paths = sorted(VECTORS.glob("container/invalid/16[0-6]?-fields-*.json"))
    latents = [path for path in paths if "in-model" not in path.name and "then-index" not in path.name]
    found = node(
        OPEN + f"const found = {{}};for (const path of {json.dumps([str(path) for path in latents])}) {{"
        "  const bytes = readFileSync(path.replace('.json', '.aef'));"
        "  const use = async () => { const file = await open(bytes); await file.rows(0, file.length); };"
        "  const tell = (error) => { if (error instanceof AefError) return [error.rule, error.code, error.at]; throw error; };"
        "  found[path] = await use().then(() => null, tell);"
        "}"
        "console.log(JSON.stringify(found));"
    )

    assert len(latents) > 40
    assert found == {
        str(path): [json.loads(path.read_text())[key] for key in ("rule", "code", "at")] for path in latents
    }


def test_the_work_of_fields_is_counted():
    """C13-1: 32 units a raw byte, beside the four of each byte of rows."""
    path = VECTORS / "container/valid/250-fields.aef"
    raw = path.read_bytes()
    n = int.from_bytes(raw[raw.index(b"fLDs") + 20 :][:4], "little")

    found = node(OPEN + f"console.log(validate(readFileSync({json.dumps(str(path))})).work);")

    assert found == 32 * n + 4 * 6


def test_a_worker_tells_fields(path):
    """Its messages, without a browser: values of 64 bits and texts go through as they are."""
    found = node(
        PLAIN + "import { readFileSync } from 'node:fs'; const answers = []; let next;"
        "globalThis.postMessage = (message) => { answers.push(message); next(); };"
        "await import('./worker.js');"
        "const ask = (data) => new Promise((resolve) => { next = resolve; globalThis.onmessage({ data }); });"
        f"await ask({{ do: 'open', source: Uint8Array.from(readFileSync({json.dumps(str(path))})) }});"
        "await ask({ do: 'fields', name: '10', first: 1, count: 2 }); await ask({ do: 'fieldTypes' });"
        "console.log(JSON.stringify([list(answers[1].result), answers[2].result.crop]));"
    )

    assert found == [want(1, 2)["10"], {"type": "float16", "sizes": [2]}]
