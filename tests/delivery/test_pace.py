"""How many messages a claim takes, and how many calls are made at once."""

import pytest

from core.delivery.pace import CLAIM_S, FIRST, MOST, OWN_MS, Pace


def test_the_first_claim_asks_what_a_call_takes() -> None:
    assert (Pace(10).lanes, Pace(10).messages) == (1, FIRST)


@pytest.mark.parametrize(
    ("call_ms", "lanes", "messages"),
    [(0.0, 1, MOST), (1.0, 1, MOST), (20.0, 4, MOST), (50.0, 10, MOST), (400.0, 10, 50), (5_000.0, 10, 4)],
)
def test_a_claim_has_what_two_seconds_hold(call_ms: float, lanes: int, messages: int) -> None:
    pace = Pace(10)
    pace.learn([call_ms] * 3)
    assert (pace.lanes, pace.messages) == (lanes, messages)
    assert messages == MOST or messages * call_ms <= CLAIM_S * 1000 * lanes


def test_no_vendor_is_called_more_often_at_once_than_its_manifest_says() -> None:
    pace = Pace(1)
    pace.learn([20_000.0])
    assert (pace.lanes, pace.messages) == (1, 1)


def test_it_follows_what_calls_take_lately() -> None:
    pace = Pace(10)
    for _ in range(20):
        pace.learn([OWN_MS * 30])
    assert pace.lanes == 10
    for _ in range(20):
        pace.learn([OWN_MS])
    assert pace.lanes == 1
    pace.learn([])
    assert pace.lanes == 1
