"""Prove that the specification, the code, the vectors and the tests speak of the same rules.

    python tools/check_spec.py [--json] [--root FOLDER] [PAGE ...]

Each rule that a page of spec/ defines ("**C4-1**") must have code in aeformat/ that cites it, a vector that shows it, and a
test: the vectors' own tests where an invalid file breaks it, else a citation in tests/.  A page may list rules without a vector,
and why, under a heading of that name; they need a test all the same.  Nothing may cite a rule that no page defines.
The registry must list what the tables of the pages list.  The code and the byte of every vector must be ones that stand in the
row of its rule.
Standard library only.  Exit code 0 if all holds, else 1.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFINED = re.compile(r"\*\*([A-Z]\d+-\d+)\*\*")
CITED = re.compile(r"\b([A-Z])(\d+)-(\d+)(?: to (?:\1\2-)?(\d+)\b)?")
CODE = re.compile(r"`([a-z-]+)`")
PLACE = re.compile(r"`(header|chunk|payload|trailer|manifest|end|\d+)(?: \+ (\d+))?`")
STRUCTURES = struct.Struct("<4s12xI"), struct.Struct("<I")  # tag and stored_len of a chunk header; header_len
# Rules whose byte is a place only where the payload is compressed, or the map is of row names: else words say where it is.
IN_WORDS = {f"C3-{n}" for n in range(1, 6)} | {f"C5-{n}" for n in range(1, 9)} | {"M3-12", "M4-7"}
SUFFIXES = (".aef", ".safetensors")  # of the vectors
NOT_PAGES = {"README.md", "CHANGES.md", "deviations.md"}


@dataclass
class Page:
    """One page of spec/.

    without_vector: rules that no file can show.  codes, places: of each rule, where the page states them beside it.  A place is
    the name of a structure and an offset in it, or "" and a byte.
    """

    name: str
    text: str
    rules: list[str]
    without_vector: set[str] = field(default_factory=set)
    codes: dict[str, set[str]] = field(default_factory=dict)
    places: dict[str, set[tuple[str, int]]] = field(default_factory=dict)


@dataclass
class Findings:
    """What was counted, and what is wrong."""

    problems: list[str] = field(default_factory=list)
    n_vectors: Counter[str] = field(default_factory=Counter)
    n_broken: Counter[str] = field(default_factory=Counter)
    n_files: int = 0


def main(arguments: list[str] | None = None) -> int:
    """0 if all holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pages", nargs="*", help="pages of spec/ to check; all by default")
    parser.add_argument("--json", action="store_true", help="print counts and problems as JSON")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1], help="the repository")
    options = parser.parse_args(arguments)
    pages = [read_page(path) for path in sorted((options.root / "spec").glob("*.md")) if path.name not in NOT_PAGES]
    pages = [page for page in pages if page.rules and (not options.pages or page.name in options.pages)]
    findings = check(options.root, pages)
    if options.json:
        print(json.dumps(as_dict(pages, findings), indent=1))
    else:
        report(pages, findings)
    return 1 if findings.problems else 0


def read_page(path: Path) -> Page:
    """Rules, exceptions and codes of a page."""
    text = path.read_text("utf-8")
    page = Page(path.name, text, list(dict.fromkeys(DEFINED.findall(text))))
    for table in tables(text):
        head = table[0]
        for row in table[1:]:
            if head == ["rules", "why"]:
                page.without_vector |= cited(row[0])
            elif head == ["rule", "", "code", "byte"]:
                (rule,) = DEFINED.findall(row[0])
                page.codes[rule] = set(CODE.findall(row[2]))
                page.places[rule] = {places_of(*found) for found in PLACE.findall(row[3])}
    return page


def places_of(name: str, offset: str) -> tuple[str, int]:
    """A place as a row states it."""
    return ("", int(name)) if name.isdigit() else (name, int(offset or 0))


def structures(data: bytes) -> dict[str, set[int]]:
    """Where the structures of a file begin, as far as its own lengths tell; padding is what is zero in front of a payload."""
    found: dict[str, set[int]] = {"": {0}, "end": {len(data)}, "header": {24}}
    chunks, payloads = found.setdefault("chunk", set()), found.setdefault("payload", set())
    found["trailer"], found["manifest"] = set(), set()
    at = 24 + (STRUCTURES[1].unpack_from(data, 12)[0] if len(data) >= 16 else 0)
    while at + 4 <= len(data):
        if data[at : at + 4] == b"TAIL":
            found["trailer"].add(at)
            break
        chunks.add(at)
        if at + 32 > len(data):
            break
        tag, stored_len = STRUCTURES[0].unpack_from(data, at)
        starts = {at + 32, -(-(at + 32) // 64) * 64} if tag in (b"ROWS", b"TENS") else {at + 32}
        payloads |= starts
        found["manifest"] |= {at + 32} if tag == b"MANF" else set()
        ends = [start + stored_len for start in sorted(starts)]
        following = [end for end in ends if is_tag(data[end : end + 4])]
        if not following:  # cut, or of no tag: whichever it is
            chunks.update(ends)
            break
        at = following[0]
    return found


def is_tag(four: bytes) -> bool:
    """Whether a chunk or the trailer can begin so."""
    return len(four) == 4 and four.isalpha() and four[2:3].isupper()


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a page as rows of cells, the heading first."""
    found: list[list[list[str]]] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not inside:
            found.append([])
            inside = True
        if not all(set(cell) <= set("-: ") for cell in cells) or not any(cells):
            found[-1].append(cells)
    return found


def cited(text: str) -> set[str]:
    """Rules that a text names, ranges ("C4-6 to C4-8") spelled out."""
    rules = set()
    for letter, section, first, last in CITED.findall(text):
        for number in range(int(first), int(last or first) + 1):
            rules.add(f"{letter}{section}-{number}")
    return rules


def check(root: Path, pages: list[Page]) -> Findings:
    """Everything."""
    findings = Findings()
    defined: dict[str, Page] = {}
    for page in pages:
        for rule in page.rules:
            if rule in defined:
                findings.problems.append(f"{rule}: defined in {defined[rule].name} and in {page.name}")
            defined[rule] = page
    letters = {rule[0] for rule in defined}
    in_code = citations(root / "aeformat", letters)
    in_tests = citations(root / "tests", letters)
    read_vectors(root / "spec" / "vectors", defined, findings)
    for rule, page in defined.items():
        if rule not in in_code:
            findings.problems.append(f"{rule}: nothing in aeformat/ cites it")
        if findings.n_vectors[rule] and rule in page.without_vector:
            findings.problems.append(f"{rule}: {page.name} says that it has no vector, but it has")
        if not findings.n_vectors[rule] and rule not in page.without_vector:
            findings.problems.append(f"{rule}: no vector shows it")
        if not findings.n_broken[rule] and rule not in in_tests:
            findings.problems.append(f"{rule}: no vector breaks it and no test cites it")
    for name, places in (("code", in_code), ("tests", in_tests)):
        for rule in sorted(places.keys() - defined.keys()):
            findings.problems.append(f"{rule}: cited in {name} ({places[rule]}), defined nowhere")
    for page in pages:
        for rule in sorted(r for r in cited(page.text) - defined.keys() if r[0] in letters):
            findings.problems.append(f"{rule}: cited in {page.name}, defined nowhere")
    if any(page.name == "container.md" for page in pages):
        check_registry(root, {page.name: page for page in pages}, findings)
    return findings


def citations(folder: Path, letters: set[str]) -> dict[str, str]:
    """Rules that the Python files below a folder cite, each with one file that does."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*.py")):
        for rule in cited(path.read_text("utf-8")):
            if rule[0] in letters:
                found.setdefault(rule, path.relative_to(folder.parent).as_posix())
    return found


def read_vectors(folder: Path, defined: dict[str, Page], findings: Findings) -> None:
    """Count what each rule has, and check that the JSON files name rules and codes that there are."""
    for path in sorted(folder.rglob("*.json")):
        name = path.relative_to(folder).as_posix()
        if beside(path) is None:
            findings.problems.append(f"{name}: there is no .aef or .safetensors file beside it")
            continue
        findings.n_files += 1
        expected: dict[str, Any] = json.loads(path.read_text("utf-8"))
        rule = expected.get("rule")
        for shown in [rule] if rule else expected.get("rules", []):
            findings.n_vectors[shown] += 1
            if shown not in defined:
                findings.problems.append(f"{name}: names {shown}, which is defined nowhere")
        if rule in defined:
            findings.n_broken[rule] += 1
            if expected["code"] not in defined[rule].codes.get(rule, set()):
                findings.problems.append(f"{name}: {defined[rule].name} gives {rule} no code {expected['code']!r}")
            if not is_at_home(path, expected, defined[rule].places.get(rule, set())):
                findings.problems.append(f"{name}: {defined[rule].name} gives {rule} no byte {expected['at']}")
    files = [p for suffix in SUFFIXES for p in sorted(folder.rglob(f"*{suffix}"))]
    lonely = [p for p in files if not p.with_suffix(".json").exists()]
    findings.problems += [f"{p.relative_to(folder).as_posix()}: there is no .json file beside it" for p in lonely]


def beside(path: Path) -> Path | None:
    """The file that a JSON file speaks of."""
    return next((path.with_suffix(suffix) for suffix in SUFFIXES if path.with_suffix(suffix).exists()), None)


def is_at_home(path: Path, expected: dict[str, Any], places: set[tuple[str, int]]) -> bool:
    """Whether a vector's byte is one that the page states; where the page has only words for it, they are not checked here."""
    if not places or "inside" in expected or expected["rule"] in IN_WORDS:
        return True
    file = beside(path)
    assert file is not None
    starts = structures(file.read_bytes())
    return any(expected["at"] - offset in starts[name] for name, offset in places)


# Registry list -> (page, heading cells its table begins with, column).  A column's names are those in backticks or quotes.
_TABLES = {
    ("tags", "tag"): ("container.md", ["tag", "kind"]),
    ("encodings", "encoding"): ("container.md", ["encoding", "bytes a value"]),
    ("layers", "kind"): ("model.md", ["kind", "keys"]),
    ("manifest_keys", "key"): ("model.md", ["key", "value"]),
}


def check_registry(root: Path, pages: dict[str, Page], findings: Findings) -> None:
    """registry.json against the tables of the pages, and the codes against its errors."""
    registry: dict[str, Any] = json.loads((root / "spec" / "registry.json").read_text("utf-8"))
    for (name, key), (page, head) in _TABLES.items():
        if page in pages:
            table = next(t for t in tables(pages[page].text) if t[0][: len(head)] == head)
            in_page = {match for row in table[1:] for match in re.findall(r"`(\w+)`", row[0])}
            compare(findings, f"{name} of {page}", in_page, {entry[key] for entry in registry[name]})
    keys = next(t for t in tables(pages["container.md"].text) if t[0] == ["key", "value", ""])
    latents = {row[0].strip("`") for row in keys[1:]}
    compare(findings, "header keys", latents, {e["key"] for e in registry["header_keys"] if "latents" in e["kinds"]})
    limits = next(t for t in tables(pages["container.md"].text) if t[0][:2] == ["what", "limit"])
    in_page = {(row[1].removesuffix(" bytes").replace(",", ""), row[2]) for row in limits[1:]}
    compare(findings, "limits", in_page, {(str(e["value"]), e["rule"]) for e in registry["limits"]}, subset=True)
    codes = {code for page in pages.values() for of_rule in page.codes.values() for code in of_rule}
    compare(findings, "codes", codes, {e["code"] for e in registry["errors"] if e["broken_rule"]})
    versions = next(t for t in tables((root / "spec/README.md").read_text("utf-8")) if t[0][0] == "format")
    stated = {tuple(row) for row in versions[1:]}
    assigned = {(v["format"], v["first_read"], v["first_written"]) for v in registry["versions"]}
    compare(findings, "versions of README.md", stated, assigned)


def compare(findings: Findings, what: str, page: set[Any], registry: set[Any], *, subset: bool = False) -> None:
    """Two sets that must be equal, or the first within the second."""
    missing, extra = sorted(page - registry), sorted(registry - page)
    if missing:
        findings.problems.append(f"registry.json: {what}: {missing} are in the page only")
    if extra and not subset:
        findings.problems.append(f"registry.json: {what}: {extra} are in the registry only")


def as_dict(pages: list[Page], findings: Findings) -> dict[str, Any]:
    """For --json."""
    rules = {
        rule: {"page": page.name, "vectors": findings.n_vectors[rule], "broken_by": findings.n_broken[rule]}
        for page in pages
        for rule in page.rules
    }
    return {"rules": rules, "n_vectors": findings.n_files, "problems": findings.problems}


def report(pages: list[Page], findings: Findings) -> None:
    """For people."""
    for page in pages:
        print(f"{page.name}: {len(page.rules)} rules; vectors by rule:")
        cells = [f"{rule} {findings.n_vectors[rule]:3}" for rule in page.rules]
        for start in range(0, len(cells), 8):
            print("  " + "   ".join(f"{cell:10}" for cell in cells[start : start + 8]).rstrip())
    print(f"{findings.n_files} vectors, {len(findings.problems)} problems")
    for problem in findings.problems:
        print(f"problem: {problem}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
