"""What the guides list is what the code has: files, limits, errors, log lines.

A list that somebody has to remember is wrong after a month. Here the failure is the line to add.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import aftertide
from aftertide import Limits

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text("utf-8")
OPERATING = (ROOT / "docs/guides/operating.md").read_text("utf-8")
LISTED_FILE_BY_FILE = ("domain", "actors", "stores")

GUIDES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")

LOG_LINE = re.compile(r"(runtime|projection|aggregate|command|journal|event|log)\.[a-z_]+")


def first_cells(text: str, heading: str) -> list[str]:
    """What stands in backticks in the first column of the tables under a heading."""
    section = text.split(f"\n{heading}\n")[1]
    section = re.split(r"^#+ ", section, maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


@pytest.mark.parametrize("folder", LISTED_FILE_BY_FILE)
def test_each_file_has_its_line_in_the_architecture_and_each_line_its_file(folder: str) -> None:
    there = {path.name for path in (ROOT / folder).glob("*.py")} - {"__init__.py"}
    listed = set(first_cells(ARCHITECTURE, f"### {folder}/"))
    assert listed == there, f"docs/architecture.md: add {there - listed}, remove {listed - there}"


def test_each_limit_has_its_line_with_its_default() -> None:
    section = OPERATING.split("\n## Limits\n")[1].split("\n## ")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section, re.MULTILINE))
    assert listed == {field.name: repr(field.default) for field in fields(Limits)}


def test_each_error_has_its_line() -> None:
    exported = {name: getattr(aftertide, name) for name in aftertide.__all__}
    errors = {
        name
        for name, value in exported.items()
        if isinstance(value, type) and issubclass(value, aftertide.AftertideError)
    }
    listed = set(first_cells(OPERATING, "## Errors, and what to do"))
    assert listed == errors - {"AftertideError", "Condition"} | {"TypeError", "ValueError"}


def said() -> Iterator[str]:
    """The names of log lines in the source: string constants of that form."""
    for path in (ROOT / "runtime.py", *(ROOT / "actors").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            value = node.value if isinstance(node, ast.Constant) else None
            if isinstance(value, str) and LOG_LINE.fullmatch(value):
                yield value


def test_each_line_of_the_log_is_explained() -> None:
    assert set(first_cells(OPERATING, "## Logs")) == set(said())


def anchors(path: Path) -> set[str]:
    """Those that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("name", GUIDES)
def test_each_link_leads_somewhere(name: str) -> None:
    path = ROOT / name
    for file, anchor in LINK.findall(path.read_text("utf-8")):
        target = path.parent / file if file else path
        assert target.exists(), f"{name} links to {file}, which is not there"
        assert not anchor or anchor in anchors(target), f"{name}: no heading #{anchor} in {file}"
