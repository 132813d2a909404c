"""Who restarts what fails: with growing pauses, within a budget, and then loudly not any more."""

from collections import deque

from ..domain.errors import described
from ..domain.limits import Limits
from ..domain.ports import Clock
from .log import Log
from .projection import Projection

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 5.0


class Supervisor:
    """Runs projections. An error costs a restart; more restarts than the budget park the projection.

    The budget is `Limits.restarts` within `Limits.restart_window_seconds`. The pause before a restart
    doubles from 50 ms up to 5 s. A parked projection keeps its rows and its checkpoint, its waiters fail at
    once with the cause, and everything else goes on.
    """

    def __init__(self, clock: Clock, limits: Limits, log: Log) -> None:
        self._clock = clock
        self._limits = limits
        self._log = log

    async def run(self, projection: Projection) -> None:
        """Until the projection is closed. Raises nothing but cancellation."""
        failures: deque[float] = deque()
        log = self._log.bind(projection=projection.name)
        while projection.state != "closed":
            try:
                await projection.run()
            except Exception as error:  # noqa: BLE001 - this is where every failure of a projection ends
                now = self._clock.monotonic()
                failures.append(now)
                while failures[0] < now - self._limits.restart_window_seconds:
                    failures.popleft()
                if len(failures) > self._limits.restarts:
                    log.error(  # noqa: TRY400 - the cause is said; the trace is the operator's to ask for
                        "projection.stopped", position=projection.position, cause=described(error)
                    )
                    await projection.parked(error)
                    failures.clear()
                else:
                    await self._pause(projection, len(failures), error, log)

    async def _pause(
        self, projection: Projection, failure: int, error: Exception, log: Log
    ) -> None:
        seconds = min(FIRST_PAUSE_SECONDS * 2 ** (failure - 1), LONGEST_PAUSE_SECONDS)
        log.warning(
            "projection.restarting",
            position=projection.position,
            cause=described(error),
            pause_seconds=seconds,
        )
        if projection.state == "closed":
            return
        projection.state = "restarting"
        projection.restarts += 1
        until = self._clock.monotonic() + seconds
        while projection.state == "restarting" and (left := until - self._clock.monotonic()) > 0:
            await projection.woken(left)
        if projection.state == "restarting":
            projection.state = "running"
