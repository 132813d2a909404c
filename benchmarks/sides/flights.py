"""The scenario of real flights, as a user starts it: one command on one file."""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from ..figures import Figures

AFTERTIDE = "import sys; from aftertide.cli.main import main; sys.exit(main())"
"""What the console script does, without looking for where it was installed."""
SAMPLE_SECONDS = 0.02
EARLY, LATE = 0.50, 0.98
"""Shares of the replay's time between which memory is compared: caches are full by then, and the
scenario's own check of the views, which holds the whole file, has not begun."""

Samples = list[tuple[float, int]]
"""Seconds since the start, resident bytes."""


class Measured(msgspec.Struct):
    """What of the scenario's JSON is needed here."""

    commands_per_second: float
    replay_seconds: float
    seconds: float
    events: int
    rejected: int
    malformed: int


def replay(folder: str, csv: str | None) -> Figures:
    """Commands a second, and where the system tells it (Linux), the memory while it replays."""
    report = Path(folder, "flights.json")
    command = [sys.executable, "-c", AFTERTIDE, "run", "flights"]
    command += ["--store", str(Path(folder, "flights.db")), "--json", str(report)]
    if csv is not None:
        command += ["--csv", csv]
    samples, output, code = watched(command)
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with {code}:\n{output}")
    measured = msgspec.json.decode(report.read_bytes(), type=Measured)
    figures = {
        "commands_per_second": measured.commands_per_second,
        "events": float(measured.events),
        "rejected": float(measured.rejected),
        "malformed": float(measured.malformed),
    }
    return figures | memory_figures(samples, measured)


def watched(command: list[str]) -> tuple[Samples, str, int]:
    """Memory samples, output and exit code of a process."""
    samples: Samples = []
    page = os.sysconf("SC_PAGE_SIZE")
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        memory = Path(f"/proc/{process.pid}/statm")
        while process.poll() is None:
            try:
                resident = int(memory.read_text().split()[1]) * page
            except (OSError, IndexError):
                resident = 0  # not Linux, or over just now
            if resident:
                samples.append((time.perf_counter() - started, resident))
            time.sleep(SAMPLE_SECONDS)
        output, _ = process.communicate()
    samples.append((time.perf_counter() - started, 0))
    return samples, output, process.returncode


def memory_figures(samples: Samples, measured: Measured) -> Figures:
    """Most memory during the replay, and what each event added to it once caches were full.

    Nothing where no memory was seen.
    """
    ended, _ = samples.pop()
    if not samples:
        return {}
    began = max(ended - measured.seconds, 0.0)  # what comes before is the start of the interpreter

    def most_until(share: float) -> int:
        until = began + share * measured.replay_seconds
        return max((bytes for at, bytes in samples if at <= until), default=0)

    early, late = most_until(EARLY), most_until(LATE)
    return {
        "replay_memory_bytes": float(late),
        "bytes_per_event": (late - early) / (measured.events * (LATE - EARLY)),
    }
