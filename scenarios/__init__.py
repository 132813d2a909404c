"""Stories: one plot per file, and the docstring is the plot.

`scenario` and `World` are public: a script of one's own is written as those here are. A plot uses the front
door only (`from aftertide import …`), as a reader's own script would; the machinery beside the plots is
registry, world, clock, narrator, terminal, lag_record and report. The plots are imported when asked for.
"""

from .narrator import Advance, Narrator
from .registry import Option, Scenario, UnknownScenario, WrongUsage, scenario
from .world import Outcome, Settings, World, play

__all__ = [
    "Advance",
    "Narrator",
    "Option",
    "Outcome",
    "Scenario",
    "Settings",
    "UnknownScenario",
    "World",
    "WrongUsage",
    "play",
    "scenario",
]
