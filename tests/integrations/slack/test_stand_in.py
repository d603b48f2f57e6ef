"""The stand-in of Slack, by webhook and by bot, by hand and by Slack's own clients."""

from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient

from sandbox import Sandbox
from sandbox.vendors.slack import web_api
from tests.integrations.slack.sample import message, plain, section
from tests.sandbox.support import KEY, http, sandbox

__all__ = ["http", "sandbox"]


def actions(**more: Any) -> dict[str, Any]:
    return {"type": "actions", "elements": [{"type": "button", "text": plain("Open"), **more}]}


def test_slack_takes_a_message_and_says_ok(sandbox: Sandbox, http: httpx.Client) -> None:
    blocks = [
        {"type": "header", "text": plain("x" * 150)},
        section("x" * 3000),
        {"type": "section", "fields": [plain("x" * 2000)] * 10},
        {"type": "divider"},
        {"type": "context", "elements": [plain("x"), {"type": "image", "image_url": "x", "alt_text": "x"}]},
        actions(url="https://hub.example/records"),
    ]
    answer = http.post(sandbox.credentials("slack")["webhook_url"], json=message(*blocks))
    assert (answer.status_code, answer.text) == (200, "ok")
    (kept,) = sandbox.accepted("slack")
    assert (kept.key, kept.severity, kept.mentions) == (KEY, "critical", 0)
    assert kept.title.startswith("Critical: jane")


def test_slack_counts_what_would_wake_people_up(sandbox: Sandbox, http: httpx.Client) -> None:
    body = message(section("<@U0123> &lt;!channel&gt;"), text="<!channel> look, <!here|here>")
    http.post(sandbox.credentials("slack")["webhook_url"], json=body)
    assert sandbox.accepted("slack")[0].mentions == 3


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ([], "invalid_payload"),
        ({}, "no_text"),
        (message(text=" "), "no_text"),
        (message(text=5), "invalid_payload"),
        (message(attachments={}), "invalid_payload"),
        (message(attachments=[{}] * 101), "too_many_attachments"),
        (message(attachments=[{"blocks": [{"type": "x"}]}]), "invalid_blocks"),
        (message(blocks={}), "invalid_blocks"),
        (message(*[section()] * 51), "invalid_blocks"),
        (message("text"), "invalid_blocks"),
        (message({"type": "marquee"}), "invalid_blocks"),
        (message({"type": "section"}), "invalid_blocks"),
        (message(section("")), "invalid_blocks"),
        (message(section("x" * 3001)), "invalid_blocks"),
        (message(section(block_id="x" * 256)), "invalid_blocks"),
        (message({"type": "section", "text": "x"}), "invalid_blocks"),
        (message({"type": "section", "fields": [plain("x")] * 11}), "invalid_blocks"),
        (message({"type": "section", "fields": [plain("x" * 2001)]}), "invalid_blocks"),
        (message({"type": "header", "text": plain("x" * 151)}), "invalid_blocks"),
        (message({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}), "invalid_blocks"),
        (message({"type": "context", "elements": [plain("x")] * 11}), "invalid_blocks"),
        (message({"type": "context", "elements": []}), "invalid_blocks"),
        (message({"type": "image", "image_url": "x"}), "invalid_blocks"),
        (message(actions(url="x" * 3001)), "invalid_blocks"),
        (message(actions(value="x" * 2001)), "invalid_blocks"),
        (message(actions(text=plain("x" * 76))), "invalid_blocks"),
        (message(actions(action_id="x" * 256)), "invalid_blocks"),
        (message({"type": "actions", "elements": [{"type": "image"}]}), "invalid_blocks"),
    ],
)
def test_slack_refuses_a_message_beyond_its_limits(
    sandbox: Sandbox, http: httpx.Client, body: Any, word: str
) -> None:
    answer = http.post(sandbox.credentials("slack")["webhook_url"], json=body)
    assert (answer.status_code, answer.text) == (400, word)
    assert sandbox.accepted() == []


@pytest.mark.parametrize(
    ("old", "new", "status", "word"),
    [
        ("T0SANDBOX", "T1", 404, "no_team"),
        ("B0SANDBOX", "B1", 404, "no_service"),
        ("/services/", "/workflows/", 404, "no_active_hooks"),
        ("0000001", "0000002", 403, "invalid_token"),
    ],
)
def test_slack_refuses_an_address_that_is_not_the_webhook(
    sandbox: Sandbox, http: httpx.Client, old: str, new: str, status: int, word: str
) -> None:
    answer = http.post(sandbox.credentials("slack")["webhook_url"].replace(old, new), json=message())
    assert (answer.status_code, answer.text) == (status, word)


def test_slack_takes_json_by_post_only(sandbox: Sandbox, http: httpx.Client) -> None:
    url = sandbox.credentials("slack")["webhook_url"]
    assert http.get(url).status_code == 405
    assert http.post(url, data={"payload": "{}"}).text == "invalid_payload"
    assert http.post(url, content="{", headers={"Content-Type": "application/json"}).text == "invalid_payload"
    assert sandbox.accepted() == []


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
