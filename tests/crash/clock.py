"""A clock that runs faster than the wall's, so that leases, back-off and look-ups fit into seconds.

Nothing of the flow is configured differently: a minute's lease is a minute of this clock. Only what the code
measures by the machine's own clocks, the deadline of a call and the age of a lease, is shortened alike.
"""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from core.delivery import send
from core.http.client import DEADLINE_S, VendorClient
from core.storage import db

FRESH_S = send.FRESH_S


@dataclass(frozen=True)
class Clock:
    """`speed` seconds pass in one second of the machine; `ahead_s` were jumped over."""

    began: float
    speed: float = 50.0
    ahead_s: float = 0.0

    def now(self, _session: Any = None) -> datetime:
        passed_s = (time.time() - self.began) * self.speed + self.ahead_s
        return datetime.fromtimestamp(self.began, UTC) + timedelta(seconds=passed_s)

    def real_s(self, seconds: float) -> float:
        return seconds / self.speed

    def jumped(self, seconds: float) -> Self:
        return replace(self, ahead_s=self.ahead_s + seconds)

    def install(self) -> None:
        """In this process, from now on."""
        db.now = self.now
        send.FRESH_S = self.real_s(FRESH_S)
        defaults = VendorClient.__init__.__kwdefaults__
        assert defaults is not None
        defaults["deadline_s"] = self.real_s(DEADLINE_S)
