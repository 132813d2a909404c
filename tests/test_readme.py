"""What the README and the guides show is what happens.

Every `python` block runs: each file is one process in an empty directory, and its blocks share a
namespace in order, as if typed one after the other. A block whose first line is `# new` starts
afresh, as a file of its own would.

A `text` block right after a `python` block, with at most one line ending in a colon between ("It
prints:"), is that block's output. `...` in it stands for what differs from run to run.

In `console` blocks, each `$ aftertide …` is held against the command's own parser.
"""

import doctest
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from aftertide.cli.main import build_parser

ROOT = Path(__file__).parents[1]
GUIDES = [
    "README.md",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md")),
]
FENCE = re.compile(r"^```(?P<kind>\w*)[^\n]*\n(?P<body>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
ONE_INTRODUCTION = re.compile(r"\s*([^\n]*:)?\s*")

# Runs in the guide's own process: each block under its name and line, and a mark after its output.
RUN_BLOCKS = """\
import sys
mark, *blocks = eval(sys.stdin.read())
for name, line, source in blocks:
    if source.startswith("# new") or line == blocks[0][1]:
        namespace = {"__name__": "__main__"}
    exec(compile("\\n" * line + source, name, "exec"), namespace)
    print(mark, flush=True)
"""
MARK = "-- end of block --"


class Block(NamedTuple):
    name: str
    line: int  # of the opening fence
    source: str
    output: str | None


def blocks(name: str, text: str) -> Iterator[Block]:
    fences = list(FENCE.finditer(text))
    for i, fence in enumerate(fences):
        if fence["kind"] != "python":
            continue
        output = None
        if i + 1 < len(fences):
            following = fences[i + 1]
            between = text[fence.end() : following.start()]
            if following["kind"] == "text" and ONE_INTRODUCTION.fullmatch(between):
                output = following["body"]
        yield Block(name, text.count("\n", 0, fence.start()) + 1, fence["body"], output)


def commands(text: str) -> Iterator[list[str]]:
    for fence in FENCE.finditer(text):
        if fence["kind"] != "console":
            continue
        for line in re.findall(r"^\$ (.*(?:\\\n.*)*)", fence["body"], re.MULTILINE):
            words = shlex.split(line, comments=True)
            if words and Path(words[0]).name == "aftertide":
                ends = [
                    i for i, word in enumerate(words) if word in {"|", ">", ">>", "&", "&&", ";"}
                ]
                yield words[1 : min(ends, default=None)]


def is_known(words: list[str]) -> bool:
    try:
        build_parser().parse_args(words)
    except SystemExit as stop:
        return not stop.code  # --help and --version end with 0
    return True


def check(name: str, text: str, cwd: Path) -> None:
    """Run the blocks of one guide and compare what they print."""
    todo = list(blocks(name, text))
    if not todo:
        return
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN_BLOCKS],
        input=repr((MARK, *((b.name, b.line, b.source) for b in todo))),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, f"a block of {name} failed:\n{run.stdout}{run.stderr}"
    outputs = run.stdout.split(f"{MARK}\n")
    for block, got in zip(todo, outputs, strict=False):  # one more: what comes at exit
        if block.output is not None:
            same = doctest.OutputChecker().check_output(block.output, got, doctest.ELLIPSIS)
            assert same, f"{name}:{block.line} promises\n{block.output}\nand prints\n{got}"


@pytest.mark.parametrize("name", GUIDES)
def test_every_python_block_runs_and_prints_what_it_promises(name: str, tmp_path: Path) -> None:
    check(name, (ROOT / name).read_text("utf-8"), tmp_path)


@pytest.mark.parametrize("name", GUIDES)
def test_every_command_shown_is_one_the_parser_knows(name: str) -> None:
    for words in commands((ROOT / name).read_text("utf-8")):
        assert is_known(words), f"{name} shows: aftertide {shlex.join(words)}"


def test_a_guide_that_promises_what_it_does_not_print_fails(tmp_path: Path) -> None:
    guide = "```python\nx = 1\n```\n\n```python\nprint(x)\n```\n\nIt prints:\n\n```text\n{}\n```\n"
    check("kept.md", guide.format("1"), tmp_path)
    with pytest.raises(AssertionError, match=r"broken\.md:5 promises\s+2\s"):
        check("broken.md", guide.format("2"), tmp_path)


def test_a_command_that_the_parser_does_not_know_is_found() -> None:
    guide = "```console\n$ aftertide --version | cat  # so\n1\n$ .venv/bin/aftertide ebb\n```\n"
    known, unknown = commands(guide)
    assert (known, unknown) == (["--version"], ["ebb"])
    assert is_known(known)
    assert not is_known(unknown)


def test_a_guide_whose_block_raises_fails_with_its_line(tmp_path: Path) -> None:
    guide = "One line\n\n```python\nx = 1\n```\n\n```python\n# new\nprint(x)\n```\n"
    with pytest.raises(AssertionError, match=r'"raises\.md", line 9(.|\n)*NameError'):
        check("raises.md", guide, tmp_path)
