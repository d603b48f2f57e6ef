"""The stand-in of Discord: what it takes and refuses."""

from typing import Any

import httpx
import pytest

from sandbox import Sandbox
from tests.integrations.discord.sample import embed
from tests.sandbox.support import http, sandbox

__all__ = ["http", "sandbox"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({}, 50006),
        ({"embeds": []}, 50006),
        ([], 50109),
        ({"content": "x" * 2001}, 50035),
        ({"embeds": [embed()] * 11}, 50035),
        ({"embeds": [embed(title="x" * 257)]}, 50035),
        ({"embeds": [embed(title=" ")]}, 50035),
        ({"embeds": [embed(description="x" * 4097)]}, 50035),
        ({"embeds": [embed(description="x" * 4096, footer={"text": "x" * 2000})]}, 50035),
        ({"embeds": [embed(fields=[{"name": "x", "value": ""}])]}, 50035),
        ({"embeds": [embed(fields=[{"name": "x", "value": "x" * 1025}])]}, 50035),
        ({"embeds": [embed(fields=[{"name": "x", "value": "x"}] * 26)]}, 50035),
        ({"embeds": [embed(url="javascript:alert(1)")]}, 50035),
        ({"embeds": [embed(color=16777216)]}, 50035),
    ],
)
def test_discord_refuses_what_breaks_a_limit(
    sandbox: Sandbox, http: httpx.Client, message: Any, code: int
) -> None:
    answer = http.post(sandbox.credentials("discord")["webhook_url"], json=message)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert sandbox.accepted() == []


def test_discord_knows_its_webhook_its_thread_and_who_would_be_pinged(
    sandbox: Sandbox, http: httpx.Client
) -> None:
    url = sandbox.credentials("discord")["webhook_url"]
    assert http.get(url).json()["name"] == "FootprintIQ"
    assert http.get(url + "x").json()["code"] == 50027
    assert http.get(url.replace("/1000", "/2000")).json()["code"] == 10015
    assert http.post(f"{url}?thread_id=5", json={"content": "x"}).json()["code"] == 10003
    assert http.post(url, json={"content": "@everyone <@123>"}).status_code == 204
    assert sandbox.accepted("discord")[0].mentions == 2
