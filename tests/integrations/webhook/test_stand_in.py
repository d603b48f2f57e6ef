"""The receiver of signed webhooks, by hand and by what Standard Webhooks signs."""

import time

import httpx
import pytest
from standardwebhooks import Webhook

from sandbox import Sandbox
from tests.integrations.webhook.sample import signed
from tests.sandbox.support import KEY, http, sandbox

__all__ = ["http", "sandbox"]


BODY = b'{"type":"footprintiq.alert.x","timestamp":"2026-11-22T10:00:00Z","data":{"title":"t"}}'


def test_the_receiver_takes_what_standardwebhooks_signs(sandbox: Sandbox, http: httpx.Client) -> None:
    import datetime as dt

    given, now = sandbox.credentials("webhook"), dt.datetime.now(dt.UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": KEY,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": "v1,AAAA " + Webhook(given["signing_secret"]).sign(KEY, now, BODY.decode()),
    }
    assert http.post(given["url"], content=BODY, headers=headers).status_code == 204
    assert sandbox.accepted("webhook")[0].key == KEY


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": ""},
        {"webhook-id": "other"},
        {"webhook-id": ""},
        {"webhook-timestamp": str(int(time.time()) - 1)},
        {"webhook-timestamp": "soon"},
    ],
)
def test_the_receiver_believes_nothing_but_the_signature(
    sandbox: Sandbox, http: httpx.Client, change: dict[str, str]
) -> None:
    headers = signed(sandbox, BODY) | change
    assert http.post(sandbox.credentials("webhook")["url"], content=BODY, headers=headers).status_code == 401
    assert sandbox.accepted() == []


@pytest.mark.parametrize("late_s", [-400, 400])
def test_the_receiver_refuses_a_replay_after_five_minutes(
    sandbox: Sandbox, http: httpx.Client, late_s: int
) -> None:
    headers = signed(sandbox, BODY, at=int(time.time()) + late_s)
    assert http.post(sandbox.credentials("webhook")["url"], content=BODY, headers=headers).status_code == 401
