"""Slack: every message within its limits, and nothing in it that calls people or ends a link."""

import json

import orjson
from hypothesis import given
from hypothesis import strategies as st

from core.integrations.base import Item
from core.integrations.slack.connector import escape, message

hostile = st.text(alphabet="ab<>&!@|#* \nhereU1\u20ac\U0001f600", max_size=200) | st.text()


@given(st.text(alphabet="a&<>\U0001f600@here", max_size=60), st.integers(min_value=2, max_value=40))
def test_escaped_text_keeps_its_limit_and_whole_entities(words: str, limit: int) -> None:
    escaped = escape(words, limit)
    assert len(escaped.encode("utf-16-le")) <= limit * 2
    bare = escaped.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
    assert not set("&<>") & set(bare)
    assert "@here" not in escaped


@given(title=hostile, words=hostile, url=hostile, facts=st.dictionaries(hostile, hostile, max_size=12))
def test_a_slack_message_stays_within_every_limit(
    title: str, words: str, url: str, facts: dict[str, str]
) -> None:
    body = {
        "title": title * 20,
        "text": words * 40,
        "url": url,
        "facts": facts,
        "severity": "high",
        "ref": "r",
    }
    sent = message(Item("fiq-alert-1", orjson.dumps(body).decode()))
    assert 0 < len(sent["text"]) <= 4000
    assert "<!" not in json.dumps(sent)
    for block in sent["blocks"]:
        texts = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
        limit = {"header": 150, "section": 3000, "context": 2000}[block["type"]]
        assert len(block.get("fields", [])) <= 10
        assert all(0 < len(part["text"]) <= limit for part in texts if part)


def test_a_linked_address_cannot_end_the_link() -> None:
    body = {"title": "t", "url": "https://hub.example.com/r?a=1&b=2|x>y", "ref": "fiq-alert-1"}
    context = message(Item("fiq-alert-1", json.dumps(body)))["blocks"][-1]
    words = "<https://hub.example.com/r?a=1&amp;b=2%7Cx%3Ey|Open in FootprintIQ>"
    assert context["elements"][0]["text"] == words
