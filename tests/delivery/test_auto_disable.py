"""How long a connection may fail: the arithmetic of the clock."""

from datetime import UTC, datetime, timedelta

import pytest

from core.delivery import auto_disable

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def ago(**by: float) -> datetime:
    return NOW - timedelta(**by)


@pytest.mark.parametrize(
    ("days", "told", "day"),
    [(0.9, 0, None), (1, 0, 1), (2.9, 1, None), (3, 1, 3), (4, 0, 3), (5, 3, 5), (6, 5, None), (30, 0, 5)],
)
def test_each_of_three_days_is_told_once_and_the_last_one_that_passed(days, told, day) -> None:
    assert auto_disable.day_to_tell(ago(days=days), told, NOW) == day


def test_it_is_over_after_five_days_of_which_it_was_called_in_the_last_two() -> None:
    assert auto_disable.is_over(ago(days=5), ago(minutes=5), NOW)
    assert not auto_disable.is_over(ago(days=4.99), ago(minutes=5), NOW)
    assert not auto_disable.is_over(ago(days=9), ago(days=2.01), NOW)  # nothing was sent: who knows
    assert not auto_disable.is_over(ago(days=9), None, NOW)


def test_a_failure_after_a_quiet_time_starts_the_clock_anew() -> None:
    assert auto_disable.started(None, None, NOW) == NOW
    assert auto_disable.started(ago(days=1), ago(hours=3), NOW) == ago(days=1)
    assert auto_disable.started(ago(days=30), ago(days=29), NOW) == NOW


def test_the_longest_wait_between_two_attempts_is_not_taken_for_quiet() -> None:
    from core.delivery.retry import WAITS_S

    assert timedelta(seconds=max(WAITS_S) * 1.2) < auto_disable.QUIET
