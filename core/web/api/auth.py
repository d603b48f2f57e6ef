"""Who asks, and how often: bearer tokens, and a rate limit per person."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from core import access
from core.access import Principal
from core.access.principal import require_member
from core.web import pools
from core.web.api.errors import TooManyRequests, Unauthorized
from core.web.proxies import subscriber_of

#: documents the scheme; the check itself is `admit`
BEARER = HTTPBearer(
    auto_error=False,
    description="An API token: `hub token create EMAIL` prints one, once.",
    scheme_name="token",
)


def token_of(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def admit(request: Request) -> Principal:
    """Who holds the request's token. Only the header counts: a cookie would let other sites ask for us."""
    token = token_of(request)
    who = await pools.AUTHENTICATION.run(subscriber_of(request), access.by_token, token) if token else None
    if who is None:
        raise Unauthorized(
            "Send a valid API token as `Authorization: Bearer TOKEN`. `hub token create EMAIL` makes one."
        )
    return who


def require_editor(who: Principal) -> None:
    require_member(who, "change anything")


async def _asker(request: Request) -> Principal:
    """Whom the route let in, before anything else."""
    who: Principal = request.state.who
    return who


async def _editor(request: Request) -> Principal:
    who = await _asker(request)
    require_editor(who)
    return who


Asker = Annotated[Principal, Depends(_asker)]
Editor = Annotated[Principal, Depends(_editor)]


class Rate:
    """At most `calls` in any `per_s` seconds for each person; in memory, a restart forgets it."""

    def __init__(
        self, calls: int, per_s: float, clock: Callable[[], float] = time.monotonic, size: int = 10_000
    ) -> None:
        self.calls, self.per_s, self.clock, self.size = calls, per_s, clock, size
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, person: str) -> None:
        """Raises TooManyRequests."""
        now = self.clock()
        with self._lock:
            seen = self._seen.pop(person, deque())
            self._seen[person] = seen
            while len(self._seen) > self.size:
                self._seen.popitem(last=False)
            while seen and seen[0] <= now - self.per_s:
                seen.popleft()
            if len(seen) < self.calls:
                seen.append(now)
                return
            wait_s = max(1, int(seen[0] + self.per_s - now) + 1)
        raise TooManyRequests(
            f"Over {self.calls} syncs in {self.per_s:g} s, with all your tokens. Wait {wait_s} s.", wait_s
        )
