"""Who asks, and how often: bearer tokens, and a rate limit per token."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Annotated

from anyio import to_thread
from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from core import access
from core.access import Principal
from core.access.principal import digest, require_member
from core.web.api.errors import TooManyRequests, Unauthorized

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
    who = await to_thread.run_sync(access.by_token, token) if token else None
    if who is None:
        raise Unauthorized(
            "Send a valid API token as `Authorization: Bearer TOKEN`. `hub token create EMAIL` makes one."
        )
    return who


def _asker(request: Request) -> Principal:
    who: Principal = request.state.who
    return who


def _editor(request: Request) -> Principal:
    who = _asker(request)
    require_member(who, "change anything")
    return who


Asker = Annotated[Principal, Depends(_asker)]
Editor = Annotated[Principal, Depends(_editor)]


class Rate:
    """At most `calls` in any `per_s` seconds for each token; in memory, a restart forgets it."""

    def __init__(
        self, calls: int, per_s: float, clock: Callable[[], float] = time.monotonic, size: int = 10_000
    ) -> None:
        self.calls, self.per_s, self.clock, self.size = calls, per_s, clock, size
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, token: str) -> None:
        """Raises TooManyRequests."""
        name, now = digest(token), self.clock()
        with self._lock:
            seen = self._seen.pop(name, deque())
            self._seen[name] = seen
            while len(self._seen) > self.size:
                self._seen.popitem(last=False)
            while seen and seen[0] <= now - self.per_s:
                seen.popleft()
            if len(seen) < self.calls:
                seen.append(now)
                return
            wait_s = max(1, int(seen[0] + self.per_s - now) + 1)
        raise TooManyRequests(
            f"Over {self.calls} syncs in {self.per_s:g} s with this token. Wait {wait_s} s.", wait_s
        )
