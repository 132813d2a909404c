"""The scenario of real flights, as a user starts it: one command on one file."""

import resource
import subprocess
import sys
from pathlib import Path

import msgspec

from ..figures import Figures


class Measured(msgspec.Struct):
    """What of the scenario's JSON is needed here."""

    commands_per_second: float
    events: int
    rejected: int
    malformed: int


def replay(folder: str, csv: str | None) -> Figures:
    """Commands a second and the largest resident memory of the process that replays the record."""
    report = Path(folder, "flights.json")
    command = [sys.executable, "-m", "aftertide.cli.main", "run", "flights"]
    command += ["--store", str(Path(folder, "flights.db")), "--json", str(report)]
    if csv is not None:
        command += ["--csv", csv]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    measured = msgspec.json.decode(report.read_bytes(), type=Measured)
    # Linux counts it in kilobytes, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1_024
    return {
        "commands_per_second": measured.commands_per_second,
        "events": float(measured.events),
        "rejected": float(measured.rejected),
        "malformed": float(measured.malformed),
        "largest_memory_bytes": float(
            resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
        ),
    }
