"""Pure: fault, attempts → when next, or over.

Two clocks. A *delivery* that may be tried again waits by its `Policy`. A *connection* whose call failed waits
by `call_wait_s`, so that a vendor who is down gets one probe at a time instead of the whole queue.
`random` is a number from 0 to 1 that the caller draws.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from core.http.errors import DeliveryError, InDoubt, Misconfigured, Throttled, Unavailable
from core.platform import durations
from core.platform.durations import DAY_S
from core.platform.errors import Invalid, did_you_mean

#: 15 attempts over 73.7 h: a vendor who is down from Friday evening until Monday evening loses nothing
WAITS_S = (0, 5, 30, 120, 600, 1800, 3600, 7200, 14400, 21600, 28800, 36000, 43200, 50400, 57600)
#: up to here the wait is drawn from 0 to the step, above it ±20 %: long waits should stay recognisable
FULL_JITTER_S = 120
MAX_ATTEMPTS, MAX_WAIT_S, MAX_GIVE_UP_S = 100, 7 * DAY_S, 30 * DAY_S
MISCONFIGURED_S = 900  # a refused credential is probed every 15 minutes
BURST_S = 10  # of calls at the vendor's rate may come at once
THROTTLED_S = 60  # 429 without a usable Retry-After
#: by consecutive failures; the last one repeats
BACKOFF_S = (5, 30, 60, 120, 300)

Reason = Literal["throttled", "misconfigured", "backoff", "none"]
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
    return wait_s * random if wait_s <= FULL_JITTER_S else _spread(wait_s, random)


def _spread(wait_s: float, random: float) -> float:
    return wait_s * (0.8 + 0.4 * random)


def call_wait_s(fault: DeliveryError, failures: int, random: float) -> tuple[float, Reason]:
    """How long the whole connection waits after a failed call, and why. `failures` in a row, this one too.

    Unavailable and in doubt, without jitter: 5 s, 30 s, 60 s, 120 s, 300 s, 300 s …
    429 with `Retry-After: 20`: 20–22 s; without: 60–66 s; never less than asked, never over a day.
    A rejected or untried record is not the connection's affair: 0, "none".
    """
    if isinstance(fault, Throttled):
        # later by up to a tenth, so that connections to one vendor do not come back in the same instant
        return min((_asked_s(fault) or THROTTLED_S) * (1 + 0.1 * random), DAY_S), "throttled"
    if isinstance(fault, Misconfigured):
        return MISCONFIGURED_S, "misconfigured"
    if isinstance(fault, Unavailable | InDoubt):
        wait_s = min(_spread(_backoff_s(failures), random), BACKOFF_S[-1])
        return min(max(wait_s, _asked_s(fault)), DAY_S), "backoff"
    return 0, "none"


def take_call(
    rate_until: datetime | None, per_minute: int | None, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """One call out of the bucket: (the new `rate_until`, None), or (unchanged, when calls are possible again).

    The generic cell rate algorithm: `rate_until` is the moment at which all calls so far would have fitted the
    rate. A burst of ten seconds' worth may run ahead of it; then the connection waits until it has caught up,
    so a worker sends bursts and holds no thread in between. At 60 a minute: 10 calls at once, then 10 s later.
    """
    if per_minute is None:
        return rate_until, None
    step = timedelta(seconds=60 / per_minute)
    ahead = max(rate_until or now, now) + step
    if ahead - now > max(timedelta(seconds=BURST_S), step):
        return rate_until, rate_until
    return ahead, None


def charge(rate_until: datetime | None, per_minute: int | None, calls: int) -> datetime | None:
    """`rate_until` after `calls` more than the one that was taken: look-ups, and the halves of a refused batch."""
    if rate_until is None or per_minute is None or calls <= 0:
        return rate_until
    return rate_until + timedelta(seconds=60 / per_minute * calls)


def _backoff_s(failures: int) -> float:
    return BACKOFF_S[min(max(failures, 1), len(BACKOFF_S)) - 1]


def _asked_s(fault: DeliveryError) -> float:
    """What the vendor asked for; 0 when it asked for nothing or for nonsense."""
    asked_s = fault.retry_after_s
    return asked_s if asked_s is not None and math.isfinite(asked_s) and asked_s > 0 else 0


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
