"""Pure: how many messages or tickets are too many, and how many may still go out now.

More than `messages` within `window_s` become one digest. What was sent lately is a list of epoch seconds in
the connection's row, so that every process counts the same and the count survives a crash.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from core.platform import durations

#: tickets created at once without asking a person
HOLD_ABOVE = 50
HELD = f"Held: more than {HOLD_ABOVE} tickets would be created at once. Release them, or discard them."
MAX_MESSAGES, MIN_WINDOW_S, MAX_WINDOW_S = 1000, durations.MINUTE_S, durations.DAY_S
OFF = "off"


@dataclass(frozen=True)
class MessageLimit:
    """More than `messages` in `window_s` seconds."""

    messages: int
    window_s: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """`20/5m` → 20 messages in five minutes; `off` → None. Raises ValueError with the rest of a sentence."""
        word = text.strip().lower()
        if word == OFF:
            return None
        found = re.fullmatch(r"(\d{1,6})\s*/(.*)", word, re.ASCII)
        window_s = durations.parse_whole(found[2]) if found else None
        if not found or window_s is None:
            raise ValueError("is not a limit; write it like 20/5m, or off.")
        limit = cls(int(found[1]), window_s)
        if not 1 <= limit.messages <= MAX_MESSAGES or not MIN_WINDOW_S <= limit.window_s <= MAX_WINDOW_S:
            raise ValueError(f"is out of range; choose 1 to {MAX_MESSAGES} messages in 1m to 24h, or off.")
        return limit

    def recent(self, sent: Sequence[float], now: float) -> list[float]:
        """Those of `sent` (epoch s) that are still in the window."""
        return [at for at in sent if at > now - self.window_s]

    def room(self, sent: Sequence[float], now: float) -> int:
        """How many messages may go out now by themselves."""
        return max(0, self.messages - len(self.recent(sent, now)))

    @property
    def words(self) -> str:
        return f"{self.messages} messages in {durations.precise(self.window_s)}"
