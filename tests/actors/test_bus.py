"""The bus hands on what is committed, in bounded buffers; who falls behind reads on from the store."""

from aftertide.actors.bus import REMEMBERED_COMMITS, Bus, Subscription
from aftertide.domain.messages import CommittedBatch, Position, RecordedEvent, Version
from tests.bank import Deposited


def batch(first: int, last: int, at: float = 0.0) -> CommittedBatch:
    events = [
        RecordedEvent(Position(p), "account", "a", Version(p), Deposited(p), at, f"c{p}")
        for p in range(first, last + 1)
    ]
    return CommittedBatch(events, Position(first), Position(last), at)


class Subscriber:
    """Follows as a projection does, and stands for the store that it reads on from as well."""

    def __init__(self, bus: Bus, capacity: int) -> None:
        self.woken = 0
        self.subscription = bus.subscribe("s/1", capacity, self.wake)

    def wake(self) -> None:
        self.woken += 1


def attached(head: int = 0, capacity: int = 10) -> tuple[Bus, Subscription, Subscriber]:
    bus = Bus(Position(head), 0.0)
    subscriber = Subscriber(bus, capacity)
    assert subscriber.subscription.caught_up(Position(head))
    return bus, subscriber.subscription, subscriber


def test_each_subscriber_gets_each_batch_in_order_and_is_woken() -> None:
    bus, one, woken = attached()
    other = bus.subscribe("t/1", 10, lambda: None)
    assert other.caught_up(Position(0))
    batches = [batch(1, 2), batch(3, 3)]
    for each in batches:
        bus.publish(each)
    for subscription in (one, other):
        assert [subscription.take(), subscription.take(), subscription.take()] == [*batches, None]
    assert woken.woken == 2
    assert bus.head == 3


def test_a_new_subscriber_reads_on_from_the_store_until_it_has_caught_up() -> None:
    bus = Bus(Position(5), 0.0)
    subscription = bus.subscribe("s/1", 10, lambda: None)
    bus.publish(batch(6, 6))
    assert subscription.take() is None
    assert not subscription.caught_up(Position(5))
    assert subscription.caught_up(Position(6))
    bus.publish(batch(7, 7))
    assert subscription.take() == batch(7, 7)


def test_a_buffer_that_is_full_keeps_what_it_has_and_drops_the_subscriber_behind() -> None:
    bus, subscription, subscriber = attached(capacity=4)
    bus.publish(batch(1, 3))
    bus.publish(batch(4, 5))  # does not fit
    bus.publish(batch(6, 6))  # would fit, and would leave a gap
    assert subscription.behind
    assert subscription.overflows == 1
    assert subscription.buffered_events == 3
    assert subscriber.woken == 3
    assert subscription.take() == batch(1, 3)
    assert subscription.take() is None
    assert subscription.buffered_events == 0
    # It reads 4 to 6 from the store, and then the buffer is used again.
    assert not subscription.caught_up(Position(3))
    assert subscription.caught_up(Position(6))
    bus.publish(batch(7, 9))
    assert subscription.take() == batch(7, 9)


def test_no_buffer_grows_beyond_its_capacity() -> None:
    bus, subscription, _ = attached(capacity=100)
    for position in range(1, 1_001):
        bus.publish(batch(position, position))
        assert subscription.buffered_events <= 100
    assert subscription.overflows == 1


def test_what_is_buffered_is_taken_before_anybody_reads_the_store() -> None:
    bus, subscription, _ = attached()
    bus.publish(batch(1, 1))
    bus.observe(Position(3))  # another process
    assert not subscription.caught_up(Position(3))
    assert subscription.take() == batch(1, 1)
    assert not subscription.caught_up(Position(1))
    assert subscription.caught_up(Position(3))


def test_starting_again_forgets_the_buffer_and_reads_on_from_the_store() -> None:
    bus, subscription, _ = attached()
    bus.publish(batch(1, 4))
    subscription.restart()
    assert subscription.take() is None
    assert subscription.buffered_events == 0
    assert not subscription.caught_up(Position(0))
    assert subscription.caught_up(Position(4))


def test_other_processes_commits_wake_and_are_read_from_the_store() -> None:
    bus, subscription, subscriber = attached()
    bus.observe(Position(2))
    assert bus.head == 2
    assert subscriber.woken == 1
    assert subscription.behind
    bus.observe(Position(1))  # older news
    assert bus.head == 2
    assert subscriber.woken == 1


def test_a_batch_that_went_lost_on_its_way_is_noticed_when_somebody_asks_for_the_head() -> None:
    bus, subscription, subscriber = attached()
    bus.subscriptions.remove(subscription)
    bus.publish(batch(1, 1))
    bus.subscriptions.append(subscription)
    assert subscription.caught_up(Position(0))  # it knows no better
    bus.observe(Position(1))
    assert subscriber.woken == 1
    assert not subscription.caught_up(Position(0))


def test_commit_times_are_remembered_for_each_position() -> None:
    bus, _, _ = attached(head=10)
    bus.publish(batch(11, 13, at=100.0))
    bus.publish(batch(14, 14, at=200.0))
    bus.publish(batch(17, 18, at=300.0))  # 15 and 16 are another process's
    times = [bus.recorded_at(Position(position)) for position in range(10, 20)]
    assert times == [None, 100.0, 100.0, 100.0, 200.0, None, None, 300.0, 300.0, None]


def test_of_a_time_that_is_not_known_the_next_one_is() -> None:
    bus = Bus(Position(10), 50.0)
    assert bus.recorded_by(Position(3)) == 50.0  # it was there when the runtime opened
    assert bus.recorded_by(Position(11)) is None
    bus.publish(batch(13, 13, at=300.0))
    assert bus.recorded_by(Position(11)) == 300.0
    assert bus.recorded_by(Position(13)) == 300.0
    assert bus.recorded_by(Position(14)) is None


def test_remembered_commit_times_are_bounded() -> None:
    bus, subscription, _ = attached()
    subscription.restart()
    for position in range(1, 3 * REMEMBERED_COMMITS):
        bus.publish(batch(position, position, at=float(position)))
    assert len(bus._commits) <= 2 * REMEMBERED_COMMITS + 1
    last = 3 * REMEMBERED_COMMITS - 1
    oldest = last - REMEMBERED_COMMITS + 1
    assert bus.recorded_at(Position(oldest)) == float(oldest)
    assert bus.recorded_at(Position(1)) is None
    assert (bus.recorded_by(Position(1)) or 0.0) > 1.0
