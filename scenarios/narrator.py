"""Who tells the story: plain lines here, with colour and a moving bar in terminal.py.

What is told is the same everywhere, so that a log of a run reads like its terminal.
"""

import os
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

Advance = Callable[[int], None]
"""Says that so many more steps are done."""

WIDTH = 100


class Narrator:
    """Plain lines to `stream`, fit for a file or a pipe."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def title(self, text: str) -> None:
        self._write(f"\n{text}\n{'─' * len(text)}")

    def say(self, text: str) -> None:
        """A paragraph; lines that are indented stay as they are."""
        for line in text.splitlines() or [""]:
            self._write(line if line.startswith(" ") else textwrap.fill(line, WIDTH))

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Columns under their headers, with air around; numbers stand to the right."""
        for line in ["", *table_lines(headers, rows), ""]:
            self._write(line)

    def promise(self, text: str, held: bool) -> None:
        self._write(f"  {'✓' if held else '✗ BROKEN:'} {text}")

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Advance]:
        """Tell how far a long work is: a line for each tenth."""
        done = told = 0

        def advance(steps: int) -> None:
            nonlocal done, told
            done += steps
            tenth = done * 10 // total if total else 10
            if tenth > told:
                told = tenth
                self._write(f"  {label}: {tenth * 10} % ({done:,} of {total:,})")

        yield advance

    def _write(self, line: str) -> None:
        # Flushed, so that a pipe shows a line when it is told, not when the run ends.
        print(line, file=self.stream, flush=True)


def narrator_for(stream: TextIO) -> Narrator:
    """The terminal's narrator where there is a terminal and rich is installed, the plain one elsewhere."""
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        try:
            from .terminal import TerminalNarrator
        except ImportError:  # the extra `cli` is not installed: plain lines say the same
            return Narrator(stream)
        return TerminalNarrator(stream)
    return Narrator(stream)


def table_lines(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table as lines of text, indented by two."""
    cells = [[format_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    right = [
        bool(rows) and all(isinstance(row[i], (int, float)) or row[i] is None for row in rows)
        for i in range(len(headers))
    ]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if numeric else cell.ljust(width)
            for cell, width, numeric in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in [list(headers), *cells]
    ]


def format_cell(value: object) -> str:
    """Whole numbers with separators, other numbers with three significant places after the point at most."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.3f}"
        case _:
            return str(value)
