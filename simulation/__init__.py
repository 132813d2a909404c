"""What breaks the runtime, repeatably: virtual time, scheduler, faults, history and its checkers.

All of it follows from one seed. It drives the runtime from above: no production code knows it.
"""

from . import rules
from .calls import note_calls
from .checker import PromiseBroken, Report, check
from .client import Client, Front
from .clock import SimulationClock
from .errors import (
    Diverged,
    LimitReached,
    Livelock,
    NodeCrashed,
    NodeDown,
    NoProgress,
    NotSimulated,
    SimulationError,
    Stuck,
    TapeMismatch,
    Uncontrolled,
    UnknownPython,
)
from .history import History, HistoryUnreadable
from .loop import LoopLimits, SimulationLoop
from .node import Node
from .probe import PROBE, ProbeRow, probe
from .recording import Recording, record
from .rules import Rule, Violation
from .schedule import Priorities
from .sqlite import Latency
from .tape import Address, Decision, Tape
from .trace import Difference, Trace
from .world import Simulation, loop_factory, versions

__all__ = [
    "PROBE",
    "Address",
    "Client",
    "Decision",
    "Difference",
    "Diverged",
    "Front",
    "History",
    "HistoryUnreadable",
    "Latency",
    "LimitReached",
    "Livelock",
    "LoopLimits",
    "NoProgress",
    "Node",
    "NodeCrashed",
    "NodeDown",
    "NotSimulated",
    "Priorities",
    "ProbeRow",
    "PromiseBroken",
    "Recording",
    "Report",
    "Rule",
    "Simulation",
    "SimulationClock",
    "SimulationError",
    "SimulationLoop",
    "Stuck",
    "Tape",
    "TapeMismatch",
    "Trace",
    "Uncontrolled",
    "UnknownPython",
    "Violation",
    "check",
    "loop_factory",
    "note_calls",
    "probe",
    "record",
    "rules",
    "versions",
]
