"""The narrator of a terminal: the same story with colour and a moving bar. Needs rich, the extra `cli`.

rich itself leaves colour out where NO_COLOR is set.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from .narrator import Advance, Narrator


class TerminalNarrator(Narrator):
    """Writes through a rich console, so that lines told during a long work stand above its bar."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._console = Console(file=stream, highlight=False, soft_wrap=True)

    def title(self, text: str) -> None:
        self._console.print()
        self._console.print(Text(text, style="bold cyan"))
        self._console.print(Text("─" * len(text), style="cyan"))

    def promise(self, text: str, held: bool) -> None:
        mark = Text("✓", style="bold green") if held else Text("✗ BROKEN:", style="bold red")
        self._console.print(Text.assemble("  ", mark, " ", text))

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Advance]:
        """Tell how far a long work is: a bar that is gone when the work is done."""
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task(label, total=total)
            yield lambda steps: bar.advance(task, steps)

    def _write(self, line: str) -> None:
        self._console.print(Text(line))
