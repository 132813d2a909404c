"""Nothing speaks of the place where it was written: a reader elsewhere could not follow it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MADE = {"__pycache__", "build", "dist", "out"}
PRIVATE = {
    "an absolute path of one machine": re.compile(r"(?<![\w.])/(work|root)/"),
    "a number of a private tracker": re.compile(r"\bissue\s+#?\d", re.IGNORECASE),
    "a package index by its host": re.compile(r"\b(pypi|npmjs|debian)\.org\b"),
}


def texts(folder: Path) -> Iterator[Path]:
    """Every file of the project that is text; hidden names are caches, `.ci` is not."""
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".") and path.name != ".ci"
        if hidden or path.is_symlink() or path.name in MADE or path == Path(__file__):
            continue
        if path.is_dir():
            yield from texts(path)
        elif b"\0" not in path.read_bytes():
            yield path


@pytest.mark.parametrize("kind", PRIVATE)
def test_no_text_speaks_of_the_place_where_it_was_written(kind: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in texts(ROOT)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if PRIVATE[kind].search(line)
    ]
    assert not found, f"{kind}:\n" + "\n".join(found)
