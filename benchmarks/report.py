"""What is printed and written: tables, targets, JSON. Knows nothing of how it was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from .figures import Rounds, Samples, Target


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under headings. The first column is a name, the others are numbers."""

    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headings):
                raise ValueError(
                    f"a row of table {self.title!r} has {len(row)} cells under "
                    f"{len(self.headings)} headings: {row!r}"
                )


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question found out."""

    tables: Sequence[Table] = ()
    targets: Sequence[Target] = ()
    measured: Mapping[str, Rounds] = field(default_factory=dict)
    """By name of the place: `disk`, `fsync 1 ms`."""
    skipped: Sequence[str] = ()
    """What could not be measured here and why, one sentence each."""
    failed: str = ""
    """What a side wrote that did not end well; there is nothing else then."""


def render(table: Table) -> str:
    widths = [
        max(len(heading), *(len(row[column]) for row in table.rows), 0)
        for column, heading in enumerate(table.headings)
    ]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (table.headings, *table.rows)
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join([table.title, *lines, *table.notes])


def markdown(table: Table) -> str:
    """The same table for docs/performance.md."""
    lines = [
        f"**{table.title}**",
        "",
        _cells(table.headings),
        _cells(["---", *["---:"] * (len(table.headings) - 1)]),
        *(_cells(row) for row in table.rows),
    ]
    return "\n".join([*lines, "", *table.notes]).rstrip() + "\n"


def _cells(row: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def targets_table(targets: Sequence[Target]) -> Table:
    return Table(
        "Targets",
        ("promise", "measured", "min - max", "wanted", "reached"),
        [
            (
                target.promise,
                target.form.format(target.samples.median),
                " - ".join(map(target.form.format, (target.samples.low, target.samples.high))),
                target.wanted,
                ("yes" if target.reached else "NO") + ("" if target.sure else " ?"),
            )
            for target in targets
        ],
        ["?: not every round says so."] if not all(target.sure for target in targets) else [],
    )


def spread(samples: Samples, form: str = "{:,.0f}") -> str:
    """`12,345 (11,000 - 13,000)`; with one round just the number."""
    text = form.format(samples.median)
    if len(samples.values) == 1:
        return text
    return f"{text} ({form.format(samples.low)} - {form.format(samples.high)})"


def to_json(
    machine: Mapping[str, str], settings: Mapping[str, object], answers: Mapping[str, Answer]
) -> bytes:
    """Everything that was measured, per round, and every target with its verdict."""
    document = {
        "machine": machine,
        "settings": settings,
        "questions": {
            name: {
                "measured": {place: rounds.sides for place, rounds in answer.measured.items()},
                "targets": [
                    {
                        "promise": target.promise,
                        "rounds": target.samples.values,
                        "median": target.samples.median,
                        "min": target.samples.low,
                        "max": target.samples.high,
                        "least": target.least,
                        "most": target.most,
                        "aim": target.aim,
                        "reached": target.reached,
                        "sure": target.sure,
                    }
                    for target in answer.targets
                ],
                "skipped": answer.skipped,
                "failed": answer.failed,
            }
            for name, answer in answers.items()
        },
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
