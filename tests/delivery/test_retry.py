"""The arithmetic of trying again."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.delivery.breaker import call_wait_s
from core.delivery.rate_limit import charge, room
from core.delivery.retry import DAY_S, WAITS_S, Policy, next_wait_s, planned
from core.http.errors import (
    DeliveryError,
    Gone,
    InDoubt,
    Misconfigured,
    NotTried,
    Rejected,
    Throttled,
    TooLarge,
    Unavailable,
)
from core.platform.errors import Invalid

chance = st.floats(0, 1, exclude_max=True)


def test_the_default_policy_tries_15_times_over_73_7_hours() -> None:
    policy = Policy()
    assert policy.attempts == len(policy.waits_s) == 15
    assert round(sum(policy.waits_s) / 3600, 1) == 73.7


def test_the_default_waits_in_the_middle_of_the_jitter() -> None:
    waits = [next_wait_s(Policy(), done, 0.5) for done in range(16)]
    assert waits[:4] == [0, 2.5, 15, 60]
    assert waits[4:15] == [float(wait) for wait in WAITS_S[4:]]
    assert waits[15] is None


@given(st.integers(0, 14), chance)
def test_jitter_is_full_up_to_two_minutes_and_a_fifth_above(done: int, random: float) -> None:
    wait_s, step_s = next_wait_s(Policy(), done, random), WAITS_S[done]
    assert wait_s is not None
    low, high = (0, step_s) if step_s <= 120 else (0.8 * step_s, 1.2 * step_s)
    assert low - 1e-6 <= wait_s <= high + 1e-6


policies = st.fixed_dictionaries(
    {},
    optional={
        "attempts": st.integers(1, 100),
        "first_wait": st.integers(1, 3600),
        "factor": st.floats(1, 10),
        "cap": st.integers(3600, DAY_S),
        "give_up_after": st.integers(1, 30 * DAY_S),
    },
)


@given(policies, chance)
def test_every_policy_ends_and_never_waits_beyond_its_cap(values: dict[str, Any], random: float) -> None:
    policy, done = Policy.of(values), 0
    while (wait_s := next_wait_s(policy, done, random)) is not None:
        assert 0 <= wait_s <= values.get("cap", 57_600) * 1.2 + 1e-6
        done += 1
        assert done <= policy.attempts
    assert done <= policy.attempts
    if "give_up_after" not in values:
        assert done == policy.attempts


@given(policies)
def test_planned_waits_end_before_giving_up(values: dict[str, Any]) -> None:
    policy = Policy.of(values | {"give_up_after": 7200})
    made = [
        w
        for n in range(policy.attempts)
        if next_wait_s(policy, n, 0.5) is not None
        for w in [policy.waits_s[n]]
    ]
    assert sum(made) <= 7200


def test_a_policy_of_ones_own() -> None:
    policy = Policy.of({"attempts": "6", "first_wait": "10s", "factor": "3", "cap": "5m"})
    assert policy == Policy(6, (0, 10, 30, 90, 270, 300))


def test_no_retry_settings_mean_the_default_policy() -> None:
    assert Policy.of({}) == Policy()


def test_fewer_attempts_alone_keep_the_default_waits() -> None:
    assert Policy.of({"attempts": 3}) == Policy(attempts=3)


def test_one_attempt_means_no_retry() -> None:
    assert next_wait_s(Policy.of({"attempts": 1}), 1, 0.5) is None


def test_give_up_after_a_day_stops_the_default_waits() -> None:
    policy = Policy.of({"give_up_after": "1d"})
    assert [next_wait_s(policy, done, 0.5) is None for done in (10, 11)] == [False, True]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"attemps": 3}, 'Did you mean "attempts"'),
        ({"attempts": 0}, "a whole number from 1 to 100"),
        ({"attempts": 2.5}, "a whole number"),
        ({"attempts": "many"}, "a whole number"),
        ({"attempts": True}, "a whole number"),
        ({"factor": 0.5}, "a number from 1 to 10"),
        ({"factor": "nan"}, "a number from 1 to 10"),
        ({"first_wait": "soon"}, "write it like 30s, 5m, 2h or 1d"),
        ({"first_wait": -5}, "write it like"),
        ({"cap": "8d"}, "from 1s to 7d"),
        ({"first_wait": "1h", "cap": "5m"}, "at least first_wait"),
        ({"give_up_after": "31d"}, "from 1s to 30d"),
        ({"give_up_after": "٣d"}, "write it like"),
    ],
)
def test_a_wrong_setting_is_named(values: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words) as raised:
        Policy.of(values)
    assert list(raised.value.fields) == [f"retry.{name}" for name in values][-1:]


@pytest.mark.parametrize(("failures", "seconds"), [(1, 5), (2, 30), (3, 60), (4, 120), (5, 300), (99, 300)])
@pytest.mark.parametrize("kind", [Unavailable, InDoubt])
def test_a_failing_vendor_is_called_less_and_less(
    kind: type[DeliveryError], failures: int, seconds: int
) -> None:
    assert call_wait_s(kind("down"), failures, 0.5) == (seconds, "backoff")


@given(st.integers(0, 1000), chance)
def test_a_failing_vendor_is_probed_at_least_every_five_minutes(failures: int, random: float) -> None:
    wait_s, _ = call_wait_s(Unavailable("down"), failures, random)
    assert 4 <= wait_s <= 300


def test_a_busy_vendor_s_own_time_is_kept() -> None:
    assert call_wait_s(Unavailable("busy", retry_after_s=600), 1, 0.5) == (600, "backoff")


@given(st.floats(0.001, 10 * DAY_S), st.integers(0, 50), chance)
def test_a_throttled_connection_never_comes_back_too_early(
    asked_s: float, failures: int, random: float
) -> None:
    wait_s, reason = call_wait_s(Throttled("slow", retry_after_s=asked_s), failures, random)
    assert min(asked_s, DAY_S) <= wait_s <= min(asked_s * 1.1 + 1e-6, DAY_S)
    assert reason == "throttled"


@pytest.mark.parametrize("asked_s", [None, 0, -1, math.nan, math.inf])
def test_a_429_without_a_usable_time_waits_a_minute(asked_s: float | None) -> None:
    assert call_wait_s(Throttled("slow", retry_after_s=asked_s), 0, 0.0) == (60, "throttled")


@pytest.mark.parametrize("kind", [Misconfigured, Gone])
def test_a_refused_credential_is_probed_every_quarter_of_an_hour(kind: type[DeliveryError]) -> None:
    assert call_wait_s(kind("no"), 1, 0.9) == (900, "misconfigured")


@pytest.mark.parametrize("kind", [Rejected, TooLarge, NotTried])
def test_a_record_s_own_fault_does_not_slow_the_connection(kind: type[DeliveryError]) -> None:
    assert call_wait_s(kind("no"), 3, 0.5) == (0, "none")


def test_a_burst_runs_ahead_then_the_rate_is_kept() -> None:
    now, until, sent = datetime(2026, 11, 22, tzinfo=UTC), None, []
    for second in range(120):
        moment = now + timedelta(seconds=second)
        while True:
            calls, wait = room(until, 60, moment)
            if calls == 0:
                assert wait is not None
                assert moment < wait <= moment + timedelta(seconds=10)
                break
            assert wait is None
            until = charge(until, 60, 1, moment)
            sent.append(second)
    assert sent[:10] == [0] * 10
    assert len(sent) == 10 + 119  # one a second, and the burst ahead of it


def test_a_slow_rate_lets_one_call_through() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert room(None, 2, now) == (1, None)
    until = charge(None, 2, 1, now)
    assert room(until, 2, now) == (0, now + timedelta(seconds=30))


def test_what_is_charged_at_once_is_one_by_one_and_given_back_where_it_was_not_used() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert room(None, 60, now) == (10, None)
    assert room(charge(None, 60, 4, now), 60, now) == (6, None)
    until = charge(None, 60, 10, now)
    assert room(until, 60, now) == (0, until)
    assert room(charge(until, 60, -9, now), 60, now) == (9, None)
    later = now + timedelta(seconds=3.5)
    assert room(until, 60, later) == (3, None)
    assert charge(until, 60, 1, now + timedelta(minutes=1)) == now + timedelta(seconds=61)


def test_without_a_limit_nothing_waits() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    assert room(None, None, now) == (None, None)
    assert charge(None, None, 3, now) is None


NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_the_attempts_that_are_left_are_known_beforehand() -> None:
    left = planned(Policy(), 3, NOON)
    assert len(left) == 12  # of fifteen
    assert [(moment - NOON).total_seconds() for moment in left[:4]] == [0, 600, 2400, 6000]
    assert planned(Policy(attempts=4), 3, NOON) == [NOON]
    assert len(planned(Policy.of({"give_up_after": "1h"}), 1, NOON)) == 5


@given(policies, st.integers(1, 20))
def test_as_many_are_listed_as_are_made(values: dict[str, Any], done: int) -> None:
    policy = Policy.of(values)
    if next_wait_s(policy, done, 0.5) is not None:
        listed = planned(policy, done, NOON)
        assert next_wait_s(policy, done + len(listed) - 1, 0.5) is not None
        assert next_wait_s(policy, done + len(listed), 0.5) is None
        assert listed == sorted(listed)
