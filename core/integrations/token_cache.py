"""Access tokens, in the memory of this process only: one per set of credentials, until it ends."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import orjson

#: stands in a preview, which signs in nowhere
SHOWN = "token-made-when-sending"


class TokenCache:
    """Every token of the process. A token is found by the hash of all that it was asked for with."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._kept: dict[str, tuple[str, float]] = {}  # identity → token, end

    def of(self, slug: str, values: Mapping[str, Any]) -> "CachedToken":
        """Where the token of these config values is kept, secrets included."""
        whole = orjson.dumps([slug, dict(values)], option=orjson.OPT_SORT_KEYS)
        return CachedToken(self, hashlib.sha256(whole).hexdigest())

    def get(self, identity: str) -> str | None:
        with self._lock:
            token, ends_at = self._kept.get(identity, ("", 0.0))
            return token if ends_at > self._clock() else None

    def keep(self, identity: str, token: str, lasts_s: float) -> None:
        with self._lock:
            now = self._clock()
            self._kept = {name: kept for name, kept in self._kept.items() if kept[1] > now}
            self._kept[identity] = (token, now + lasts_s)

    def drop(self, identity: str, token: str) -> None:
        """Forget `token`, but not the newer one that another thread may have fetched meanwhile."""
        with self._lock:
            if self._kept.get(identity, ("", 0.0))[0] == token:
                del self._kept[identity]


@dataclass(frozen=True, slots=True)
class CachedToken:
    """One connection's view of the cache: what its connector gets as `tools.tokens`."""

    cache: TokenCache
    identity: str

    def get(self) -> str | None:
        return self.cache.get(self.identity)

    def keep(self, token: str, lasts_s: float) -> None:
        self.cache.keep(self.identity, token, lasts_s)

    def drop(self, token: str) -> None:
        self.cache.drop(self.identity, token)


class NoTokens:
    """Always has a token, which is none: what is only shown needs no sign-in."""

    def get(self) -> str | None:
        return SHOWN

    def keep(self, token: str, lasts_s: float) -> None: ...

    def drop(self, token: str) -> None: ...
