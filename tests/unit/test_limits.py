"""What strangers and broken clients can cost, decided on a clock of the test's own."""

import logging

import pytest

from federation.stream.limits import Doorkeeper, Exchange, Limits, SparingLog, one_line


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


LIMITS = Limits(waiting=4, waiting_of_address=2, joins=10.0, joins_of_address=2.0, burst=2)


def test_streams_that_wait_are_counted_by_address() -> None:
    """One address cannot hold all the places of those who have not joined yet."""
    door = Doorkeeper(LIMITS, Clock())
    assert [door.enter("a"), door.enter("a")] == ["", ""]
    assert door.enter("a") == "too many streams wait to join"
    assert door.enter("b") == ""
    door.leave("a")
    assert door.enter("a") == ""


def test_streams_that_wait_are_counted_in_all() -> None:
    """Many addresses together have a bound too."""
    door = Doorkeeper(LIMITS, Clock())
    assert [door.enter(address) for address in "abcd"] == [""] * 4
    assert door.enter("e") == "too many streams wait to join"


def test_joins_have_a_rate_for_each_address() -> None:
    """A burst is looked at, then so many a second; another address is not held up."""
    clock = Clock()
    door = Doorkeeper(LIMITS, clock)

    def tries(address: str, count: int) -> int:
        looked_at = 0
        for _ in range(count):
            if not door.enter(address):
                door.leave(address)
                looked_at += 1
        return looked_at

    assert tries("a", 100) == 4
    assert tries("b", 1) == 1
    clock.now += 1
    assert tries("a", 100) == 2


def test_joins_have_a_rate_in_all() -> None:
    """Countless addresses are not looked at more often than the rate allows, and fill no memory."""
    door = Doorkeeper(LIMITS, Clock())
    looked_at = 0
    for number in range(10_000):
        if not door.enter(str(number)):
            door.leave(str(number))
            looked_at += 1
    assert looked_at == 20
    assert len(door._addresses) == 20


def test_addresses_are_forgotten() -> None:
    """An address that has been quiet takes no memory, nor does one whose streams have ended."""
    clock = Clock()
    door = Doorkeeper(LIMITS, clock)
    for number in range(50):
        clock.now += 10
        door.enter(str(number))
        door.leave(str(number))
    assert len(door._addresses) <= LIMITS.waiting + 1
    assert not door._waiting


def test_a_client_may_send_what_it_is_asked_for() -> None:
    """Nothing unasked, one reply for each message, and in proportion to what was sent."""
    exchange = Exchange(Limits(reply_bytes=100, reply_growth=2.0))
    assert exchange.room == 0
    exchange.asked(50)
    assert exchange.room == 200
    exchange.answered()
    assert exchange.room == 0


def test_a_wide_model_may_have_large_replies() -> None:
    """A matrix of features by features fits, whatever the width."""
    for features in (1, 49, 5000):
        assert Limits.for_run(features, 3).reply_limit(0) > 2 * 8 * features**2


def test_many_clients_of_one_machine_may_connect_and_join() -> None:
    """Few have the limits that hold strangers off."""
    assert Limits.for_run(49, 3).connections == Limits().connections
    many = Limits.for_run(49, 1_000)
    assert min(many.connections, many.waiting_of_address) >= 1_000
    assert many.joins_of_address == many.joins == 200


def test_a_flood_of_warnings_becomes_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    """The first ones are written, the rest is counted and told."""
    clock = Clock()
    sparing = SparingLog(logging.getLogger("flood"), lines=3, seconds=10, clock=clock)
    for number in range(1000):
        sparing.warning("refused %s", number)
    clock.now += 11
    sparing.warning("refused %s", "another")
    assert [record.message for record in caplog.records] == [
        "refused 0",
        "refused 1",
        "refused 2",
        "kept back 997 more lines like these",
        "refused another",
    ]


@pytest.mark.parametrize("text", ["a\nWARNING root: all is well", "a\r\x1b[2Jb", "a\u2028b", "x" * 10_000])
def test_a_stranger_cannot_write_lines_of_its_own(text: str) -> None:
    """Whatever a name holds, it takes a part of one line."""
    shown = one_line(text)
    assert shown.isprintable()
    assert len(shown) <= 301
