"""The stand-in of a Teams workflow: what it takes, and what it would never post."""

from typing import Any

import httpx
import pytest

from sandbox import Sandbox
from tests.integrations.teams.sample import card, posted
from tests.sandbox.support import http, sandbox

__all__ = ["http", "sandbox"]


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
