"""Lengths of time: one grammar for every option, and words that do not say more than is known."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.platform import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("7d", 604_800),
        (90, 90),
        (1.5, 1.5),
        (" 1.5 m ", 90),
        ("0", 0),
    ],
)
def test_a_length_is_parsed_with_its_unit_and_seconds_are_meant_without(text: Any, seconds: float) -> None:
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5 weeks", "m5", "-5m", "٥m", "1e3", "9" * 10, "5M", "1.m", "nan", None, True, [5], "5m 3s"]
)
def test_what_is_no_length_is_none(text: Any) -> None:
    assert durations.parse(text) is None
    assert durations.parse_whole(text) is None


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("2h", 7200), ("1.5m", None), (2.0, None)])
def test_a_whole_length_has_no_fraction(text: Any, seconds: int | None) -> None:
    assert durations.parse_whole(text) == seconds


@given(st.integers(0, 10**9 - 1))
def test_what_is_written_is_parsed_to_the_same(seconds: int) -> None:
    assert durations.parse_whole(durations.written(seconds)) == seconds


@pytest.mark.parametrize(("seconds", "text"), [(300, "5m"), (90, "90s"), (86_400, "1d"), (5400, "90m")])
def test_it_is_written_in_the_largest_unit_that_fits(seconds: int, text: str) -> None:
    assert durations.written(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_a_duration_is_said_in_one_unit_rounded_down(seconds: float, words: str) -> None:
    assert durations.duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.84, "0.8 s"), (7, "7 s"), (42.4, "42 s"), (90, "1.5 min"), (300, "5 min"), (86_400, "24 h")],
)
def test_a_measured_length_keeps_a_decimal(seconds: float, words: str) -> None:
    assert durations.precise(seconds) == words
