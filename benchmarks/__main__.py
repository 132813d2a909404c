"""`python -m benchmarks`: asks the questions, prints tables and targets, writes JSON."""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from .catalogue import ALL
from .disks import compile_fixed_fsync, fixed_disks, real_disk, why_no_fixed_disks
from .laboratory import Laboratory, SideFailed
from .machine import busy, describe, line
from .report import Answer, markdown, render, targets_table, to_json

ROUNDS = 5
QUICK_ROUNDS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    options.folder = options.folder.resolve()  # children run in the checkout, wherever we are
    options.folder.mkdir(parents=True, exist_ok=True)
    warning = busy()
    machine = describe(options.folder)
    show(line(machine) + "\n")
    with tempfile.TemporaryDirectory(prefix="aftertide-bench-") as scratch:
        disks = [real_disk(options.folder)]
        if options.fixed and why_no_fixed_disks() is None:
            disks += fixed_disks(compile_fixed_fsync(Path(scratch)))
        lab = Laboratory(
            rounds=options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS),
            quick=options.quick,
            disks=disks,
            flights=options.flights,
            huge=options.huge,
            pythons=options.python,
            say=progress,
        )
        answers = ask(lab, options.only or [name for name in ALL if ALL[name].only_if(lab)])
    targets = [target for answer in answers.values() for target in answer.targets]
    show(render(targets_table(targets)))
    missed = sum(not target.reached for target in targets)
    show(f"\n{len(targets) - missed} of {len(targets)} targets reached.")
    if warning:
        show(warning)
    if lab.quick:
        show("--quick: a tenth of the work, to see that all runs. These figures judge nothing.")
    if options.markdown:
        tables = [targets_table(targets)]
        tables += [table for answer in answers.values() for table in answer.tables]
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text("\n".join([line(machine), "", *map(markdown, tables)]))
    if options.json:
        settings = {
            "rounds": lab.rounds,
            "quick": lab.quick,
            "disks": [disk.name for disk in disks],
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_bytes(to_json(machine, settings, answers))
        show(f"Everything that was measured is in {options.json}.")
    failed = any(answer.failed for answer in answers.values())
    return 1 if failed or (options.strict and missed) else 0


def ask(lab: Laboratory, names: Sequence[str]) -> Mapping[str, Answer]:
    answers: dict[str, Answer] = {}
    for name in names:
        progress(f"{name}: {ALL[name].about}")
        try:
            answer = ALL[name].ask(lab)
        except SideFailed as failure:
            # The other questions are worth their minutes all the same.
            answer = Answer(failed=str(failure))
            show(f"{name} FAILED: {failure}\n")
        answers[name] = answer
        for table in answer.tables:
            show(render(table) + "\n")
        for sentence in answer.skipped:
            show(f"{name}: {sentence}\n")
    return answers


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="What Aftertide costs, against the limit and against others. Sides alternate "
        "in one run; figures are medians of the rounds, with min - max.",
        epilog="Questions: "
        + "; ".join(f"{name} ({one.about})" for name, one in ALL.items())
        + ".",
    )
    found.add_argument(
        "--only", action="append", choices=list(ALL), help="ask this question; repeatable"
    )
    found.add_argument(
        "--rounds", type=positive, help=f"rounds of each question (default {ROUNDS})"
    )
    found.add_argument(
        "--quick", action="store_true", help="a tenth of the work, two rounds: does it all run?"
    )
    found.add_argument(
        "--json", type=Path, metavar="FILE", help="write everything that was measured"
    )
    found.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables, too")
    found.add_argument(
        "--folder", type=Path, default=Path("out"), help="where files lie on the real disk"
    )
    found.add_argument(
        "--flights",
        type=existing,
        metavar="FILE",
        help="a larger record of flights (.csv, .csv.gz)",
    )
    found.add_argument(
        "--python", action="append", default=[], metavar="PATH", help="compare this interpreter"
    )
    found.add_argument(
        "--huge", action="store_true", help="also W on a log of 10,000,000 events (2 GB)"
    )
    found.add_argument("--no-fixed", dest="fixed", action="store_false", help="the real disk only")
    found.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    return found


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1")
    return int(text)


def existing(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{text}: there is no such file")
    return path


def show(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")  # the line of `progress`
        sys.stderr.flush()
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def progress(text: str) -> None:
    """On a terminal one line that changes; elsewhere plain lines."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
    else:
        sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
