"""The stand-ins of messengers: what each takes and refuses, by hand and by the vendors' own clients."""

import smtplib
import time
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

import httpx
import pagerduty
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient
from standardwebhooks import Webhook

from sandbox import Sandbox
from sandbox.vendors.email.stand_in import PASSWORD, RECIPIENT, UNKNOWN, USERNAME
from sandbox.vendors.slack import web_api
from tests.vendor_messages import KEY, SEND, alert, card, embed, event, posted, signed


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(smtp_port=0) as running:
        yield running


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10, trust_env=False, verify=False) as client:
        yield client


@pytest.mark.parametrize("vendor", SEND)
def test_a_message_is_kept_with_its_key_title_and_severity(
    sandbox: Sandbox, http: httpx.Client, vendor: str
) -> None:
    assert SEND[vendor](sandbox, http).is_success
    (kept,) = sandbox.accepted(vendor)
    assert (kept.key, kept.severity, kept.mentions) == (KEY, "critical", 0)
    assert kept.title.startswith("Critical: jane was exposed")


# --- Teams ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (("sig=", "sig=x"), 401),
        (("&sig=", "&s="), 401),
        (("sp=%2F", "sp=x"), 401),
        (("api-version", "version"), 400),
        (("workflows/0", "workflows/1"), 404),
    ],
)
def test_teams_refuses_an_address_that_is_not_the_workflows(
    sandbox: Sandbox, http: httpx.Client, change: tuple[str, str], status: int
) -> None:
    url = sandbox.credentials("teams")["webhook_url"].replace(*change)
    assert http.post(url, json=posted(card())).status_code == status


@pytest.mark.parametrize(
    "message",
    [
        {"text": "the old format"},
        {"type": "message", "attachments": []},
        posted({"type": "Card", "version": "1.4", "body": []}),
        posted(card(version="1.6")),
        posted(card({"type": "TextBlock", "text": ""})),
        posted(card({"type": "Marquee", "text": "x"})),
        posted(card({"type": "RichTextBlock", "inlines": [{"type": "TextBlock", "text": "x"}]})),
        posted(card(actions=[{"type": "Action.OpenUrl", "title": "x", "url": "/records"}])),
        posted(card(actions=[{"type": "Action.Submit", "title": "x"}])),
        posted(card({"type": "TextBlock", "text": "é" * 20_000})),
    ],
)
def test_teams_says_202_and_posts_nothing_where_the_workflow_would_fail(
    sandbox: Sandbox, http: httpx.Client, message: Any
) -> None:
    answer = http.post(sandbox.credentials("teams")["webhook_url"], json=message)
    assert (answer.status_code, answer.content) == (202, b"")
    assert answer.headers["X-Sandbox-Reason"].startswith("the run fails: ")
    assert sandbox.accepted() == []


# --- Discord --------------------------------------------------------------------------------------------


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


# --- PagerDuty ------------------------------------------------------------------------------------------


def test_pagerdutys_own_client_gets_along_with_the_stand_in(sandbox: Sandbox) -> None:
    given = sandbox.credentials("pagerduty")
    client = pagerduty.EventsApiV2Client(given["routing_key"])
    client._url = given["endpoint_url"]  # its setter takes https:// only
    assert client.trigger("Leak", "FootprintIQ", severity="critical", dedup_key=KEY) == KEY
    assert client.resolve(KEY) == KEY
    (kept,) = sandbox.accepted("pagerduty")
    assert (kept.key, kept.title, kept.severity) == (KEY, "Leak", "critical")


@pytest.mark.parametrize(
    "change",
    [
        {"routing_key": "short"},
        {"routing_key": "x" * 32},
        {"event_action": "open"},
        {"dedup_key": "x" * 256},
        {"payload": None},
        {"payload": alert(summary=" ")},
        {"payload": alert(summary="x" * 1025)},
        {"payload": alert(severity="high")},
        {"payload": alert(source="")},
        {"payload": alert(custom_details="x")},
        {"links": [{"text": "x"}]},
        {"surprise": 1},
    ],
)
def test_pagerduty_names_what_is_wrong_with_an_event(
    sandbox: Sandbox, http: httpx.Client, change: dict[str, Any]
) -> None:
    url = sandbox.credentials("pagerduty")["endpoint_url"]
    answer = http.post(f"{url}/v2/enqueue", json=event(sandbox) | change)
    assert (answer.status_code, answer.json()["status"]) == (400, "invalid event")
    assert sandbox.accepted() == []


def test_pagerduty_refuses_more_than_512_kb(sandbox: Sandbox, http: httpx.Client) -> None:
    url = sandbox.credentials("pagerduty")["endpoint_url"]
    big = event(sandbox, payload=alert(custom_details={"x": "y" * 600_000}))
    assert http.post(f"{url}/v2/enqueue", json=big).status_code == 413


# --- Webhook --------------------------------------------------------------------------------------------

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


# --- Slack by bot ---------------------------------------------------------------------------------------


def bot(sandbox: Sandbox, token: str = web_api.BOT_TOKEN) -> WebClient:
    return WebClient(token, base_url=f"{sandbox.url}/slack/api/")


def test_slacks_own_clients_get_along_with_the_stand_in(sandbox: Sandbox) -> None:
    hook = WebhookClient(sandbox.credentials("slack")["webhook_url"])
    assert hook.send(text=f"Critical: jane was exposed ({KEY})").body == "ok"
    client = bot(sandbox)
    assert client.auth_test()["user"] == "footprintiq"
    answer = client.chat_postMessage(channel=web_api.CHANNEL, text=f"again {KEY}")
    assert (answer["ok"], answer["channel"]) == (True, web_api.CHANNEL)
    assert [kept.copy for kept in sandbox.accepted("slack")] == [1, 2]


@pytest.mark.parametrize(
    ("channel", "token", "more", "word"),
    [
        (web_api.FOREIGN, web_api.BOT_TOKEN, {"text": "x"}, "not_in_channel"),
        (web_api.ARCHIVED, web_api.BOT_TOKEN, {"text": "x"}, "is_archived"),
        ("C0NOWHERE", web_api.BOT_TOKEN, {"text": "x"}, "channel_not_found"),
        (web_api.CHANNEL, "xoxb-wrong", {"text": "x"}, "invalid_auth"),
        (web_api.CHANNEL, web_api.BOT_TOKEN, {"text": " "}, "no_text"),
        (web_api.CHANNEL, web_api.BOT_TOKEN, {"text": "x", "blocks": [{"type": "y"}]}, "invalid_blocks"),
    ],
)
def test_slack_tells_a_bot_in_one_word_why_not(
    sandbox: Sandbox, channel: str, token: str, more: dict[str, Any], word: str
) -> None:
    with pytest.raises(SlackApiError) as caught:
        bot(sandbox, token).chat_postMessage(channel=channel, **more)
    assert caught.value.response["error"] == word
    assert sandbox.accepted() == []


# --- E-mail ---------------------------------------------------------------------------------------------


def mail(**headers: str) -> EmailMessage:
    made = EmailMessage()
    usual = {
        "From": USERNAME,
        "To": RECIPIENT,
        "Subject": "[critical] Critical: jane was exposed",
        "Date": formatdate(),
        "Message-ID": f"<{KEY}@example.org>",
    }
    for name, value in (usual | {name.replace("_", "-"): value for name, value in headers.items()}).items():
        if value:
            made[name] = value
    made.set_content("x")
    return made


def hand_in(sandbox: Sandbox, message: EmailMessage, password: str = PASSWORD, *to: str) -> dict[str, Any]:
    given = sandbox.credentials("email")
    with smtplib.SMTP(given["host"], int(given["port"]), timeout=10) as server:
        server.login(USERNAME, password)
        return server.send_message(message, to_addrs=to or (RECIPIENT,))


def test_the_mail_server_takes_a_mail_and_keeps_it(sandbox: Sandbox) -> None:
    assert hand_in(sandbox, mail()) == {}
    (kept,) = sandbox.accepted("email")
    assert (kept.key, kept.severity, kept.body["rcpt_to"]) == (KEY, "critical", [RECIPIENT])


def test_the_mail_server_refuses_who_and_what_is_not_right(sandbox: Sandbox) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError):
        hand_in(sandbox, mail(), "wrong")
    with pytest.raises(smtplib.SMTPSenderRefused):
        hand_in(sandbox, mail(From="else@example.org"))
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        hand_in(sandbox, mail(), PASSWORD, UNKNOWN)
    with pytest.raises(smtplib.SMTPDataError, match="Message-ID"):
        hand_in(sandbox, mail(Message_ID=""))
    assert sandbox.accepted() == []
    assert list(hand_in(sandbox, mail(), PASSWORD, RECIPIENT, UNKNOWN)) == [UNKNOWN]


@pytest.mark.parametrize(("name", "code"), [("401", 535), ("429", 421), ("500", 451), ("html", 200)])
def test_the_mail_server_fails_when_asked_to(sandbox: Sandbox, name: str, code: int) -> None:
    sandbox.fault("email", name, times=1)
    with pytest.raises(smtplib.SMTPDataError) as caught:
        hand_in(sandbox, mail())
    assert caught.value.smtp_code == code
    assert sandbox.accepted() == []
    assert hand_in(sandbox, mail()) == {}


@pytest.mark.parametrize(("name", "kept"), [("lost_answer", 1), ("reset", 1), ("lost_before", 0)])
def test_the_mail_servers_answer_can_be_lost(sandbox: Sandbox, name: str, kept: int) -> None:
    sandbox.fault("email", name, times=1)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        hand_in(sandbox, mail())
    assert len(sandbox.accepted("email")) == kept


def test_mail_has_a_line_to_connect_it_and_no_path_over_http(sandbox: Sandbox, http: httpx.Client) -> None:
    assert sandbox.connect_lines()[-1].startswith('hub connect email --name "Sandbox E-mail"')
    assert http.get(f"{sandbox.url}/email/").status_code == 404
    assert "E-mail" in http.get(sandbox.url).text
