"""What a simulation says when it cannot go on, each with the place and the next step.

AftertideError
└── SimulationError
    ├── Stuck                     the world cannot reach its end; lists who waits for what and where
    │   ├── NoProgress            nothing is ready and no timer is pending: a deadlock
    │   ├── Livelock              steps run for ever while time stands still
    │   └── LimitReached          more steps, or more virtual time, than this simulation may take
    ├── NodeDown                  the node is not running: nothing was started
    ├── NodeCrashed               the node crashed before it answered: the outcome is unknown
    ├── NotSimulated              a socket, process, signal or foreign thread: the simulation has none
    ├── TapeMismatch              a recorded decision does not fit the question it answers
    ├── Uncontrolled              time, chance or an id came from outside; lists the call sites
    ├── Diverged                  the same seed took another way; shows the first difference
    └── UnknownPython             this interpreter's event loop is not as we know it
"""

from collections.abc import Sequence

from ..domain.errors import AftertideError


class SimulationError(AftertideError):
    """The root of what only happens inside a simulation."""


class Stuck(SimulationError):
    """The world cannot reach its end. `waiting` says who waits for what and where, one line per task."""

    def __init__(self, what: str, next_step: str, waiting: Sequence[str]) -> None:
        self.waiting = tuple(waiting)
        lines = "".join(f"\n  {line}" for line in waiting) or "\n  (no task is left)"
        super().__init__(f"{what} {next_step}{lines}")


class NoProgress(Stuck):
    """Nothing is ready and no timer is pending: everybody waits for somebody."""


class Livelock(Stuck):
    """Steps run for ever while virtual time stands still."""


class LimitReached(Stuck):
    """The simulation took more steps, or more virtual time, than it may."""


class NodeDown(SimulationError):
    """The node is not running. Nothing was started there."""

    def __init__(self, node: str) -> None:
        super().__init__(
            f"node {node!r} is down: nothing was started. Call restart() first, or try later."
        )


class NodeCrashed(SimulationError):
    """The node crashed before it answered. Whether the call took effect is unknown."""

    def __init__(self, node: str, incarnation: int) -> None:
        super().__init__(
            f"node {node!r} crashed in its incarnation {incarnation} before it answered: the outcome is "
            "unknown. Look at what is durable after restart()."
        )


class NotSimulated(SimulationError):
    """The simulation has no such thing. Nothing was done."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"{what} inside a simulation: it has none. {instead}")


class TapeMismatch(SimulationError):
    """A recorded decision does not fit the question it should answer."""


class Uncontrolled(SimulationError):
    """Time, chance or an id came from outside the simulation: equal seeds may go different ways."""


class Diverged(SimulationError):
    """The same seed took another way."""


class UnknownPython(SimulationError):
    """This interpreter's event loop is not as we know it. No simulation was started."""
