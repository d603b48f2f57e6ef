"""Lengths of time: parsed as people write them, and said in one unit.

`every`, `retry` and `storm` share the grammar; each has its own range. What is older or comes later is said by
`duration`, what was measured or asked for by `precise`, and what can be parsed again by `written`.
"""

import re
from typing import Any

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
_WRITTEN = {"d": DAY_S, "h": HOUR_S, "m": MINUTE_S, "s": 1}
_SAID = (("d", DAY_S), ("h", HOUR_S), ("min", MINUTE_S), ("s", 1))
_LENGTH = re.compile(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*([smhd]?)\s*", re.ASCII)


def parse(text: Any) -> float | None:
    """`90`, `"30s"`, `"1.5m"`, `"2 h"`, `"1d"` → seconds; None for what is no length of time."""
    found = _LENGTH.fullmatch(str(text))
    return float(found[1]) * _WRITTEN[found[2] or "s"] if found else None


def parse_whole(text: Any) -> int | None:
    """The same without a fraction: `"90s"` and not `"1.5m"`."""
    seconds = parse(text)
    return None if seconds is None or "." in str(text) else int(seconds)


def written(seconds: int) -> str:
    """`5m`, `90s`, `1d`: exact, in the largest unit that fits."""
    unit, size = next(pair for pair in _WRITTEN.items() if seconds % pair[1] == 0)
    return f"{seconds // size}{unit}"


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h`, `5 d`: how people say it, rounded down."""
    whole = max(0, int(seconds))
    unit, size = next((pair for pair in _SAID if whole >= pair[1]), _SAID[-1])
    return f"{whole // size} {unit}"


def precise(seconds: float) -> str:
    """`0.8 s`, `42 s`, `3.5 min`, `2.1 h`."""
    for size, unit in ((HOUR_S, "h"), (MINUTE_S, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f}".removesuffix(".0") + " s"
