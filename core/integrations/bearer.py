"""Access tokens: fetched with the connection's credentials, kept until shortly before they end, renewed once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from core.http.errors import DeliveryError, InDoubt, Misconfigured
from core.integrations.answers import SIGNING_IN, foreign, is_foreign, json_answer
from core.integrations.base import Tokens
from core.platform.secret import LONGEST_CHARS

#: given up so long before its end, that no call arrives with a token that ended on the way
EARLY_S = 300.0


@dataclass(frozen=True)
class TokenGrant:
    """A token's request. `url` is the connector's own choice, never one from a file that people upload."""

    url: str
    form: Mapping[str, str]


class Bearer:
    """Requests with a token. `explain` puts a refused sign-in into words."""

    def __init__(
        self,
        http: httpx.Client,
        tokens: Tokens,
        vendor: str,
        sign_in: Callable[[], TokenGrant],
        explain: Callable[[DeliveryError], DeliveryError],
    ) -> None:
        self._http, self._tokens, self._vendor = http, tokens, vendor
        self._sign_in, self._explain = sign_in, explain

    def post(
        self, url: str, content: bytes, headers: Mapping[str, str], extensions: dict[str, Any] | None = None
    ) -> httpx.Response:
        """A 401 is a token that ended early or was revoked: one new token, one more try."""
        token = self._tokens.get() or self.renew()
        try:
            return self._post(url, content, headers, extensions, token)
        except Misconfigured as fault:
            if fault.status != 401:
                raise
        self._tokens.drop(token)
        return self._post(url, content, headers, extensions, self.renew())

    def renew(self) -> str:
        """A new token, whatever is kept: proves the credentials. Raises what `explain` makes of a refusal."""
        asked = self._sign_in()
        try:
            answer = json_answer(
                self._http.post(asked.url, data=dict(asked.form), extensions=SIGNING_IN), self._vendor
            )
        except InDoubt as fault:
            raise self._no_token(fault.status) from None
        except DeliveryError as fault:
            if is_foreign(fault):
                raise foreign(fault, self._vendor) from None
            raise self._explain(fault) from None
        token, lasts_s = answer.get("access_token"), _seconds(answer.get("expires_in"))
        if not isinstance(token, str) or not _is_token(token):
            raise self._no_token(200)
        self._tokens.keep(token, max(lasts_s - EARLY_S, lasts_s / 2))
        return token

    def _post(
        self,
        url: str,
        content: bytes,
        headers: Mapping[str, str],
        extensions: dict[str, Any] | None,
        token: str,
    ) -> httpx.Response:
        signed = {"Authorization": f"Bearer {token}", **headers}
        return self._http.post(url, content=content, headers=signed, extensions=extensions)

    def _no_token(self, status: int | None) -> Misconfigured:
        return Misconfigured(
            f"The sign-in of {self._vendor} answered {status}, but with no token. Correct its address.",
            status=status,
        )


def _is_token(text: str) -> bool:
    return text.isascii() and text.isprintable() and 0 < len(text) <= LONGEST_CHARS


def _seconds(value: object) -> float:
    """Azure's older endpoints send the number as text."""
    text = str(value)
    return float(text) if text.isascii() and text.isdecimal() else 0.0
