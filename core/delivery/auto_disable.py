"""Decide when a failing connection is switched off, and on which days its owner is notified. Pure.

The clock starts with the first failed call after the last success. A success ends it, and so does a person
who acts: pauses, edits, tests well. 429 never starts it.
"""

from datetime import datetime, timedelta

#: days of failing after which the owner is told; on the last one the connection is switched off
NOTICE_DAYS = (1, 3, 5)
DISABLE_AFTER = timedelta(days=NOTICE_DAYS[-1])
#: a connection that was not called for so long may be well again, nobody knows. The longest wait between two
#: attempts of the default policy is 16 h and a fifth
QUIET = timedelta(days=2)


def disable_at(failing_since: datetime) -> datetime:
    return failing_since + DISABLE_AFTER


def started(failing_since: datetime | None, last_failure_at: datetime | None, now: datetime) -> datetime:
    """Return when a failing connection began to fail: `now` for its first failure, or after a quiet time."""
    if failing_since is None or not is_known(last_failure_at, now):
        return now
    return failing_since


def is_known(last_failure_at: datetime | None, now: datetime) -> bool:
    """Whether it was called lately, so that it can be said to fail still."""
    return last_failure_at is not None and now - last_failure_at <= QUIET


def is_over(failing_since: datetime, last_failure_at: datetime | None, now: datetime) -> bool:
    return is_known(last_failure_at, now) and now >= disable_at(failing_since)


def day_to_tell(failing_since: datetime, told_day: int, now: datetime) -> int | None:
    """Find the notice that is due: the last of NOTICE_DAYS that has passed and was not sent yet.

    When no notice could be sent on day 1 and day 3 has come, only that of day 3 is sent.
    """
    passed = [day for day in NOTICE_DAYS if now - failing_since >= timedelta(days=day)]
    return passed[-1] if passed and passed[-1] > told_day else None


def next_day(told_day: int) -> int | None:
    return next((day for day in NOTICE_DAYS if day > told_day), None)
