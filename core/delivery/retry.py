"""When a delivery is tried again, and when it is given up: pure functions of its policy and its attempts.

How long its whole connection waits after a failed call is in `breaker`. `random` is a number from 0 to 1 that the
caller draws.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from core.platform import durations
from core.platform.durations import DAY_S
from core.platform.errors import Invalid, did_you_mean

#: 15 attempts over 73.7 h: a vendor who is down from Friday evening until Monday evening loses nothing
WAITS_S = (0, 5, 30, 120, 600, 1800, 3600, 7200, 14400, 21600, 28800, 36000, 43200, 50400, 57600)
#: up to here the wait is drawn from 0 to the step, above it ±20 %: long waits should stay recognisable
FULL_JITTER_S = 120
MAX_ATTEMPTS, MAX_WAIT_S, MAX_GIVE_UP_S = 100, 7 * DAY_S, 30 * DAY_S
_NAMES = ("attempts", "first_wait", "factor", "cap", "give_up_after")


@dataclass(frozen=True, slots=True)
class Policy:
    """`waits_s[n]` is the wait after n attempts, so the first is 0; `attempts` counts the first one too.

    The default, without jitter, after 0, 1, 2 … attempts:

        wait      0    5 s   30 s    2 m   10 m   30 m    1 h    2 h
        at        0    5 s   35 s   2:35  12:35  42:35  1.7 h  3.7 h
        wait    4 h    6 h    8 h   10 h   12 h   14 h   16 h   over
        at    7.7 h 13.7 h 21.7 h 31.7 h 43.7 h 57.7 h 73.7 h
    """

    attempts: int = len(WAITS_S)
    waits_s: tuple[float, ...] = WAITS_S
    give_up_after_s: float | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The `retry` option → Policy; {} is the default one. Raises Invalid that names the field.

        {"attempts": 6, "first_wait": "10s", "factor": 3, "cap": "5m"} waits 10 s, 30 s, 90 s, 270 s, 300 s.
        {"give_up_after": "1d"} alone keeps the default waits and stops before the one that would end later.
        """
        for name in values:
            if name not in _NAMES:
                hint = did_you_mean(name, _NAMES)
                raise _wrong(name, f"There is no such setting.{hint} Use {', '.join(_NAMES)}.")
        own_waits = not {"first_wait", "factor", "cap"}.isdisjoint(values)
        attempts = int(_number("attempts", values.get("attempts", len(WAITS_S)), 1, MAX_ATTEMPTS))
        waits_s = _waits(values, attempts) if own_waits or attempts > len(WAITS_S) else WAITS_S
        limit = values.get("give_up_after")
        return cls(
            attempts, waits_s, None if limit is None else _duration("give_up_after", limit, MAX_GIVE_UP_S)
        )


def next_wait_s(policy: Policy, attempts_done: int, random: float) -> float | None:
    """Seconds to wait before the next attempt; None when the attempts or the time are used up."""
    if attempts_done >= min(policy.attempts, len(policy.waits_s)):
        return None
    if policy.give_up_after_s is not None:
        planned_s = sum(policy.waits_s[: attempts_done + 1])
        if planned_s > policy.give_up_after_s:
            return None
    return _jittered(policy.waits_s[attempts_done], random)


def planned(policy: Policy, attempts_done: int, next_at: datetime) -> list[datetime]:
    """When the attempts that are left are made, without jitter, if each of them fails; the first at `next_at`."""
    moments = [next_at]
    for done in range(attempts_done + 1, len(policy.waits_s)):
        if next_wait_s(policy, done, 0.5) is None:
            break
        moments.append(moments[-1] + timedelta(seconds=policy.waits_s[done]))
    return moments


def _jittered(wait_s: float, random: float) -> float:
    return wait_s * random if wait_s <= FULL_JITTER_S else spread(wait_s, random)


def spread(wait_s: float, random: float) -> float:
    """`wait_s` ±20 %."""
    return wait_s * (0.8 + 0.4 * random)


def _waits(values: Mapping[str, Any], attempts: int) -> tuple[float, ...]:
    first_s = _duration("first_wait", values.get("first_wait", "5s"), MAX_WAIT_S)
    factor = _number("factor", values.get("factor", 2), 1, 10)
    cap_s = _duration("cap", values.get("cap", "16h"), MAX_WAIT_S)
    if first_s > cap_s:
        raise _wrong("cap", "is smaller than first_wait; choose a cap of at least first_wait.")
    return (0.0, *(min(first_s * factor**step, cap_s) for step in range(attempts - 1)))


def _duration(name: str, value: Any, high_s: float) -> float:
    seconds = durations.parse(value)
    if seconds is None:
        raise _wrong(name, f'"{value}" is not a length of time; write it like 30s, 5m, 2h or 1d.')
    if not 1 <= seconds <= high_s:
        raise _wrong(name, f'"{value}" is out of range; choose one from 1s to {high_s // DAY_S:.0f}d.')
    return seconds


def _number(name: str, value: Any, low: float, high: float) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    whole = name != "attempts" or number.is_integer()
    if not (low <= number <= high and whole):
        kind = "a whole number" if name == "attempts" else "a number"
        raise _wrong(name, f'"{value}" is not {kind} from {low} to {high}; correct it.')
    return number


def _wrong(name: str, sentence: str) -> Invalid:
    return Invalid(f"retry.{name}: {sentence}", {f"retry.{name}": sentence})
