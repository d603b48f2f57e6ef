"""The options every connection has, whatever its vendor: parsed once, with a sentence for each mistake."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from core.integrations.limits import MessageLimit
from core.platform import durations
from core.platform.errors import Invalid, did_you_mean
from core.storage.models import Category
from core.storage.models.words import SEVERITIES

#: seed.md: 10 scans per SIEM sync, 5 cases per ticket sync, 5 alerts per notification batch
SEED_LIMIT = {Category.SIEM: 10, Category.TICKETING: 5, Category.COMMUNICATION: 5}
MAX_BATCH_LIMIT = 100_000
#: what goes out first. A SIEM reads events in their order; people and trackers read what is worst, and a tracker
#: sorts its tickets itself, so that what counts there is which of them exist
SEVERITY, OLDEST = "severity", "oldest"
ORDER = {Category.SIEM: OLDEST, Category.TICKETING: SEVERITY, Category.COMMUNICATION: SEVERITY}
MIN_EVERY_S, MAX_EVERY_S = 10, 7 * durations.DAY_S
#: public names of what is not built yet: known, and refused
PLANNED = (
    *("two_way", "cost_per_event", "cost_per_gb", "monthly_budget", "changes", "records", "when"),
    *("block", "mask", "hash", "objective", "format"),
)

#: each option in a sentence, for help texts and forms
WORDS = {
    "every": "How often to sync: 30s, 5m, 2h, 1d.",
    "batch_limit": "New records per sync, at most. The next sync goes on where this one stopped.",
    "order": "What goes first when more wait than one sync takes: severity or oldest (a SIEM's default).",
    "min_severity": "Only records of this severity and above: low, medium, high or critical.",
    "high_risk_threshold": "Only scans with at least this many high risks.",
    "start_from": "all, now, or a date: only records that became wanted from then on.",
    "drain": "Repeat within one sync until nothing is left.",
    "include_raw": "Send the record itself inside the event.",
    "scope": "mine: records of the connection's owner. all: everybody's (admins only).",
    "realtime": "Send as soon as a record arrives.",
    "notify_via": "Another connection that is told when this one fails.",
    "storm": "More messages than that become one digest: 20/5m is 20 in five minutes; off sends each by itself.",
    "retry": "When to try again: attempts, first_wait, factor, cap, give_up_after.",
    "mapping": "Other words for the vendor's fields, as templates.",
}


@dataclass(frozen=True)
class Options:
    every_s: int = 300
    batch_limit: int = 10  # new records per sync
    order: str = OLDEST  # severity: the most severe first, then by age | oldest
    min_severity: str | None = None
    high_risk_threshold: int = 5
    start_from: str = "all"  # all | now | an ISO date; compared with the time a record became wanted
    drain: bool = False  # repeat until nothing is left
    include_raw: bool = True
    scope: str = "mine"  # mine | all
    realtime: bool = False
    notify_via: str | None = None
    storm: str | None = None  # None: as the manifest says
    retry: Mapping[str, Any] = field(default_factory=dict)
    mapping: Mapping[str, Any] = field(default_factory=dict)

    @property
    def by_severity(self) -> bool:
        return self.order == SEVERITY


def parse_interval(value: Any) -> int:
    """`90`, `"30s"`, `"5m"`, `"2h"`, `"1d"` → seconds. Raises Invalid outside 10 s to 7 days."""
    seconds = durations.parse_whole(value)
    if seconds is None:
        raise _wrong("every", f'"{value}" is not an interval; write it like 30s, 5m, 2h or 1d.')
    if not MIN_EVERY_S <= seconds <= MAX_EVERY_S:
        raise _wrong("every", f'The interval "{value}" is out of range; choose one from 10s to 7d.')
    return seconds


def every_s(values: Mapping[str, Any]) -> int:
    """The interval alone, of options that were checked when they were saved."""
    return parse_interval(values.get("every") or "5m")


def parse(values: Mapping[str, Any], category: Category) -> Options:
    """Options from a form, a file or the command line. Raises Invalid that names the field."""
    known = {f.name for f in fields(Options)} - {"every_s"} | {"every"}
    for name in values:
        if name in PLANNED:
            raise _wrong(name, f'The option "{name}" is planned: the hub does not know it yet. Leave it out.')
        if name not in known:
            all_names = ", ".join(sorted(known))
            raise _wrong(
                name, f'There is no option "{name}".{did_you_mean(name, known)} Options are {all_names}.'
            )
    given = {k: v for k, v in values.items() if v is not None and v != ""}
    return Options(
        every_s=every_s(given),
        batch_limit=_number(
            "batch_limit", given.get("batch_limit", SEED_LIMIT[category]), 1, MAX_BATCH_LIMIT
        ),
        order=_choice("order", given.get("order"), (SEVERITY, OLDEST)) or ORDER[category],
        min_severity=_choice("min_severity", given.get("min_severity"), SEVERITIES),
        high_risk_threshold=_number("high_risk_threshold", given.get("high_risk_threshold", 5), 0, 1_000_000),
        start_from=_start(given.get("start_from", "all")),
        drain=_flag("drain", given.get("drain", False)),
        include_raw=_flag("include_raw", given.get("include_raw", True)),
        scope=_choice("scope", given.get("scope", "mine"), ("mine", "all")) or "mine",
        realtime=_flag("realtime", given.get("realtime", False)),
        notify_via=_name("notify_via", given.get("notify_via")),
        storm=_storm(given.get("storm"), category),
        retry=_table("retry", given.get("retry", {})),
        mapping=_table("mapping", given.get("mapping", {})),
    )


def dump(options: Options) -> dict[str, Any]:
    """Back to what `parse` takes, interval as `5m`."""
    values = asdict(options)
    values["every"] = durations.written(values.pop("every_s"))
    return values


def resolve_start(start_from: str, now: datetime) -> str:
    """`now` becomes a date when the option is saved: later syncs must mean the same moment."""
    return now.isoformat() if start_from == "now" else start_from


def _wrong(name: str, sentence: str) -> Invalid:
    return Invalid(sentence, {name: sentence})


def _number(name: str, value: Any, low: int, high: int) -> int:
    if not re.fullmatch(r"\s*-?\d{1,18}\s*", str(value), re.ASCII):
        raise _wrong(name, f'{name} "{value}" is not a whole number; choose one from {low} to {high:,}.')
    number = int(str(value))
    if not low <= number <= high:
        raise _wrong(name, f"{name} {number} is out of range; choose one from {low} to {high:,}.")
    return number


def _choice(name: str, value: Any, allowed: tuple[str, ...]) -> str | None:
    if value is None:
        return None
    if value not in allowed:
        raise _wrong(
            name, f'{name} "{value}" is not one of {", ".join(allowed)}.{did_you_mean(str(value), allowed)}'
        )
    return str(value)


def _flag(name: str, value: Any) -> bool:
    word = str(value).lower()
    if word not in ("true", "false", "yes", "no", "on", "off", "1", "0"):
        raise _wrong(name, f'{name} "{value}" is neither on nor off; write true or false.')
    return word in ("true", "yes", "on", "1")


def _start(value: Any) -> str:
    if value in ("all", "now"):
        return str(value)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        sentence = f'start_from "{value}" is not a date; write all, now or a date like 2026-11-22.'
        raise _wrong("start_from", sentence) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _name(name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _wrong(name, f"{name} must be the name or the id of another connection.")
    return value


def _storm(value: Any, category: Category) -> str | None:
    if value is None:
        return None
    if category is not Category.COMMUNICATION:
        raise _wrong("storm", "storm is for chat, paging, mail and webhooks only; leave it out.")
    try:
        MessageLimit.parse(str(value))
    except ValueError as error:
        raise _wrong("storm", f'storm "{value}" {error}') from None
    return str(value)


def _table(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(name, f"{name} must be a table of names and values.")
    return dict(value)
