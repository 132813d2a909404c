"""The fold of the log, made a second time: from bare table rows, without a line of Aftertide or of the market.

If this and the views agree, it is not because they share a mistake.
"""

from typing import Any, NamedTuple

Row = list[str | int]


class Event(NamedTuple):
    """A row of the SQL view `log`, its JSON read."""

    position: int
    stream: str
    version: int
    type: str
    command: str
    data: dict[str, Any]


class Reckoning:
    """What the read stores must hold after the events added so far, and every state on the way."""

    def __init__(self) -> None:
        self.position = 0
        self.balances: dict[str, Row] = {}
        self.tallies: dict[str, Row] = {}
        self.states: dict[tuple[str, int], int] = {}
        """(stream, version) -> amount"""
        self._amounts: dict[str, int] = {}

    def add(self, event: Event) -> None:
        self.position = event.position
        amount = event.data.get("amount", 0)
        category, _, id = event.stream.partition("-")
        signed = -amount if event.type in ("Withdrawn", "Closed") else amount
        after = self._amounts[event.stream] = self._amounts.get(event.stream, 0) + signed
        self.states[event.stream, event.version] = after
        if category == "account":
            changes = self.balances.get(id, ["", 0, 0])[2]
            if event.type == "Closed":
                self.balances.pop(id, None)
            else:
                self.balances[id] = [id, after, int(changes) + 1, event.data["ref"]]
        for name in (event.type, category, "all"):
            _, events, total, _ = self.tallies.get(name, [name, 0, 0, 0])
            self.tallies[name] = [name, int(events) + 1, int(total) + amount, event.position]

    def rows(self, view: str) -> dict[str, Row]:
        return self.balances if view == "balances" else self.tallies

    def state(self, stream: str, version: int) -> int | None:
        """The amount a stream stood at; None for a version that it never had."""
        return 0 if version == 0 else self.states.get((stream, version))

    def final_state(self, stream: str) -> int:
        return self._amounts.get(stream, 0)
