"""Two actor libraries that are not asyncio: one actor, one client, one ask after the other.

The actor folds a deposit into its state and answers with it. Nothing is stored on any side of this
question.
"""

from ..accounts import AMOUNT, Account, Deposit
from ..figures import Figures
from ..meter import Meter

WARM_UP = 500
PATIENCE_SECONDS = 10.0


def thespian(count: int) -> Figures:
    """simpleSystemBase: synchronous, in the caller's thread."""
    from thespian.actors import Actor, ActorSystem  # type: ignore[import-untyped,unused-ignore]

    class Holder(Actor):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            self.account = Account()

        def receiveMessage(self, message: object, sender: object) -> None:
            if type(message) is Deposit:
                self.account = Account(self.account.balance + message.amount)
                self.send(sender, self.account)

    system = ActorSystem("simpleSystemBase")
    try:
        holder = system.createActor(Holder)
        deposit = Deposit(AMOUNT)
        for _ in range(WARM_UP):
            system.ask(holder, deposit, PATIENCE_SECONDS)
        meter = Meter()
        for _ in range(count):
            system.ask(holder, deposit, PATIENCE_SECONDS)
        meter.stop()
        return meter.figures(count)
    finally:
        system.shutdown()


def pykka(count: int) -> Figures:
    """ThreadingActor: a thread per actor."""
    from pykka import ThreadingActor

    class Holder(ThreadingActor):
        def __init__(self) -> None:
            super().__init__()
            self.account = Account()

        def on_receive(self, message: object) -> Account:
            if type(message) is Deposit:
                self.account = Account(self.account.balance + message.amount)
            return self.account

    holder = Holder.start()
    try:
        deposit = Deposit(AMOUNT)
        for _ in range(WARM_UP):
            holder.ask(deposit)
        meter = Meter()
        for _ in range(count):
            holder.ask(deposit)
        meter.stop()
        return meter.figures(count)
    finally:
        holder.stop()
