"""Access tokens: kept apart by credential, given up in time, renewed once, and never written down."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from core.http import Egress, Rules, VendorClient
from core.http.errors import DeliveryError, InDoubt, Misconfigured, Unavailable
from core.integrations.bearer import Bearer, TokenGrant
from core.integrations.token_cache import NoTokens, TokenCache
from tests.support.fault_server import json_answer, serving


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_token_is_found_until_it_ends() -> None:
    clock = Clock()
    token = TokenCache(clock).of("google_secops", {"key": "a"})
    assert token.get() is None
    token.keep("t1", 60)
    clock.now_s += 59.9
    assert token.get() == "t1"
    clock.now_s += 0.1
    assert token.get() is None


def test_other_credentials_and_other_vendors_have_other_tokens() -> None:
    cache = TokenCache()
    cache.of("google_secops", {"key": "a", "project": "p"}).keep("t1", 60)
    assert cache.of("google_secops", {"project": "p", "key": "a"}).get() == "t1"
    assert cache.of("google_secops", {"key": "b", "project": "p"}).get() is None
    assert cache.of("microsoft_sentinel", {"key": "a", "project": "p"}).get() is None


def test_dropping_an_old_token_leaves_the_newer_one() -> None:
    token = TokenCache().of("google_secops", {})
    token.keep("t1", 60)
    token.keep("t2", 60)
    token.drop("t1")
    assert token.get() == "t2"
    token.drop("t2")
    assert token.get() is None


def test_ended_tokens_do_not_pile_up() -> None:
    clock = Clock()
    cache = TokenCache(clock)
    for number in range(100):
        cache.of("google_secops", {"key": str(number)}).keep("t", 10)
        clock.now_s += 5
    assert len(cache._kept) <= 3


def test_a_cached_token_shows_neither_token_nor_credential() -> None:
    token = TokenCache().of("google_secops", {"key": "CANARY"})
    token.keep("CANARY-token", 60)
    assert "CANARY" not in repr(token)


# --- sign-in ----------------------------------------------------------------------------------------


@dataclass
class Kept:
    """What a Bearer keeps, and for how long."""

    token: str | None = None
    lasts_s: list[float] = field(default_factory=list)

    def get(self) -> str | None:
        return self.token

    def keep(self, token: str, lasts_s: float) -> None:
        self.token = token
        self.lasts_s.append(lasts_s)

    def drop(self, token: str) -> None:
        self.token = None


def answered(*answers: bytes, tokens: Any, secrets: tuple[str, ...] = ()) -> tuple[Any, list[dict[str, Any]]]:
    """A Bearer's call against these answers: what came of it, and what is recorded of the exchanges."""
    left = list(answers)
    with serving(lambda peer: peer.send(left.pop(0))) as server:
        rules = Rules(egress=Egress.parse("127.0.0.1"))
        with VendorClient(vendor="V", rules=rules, secrets=secrets) as client:
            sign_in = TokenGrant(f"{server.url}/token", {"client_secret": "CANARY-secret"})
            bearer = Bearer(client, tokens, "V", lambda: sign_in, lambda fault: fault)
            try:
                outcome: Any = bearer.post(f"{server.url}/api", b"[]", {}).status_code
            except DeliveryError as fault:
                outcome = fault
        return outcome, [asdict(exchange) for exchange in client.exchanges]


def answer(status: int, body: Any) -> bytes:
    return json_answer(status, json.dumps(body), "Connection: close")


def token_of(lasts: object) -> bytes:
    return answer(200, {"access_token": "CANARY-token", "expires_in": lasts})


OK = answer(200, {})
REFUSED = answer(401, {"error": "expired"})


@pytest.mark.parametrize(("lasts", "kept_s"), [(3600, 3300), ("3599", 3299), (300, 150), (60, 30), (None, 0)])
def test_a_token_is_given_up_before_it_ends(lasts: object, kept_s: float) -> None:
    tokens = Kept()
    assert answered(token_of(lasts), OK, tokens=tokens)[0] == 200
    assert tokens.lasts_s == [kept_s]


def test_a_kept_token_needs_no_sign_in_and_a_401_renews_it_once() -> None:
    assert len(answered(OK, tokens=Kept("old"))[1]) == 1
    outcome, exchanges = answered(REFUSED, token_of(60), OK, tokens=Kept("old"))
    assert (outcome, len(exchanges)) == (200, 3)
    outcome, exchanges = answered(REFUSED, token_of(60), REFUSED, tokens=Kept("old"))
    assert isinstance(outcome, Misconfigured)
    assert (outcome.status, len(exchanges)) == (401, 3)


def test_neither_secret_nor_token_is_recorded() -> None:
    outcome, exchanges = answered(token_of(60), OK, tokens=Kept())
    assert outcome == 200
    assert "CANARY" not in repr(exchanges)
    outcome, exchanges = answered(
        answer(401, {"error": "invalid_client", "seen": "CANARY-secret"}),
        tokens=Kept(),
        secrets=("CANARY-secret",),
    )
    assert "invalid_client" in exchanges[0]["answer"]
    assert "CANARY" not in repr(exchanges) + repr(outcome.body)


def test_half_a_token_is_not_kept_with_the_fault() -> None:
    cut = b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"access_token":"CANARY-tok'
    outcome, exchanges = answered(cut, tokens=Kept())
    assert isinstance(outcome, Unavailable)
    assert "CANARY" not in repr(exchanges) + outcome.body


@pytest.mark.parametrize(
    "body",
    [{"token_type": "Bearer"}, {"access_token": ""}, {"access_token": "a\r\nb"}, {"access_token": "é"}, []],
)
def test_an_answer_without_a_usable_token_is_the_address_fault(body: Any) -> None:
    outcome, _ = answered(answer(200, body), tokens=Kept())
    assert isinstance(outcome, Misconfigured)
    assert not isinstance(outcome, InDoubt)


def test_a_preview_signs_in_nowhere() -> None:
    assert len(answered(OK, tokens=NoTokens())[1]) == 1
