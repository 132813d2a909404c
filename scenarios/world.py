"""A scenario's world: runtimes on the stores the command line chose, a clock, chance from a seed, a narrator.

A scenario says what it would like (replicas, lags); what the user asked for wins. Nothing here knows a plot.
"""

import itertools
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import anyio
from structlog.typing import FilteringBoundLogger

from aftertide import Decider, Lag, Limits, Replicas, Runtime, View

from .clock import ScaledClock
from .histories import Histories
from .lag_record import LagRecord
from .narrator import Advance, Narrator
from .registry import Option, Scenario, WrongUsage
from .report import Measured, Promise, Report

R = TypeVar("R")
T = TypeVar("T")

_PAGE_ROWS = 2_000
_MEMORY = ":memory:"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says about a run. None leaves the choice to the scenario."""

    seed: int = 1
    store: str | None = None
    """A database file (`bank.db`), a folder for it, or `:memory:`. None: a temporary folder, deleted after."""
    replicas: int | None = None
    lag: Lag | None = None
    time_scale: float = 1.0
    json: Path | None = None
    history: Path | None = None
    """Where the run's history is written. Several databases have a file each."""
    options: Mapping[str, object] = field(default_factory=dict)
    """The scenario's own, by their names; what is missing has its default."""
    logger: FilteringBoundLogger | None = None
    """A structlog logger for the runtimes; None is silent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run."""

    scenario: str
    held: bool
    measured: Mapping[str, Measured]
    seconds: float
    """Real seconds from the beginning to the end."""


class World:
    """What `async def main(world)` is given."""

    def __init__(
        self,
        scenario: Scenario,
        settings: Settings,
        narrator: Narrator,
        report: Report,
        place: "Place",
    ) -> None:
        self.seed = settings.seed
        self.chance = Random(settings.seed)
        """Chance from the seed: equal seeds give equal choices."""
        self.clock = ScaledClock(settings.time_scale)
        """Time in scenario seconds: the runtime's lags and ages, and this clock's `sleep`, run by it."""
        self.lag = settings.lag
        """The lag the user asked for with --lag, which all projections have; None where each has its own."""
        self._scenario = scenario
        self._settings = settings
        self._narrator = narrator
        self._report = report
        self._place = place
        self._histories = Histories(
            settings.history, {"scenario": scenario.name, "seed": self.seed}
        )

    # --- running ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def open(
        self,
        *,
        deciders: Sequence[Decider[Any, Any, Any]],
        projections: Sequence[View[Any, Any, Any] | Replicas] = (),
        name: str | None = None,
        limits: Limits | None = None,
        continues: bool = False,
    ) -> AsyncIterator[Runtime]:
        """A runtime on durable SQLite files, with the user's --store, --replicas, --lag, --seed and time.

        A scenario that opens several gives each a `name`. With `continues`, a database that is there
        already is opened as it was left; without, that raises WrongUsage: what a run counts should be its own.
        """
        database = self._place.database(name or self._scenario.name)
        if not continues and self._place.holds(database):
            raise WrongUsage(
                f"{database} holds an earlier run already, and {self._scenario.name} begins with an empty "
                "database. Name another --store, or delete that one and its .views folder."
            )
        async with Runtime.open(
            database,
            deciders=deciders,
            projections=[self._as_asked(each) for each in projections],
            limits=limits or Limits(),
            clock=self.clock,
            seed=self.seed,
            logger=self._settings.logger,
        ) as runtime:
            async with self._histories.of(database, runtime):
                yield runtime

    def _as_asked(self, projection: View[Any, Any, Any] | Replicas) -> Replicas:
        if isinstance(projection, View):
            projection = projection.replicas(1)
        count = self._settings.replicas or projection.count
        own = itertools.islice(itertools.cycle(projection.lags), count)
        lags = list(own) if self.lag is None else [self.lag] * count
        return projection.view.replicas(count, lag=lags)

    def option(self, option: Option[T]) -> T:
        """The value of an option of this scenario: the user's, or its default."""
        if option not in self._scenario.options:
            raise ValueError(
                f"{option.flag} is no option of {self._scenario.name}: list it in @scenario(options=…)."
            )
        value: T = self._settings.options.get(option.name, option.default)  # type: ignore[assignment]
        return value

    @property
    def histories_written(self) -> Sequence[Path]:
        """The files that the run's histories were written into."""
        return self._histories.written

    def elapsed(self) -> float:
        """Real seconds since the scenario began, at any --time-scale: what a rate is measured by."""
        return self.clock.real_seconds()

    # --- telling ---------------------------------------------------------------------------------

    def title(self, text: str) -> None:
        """Begin a part of the story."""
        self._narrator.title(text)

    def say(self, text: str = "") -> None:
        """Tell a paragraph; indented lines stay as they are."""
        self._narrator.say(text)

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Show a small table."""
        self._narrator.table(headers, rows)

    def progress(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """While a long work runs: `with world.progress("rows", 5000) as advance: advance(10)`."""
        return self._narrator.progress(label, total)

    def promise(self, text: str, held: bool) -> bool:
        """State what must be so, and whether it was. One that was not makes the exit code 1."""
        self._report.promises.append(Promise(text, held))
        self._narrator.promise(text, held)
        return held

    # --- measuring -------------------------------------------------------------------------------

    def measure(self, name: str, value: Measured) -> None:
        """Put a value in the JSON report. A name is used once; ValueError otherwise."""
        self._report.measure(name, value)

    def measure_rows(self, name: str, rows: Iterable[object], *, under: str | None = None) -> None:
        """Add rows to a list of the JSON report; it may be long, and be added to many times."""
        self._report.add_rows(name, rows, under=under)

    async def measure_view(self, runtime: Runtime, view: View[R, Any, Any]) -> None:
        """Put all rows of a view in the JSON report, under `views`. Nothing should be written meanwhile."""
        if self._report.keeps_rows:
            self.measure_rows(view.name, (), under="views")
            async for rows in self.pages(runtime, view):
                self.measure_rows(view.name, rows, under="views")

    async def pages(self, runtime: Runtime, view: View[R, Any, Any]) -> AsyncIterator[Sequence[R]]:
        """All rows of a view in key order, page by page: memory holds one page."""
        for offset in itertools.count(0, _PAGE_ROWS):
            rows = (await runtime.query(view, limit=_PAGE_ROWS, offset=offset)).rows
            if rows:
                yield rows
            if len(rows) < _PAGE_ROWS:
                return

    @asynccontextmanager
    async def watch_lag(
        self, runtime: Runtime, *, every_seconds: float = 0.02
    ) -> AsyncIterator[LagRecord]:
        """Sample how far each projection is behind while the block runs."""
        record = LagRecord(every_seconds)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(record.watch, runtime, self.clock, name="scenario:lag-record")
            yield record
            tasks.cancel_scope.cancel()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run's databases are."""

    path: str
    scenario: str

    def database(self, name: str) -> str:
        """The database of this name. A --store that is a file is the scenario's own, and others stand beside it."""
        path = Path(self.path)
        if self.path == _MEMORY:
            return _MEMORY
        if path.is_file() or (path.suffix and not path.is_dir()):
            main, folder = path, path.parent
            database = main if name == self.scenario else main.with_stem(f"{main.stem}-{name}")
        else:
            folder, database = path, path / f"{name}.db"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WrongUsage(
                f"--store {self.path}: can't make the folder {folder}: {error.strerror}."
            ) from None
        return str(database)

    def holds(self, database: str) -> bool:
        return database != _MEMORY and Path(database).exists()


@contextmanager
def _place(scenario: Scenario, store: str | None) -> Iterator[Place]:
    if store is not None:
        yield Place(store, scenario.name)
        return
    with tempfile.TemporaryDirectory(prefix="aftertide-") as folder:
        yield Place(folder, scenario.name)


async def play(scenario: Scenario, settings: Settings, narrator: Narrator) -> Outcome:
    """Run a scenario, tell it, and write its JSON report where one was asked for.

    Raises WrongUsage for settings that can't be met. What the scenario raises passes through; where its task
    groups wrapped a single error, that error itself.
    """
    for option, path in (("--json", settings.json), ("--history", settings.history)):
        if path is not None:
            _check_writable(option, path)
    report = Report(keeps_rows=settings.json is not None)
    try:
        with _place(scenario, settings.store) as place:
            world = World(scenario, settings, narrator, report, place)
            narrator.title(f"{scenario.name}: {scenario.headline}")
            try:
                await scenario(world)
            except BaseExceptionGroup as group:
                raise _only_one_of(group) from None
            seconds = world.elapsed()
        narrator.say("")
        narrator.say(f"  {_about(settings)}, {seconds:.1f} s. {_where(settings.store)}")
        if settings.json is not None:
            about: dict[str, Measured] = {
                "scenario": scenario.name,
                "seed": settings.seed,
                "time_scale": settings.time_scale,
                "seconds": seconds,
                "store": settings.store,
            }
            report.write(settings.json, about)
            narrator.say(f"  All that was measured: {settings.json}")
        for path in world.histories_written:
            narrator.say(f"  What was asked and answered: aftertide check {path}")
        return Outcome(scenario.name, report.held, report.measured, seconds)
    finally:
        report.close()


def _check_writable(option: str, path: Path) -> None:
    """Before the run, not after it."""
    target = path if path.exists() else path.parent
    if path.is_dir() or not target.exists() or not os.access(target, os.W_OK):
        why = (
            "is a folder"
            if path.is_dir()
            else "can't be written"
            if target.exists()
            else "has no folder"
        )
        raise WrongUsage(
            f"{option} {path}: it {why}. Name a file in a folder that is there and can be written."
        )


def _only_one_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions
    if len(inner) > 1:
        return group
    return _only_one_of(inner[0]) if isinstance(inner[0], BaseExceptionGroup) else inner[0]


def _about(settings: Settings) -> str:
    scale = "" if settings.time_scale == 1 else f", time × {settings.time_scale:g}"
    return f"Seed {settings.seed}{scale}"


def _where(store: str | None) -> str:
    if store is None:
        return "The databases were in a temporary folder and are deleted: --store PATH keeps them."
    return (
        "The databases were in memory." if store == _MEMORY else f"The databases are kept: {store}"
    )
