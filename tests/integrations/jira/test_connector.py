"""Jira: no value ends a query or a document early, and the label stays."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.integrations.base import Item
from core.integrations.jira import adf
from core.integrations.jira.connector import jql_text
from tests.integrations.test_connectors import sent_by


def read_jql_text(query: str) -> str:
    """A reader of JQL strings written from Jira's documentation; fails if the string ends early."""
    assert query.startswith('"')
    value, at = "", 1
    while query[at] != '"':
        if query[at] != "\\":
            value, at = value + query[at], at + 1
        elif query[at + 1] == "u":
            value, at = value + chr(int(query[at + 2 : at + 6], 16)), at + 6
        else:
            value, at = value + query[at + 1], at + 2
    assert at == len(query) - 1, "the string ended before its end"
    return value


@given(st.text())
def test_a_jql_string_holds_its_value_and_nothing_else(value: str) -> None:
    assert read_jql_text(jql_text(value)) == value


@pytest.mark.parametrize("value", ['" OR project = X', "\\", '\\"', 'a\nb" OR "1"="1'])
def test_a_value_cannot_break_out_of_a_jql_string(value: str) -> None:
    assert read_jql_text(jql_text(value)) == value


def adf_nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("content", []):
        yield from adf_nodes(child)


@given(st.text(), st.none() | st.text() | st.just("https://hub.example.com/r?a=1&b=2"))
def test_an_adf_document_is_one_that_jira_takes(words: str, url: str | None) -> None:
    document = adf.document(words, url, "fiq-case-1")
    for node in adf_nodes(document):
        assert node["type"] in {"doc", "paragraph", "text", "hardBreak"}
        if node["type"] == "text":
            assert node["text"] != ""
            for mark in node.get("marks", []):
                assert mark["type"] == "link"
                assert mark["attrs"]["href"].lower().startswith(("http://", "https://"))
        if node["type"] == "paragraph":
            assert node["content"]


@given(st.text(alphabet="ab\\{}[]!|~ \n"))
def test_no_wiki_markup_survives_in_a_description(words: str) -> None:
    defused = adf.wiki(words, None, "fiq-case-1")
    assert "\\\\" not in defused
    for place, letter in enumerate(defused):
        if letter in "{[!":
            assert defused[place - 1] == "\\"


JIRA = {"url": "http://127.0.0.1:9", "email": "hub@example.com", "api_token": "CANARY", "project_key": "SEC"}


@given(st.text(min_size=1))
def test_a_jira_summary_is_one_line_of_at_most_255_characters(title: str) -> None:
    item = Item("fiq-case-1", orjson.dumps({"summary": title, "text": "", "case_id": "1"}).decode())
    summary = sent_by("jira", JIRA, item)[0]["fields"]["summary"]
    assert summary
    assert len(summary.splitlines()) == 1
    assert len(summary.encode("utf-16-le")) <= 255 * 2


def test_extra_fields_cannot_take_the_label_away() -> None:
    config = JIRA | {"labels": ["two words", "fiq"], "extra_fields": {"labels": ["theirs"]}}
    item = Item("fiq-case-1", '{"summary":"s","text":"t","case_id":"1"}')
    labels = sent_by("jira", config, item)[0]["fields"]["labels"]
    assert labels == ["fiq", "fiq-case-1", "two-words", "theirs"]
