"""Words that fit a terminal: a sentence that names a page's button names the command here, at every command."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from core.cli.door import at_terminal, before_saving
from core.storage import db
from core.storage.models import Connection
from tests.cli.test_cli import SPLUNK, TOKEN, bare, hub, made
from tests.support.live import ROOT
from tests.support.terminal import Hub

__all__ = ["bare", "hub", "made"]
#: what is on a page, and not at a terminal
PAGES_OWN = re.compile(
    r"[Pp]ress Test|[Ss]witch(es)? it on\b(?! here| there)|connection's page\b|under Edit|backlog=|the page"
)
PROBLEM = "Splunk answered 403 (Token disabled). Enable it there, then press Test."


@pytest.mark.parametrize(
    ("on_a_page", "here"),
    [
        ("Correct the settings, then press Test.", "Correct the settings, then run `hub test`."),
        ("Press Test; it names the webhook.", "Run `hub test`; it names the webhook."),
        ("It keeps its queue until you press Test.", "It keeps its queue until you run `hub test`."),
        ("correct the cause, then switch it on.", "correct the cause, then run `hub enable`."),
        (
            "nothing is sent until somebody switches it on.",
            "nothing is sent until somebody runs `hub enable`.",
        ),
        (
            "Enable it with backlog=send to deliver them, or backlog=skip to drop them.",
            "Run `hub enable --backlog send` to deliver them, or `hub enable --backlog skip` to drop them.",
        ),
        ('"SOC" is paused. Enable it, then sync.', '"SOC" is paused. Run `hub enable`, then `hub sync`.'),
        ("Release or discard them.", "Run `hub release` or `hub discard`."),
        ("Press Create API key there.", "Press Create API key there."),
        (
            "the token is disabled. Enable it under Settings.",
            "the token is disabled. Enable it under Settings.",
        ),
    ],
)
def test_the_pages_verb_becomes_the_terminals(on_a_page: str, here: str) -> None:
    assert at_terminal(on_a_page) == here


def test_what_is_not_saved_is_not_tested_by_name() -> None:
    assert before_saving(PROBLEM) == PROBLEM.replace("press Test", "run this again")


def sentences() -> Iterator[str]:
    """Every text of the code below the pages that a person may be shown, and of the catalog."""
    for path in ROOT.glob("core/**/*.py"):
        if path.relative_to(ROOT).parts[1] in ("web", "cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                node.value.value = ""  # a docstring
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    for path in [*ROOT.glob("core/integrations/*/manifest.toml"), *ROOT.glob("data/catalog/*.toml")]:
        yield from path.read_text(encoding="utf-8").splitlines()


def test_no_sentence_keeps_a_pages_verb_at_a_terminal() -> None:
    found = [text for text in sentences() if PAGES_OWN.search(text)]
    assert len(found) > 30
    assert [text for text in found if PAGES_OWN.search(at_terminal(text))] == []


def test_every_command_says_it_so(hub: Hub) -> None:
    hub.done(*SPLUNK, "--secret", f"token={TOKEN}")
    with db.session() as session:
        row = session.execute(select(Connection)).scalar_one()
        row.problem = PROBLEM
    for words in (("show", "SOC"), ("connections",), ("status",)):
        said = hub.done(*words)
        assert "press Test" not in said
        assert re.search(r"then run `\S*hub test`", said.replace("\n", " "))
    assert json.loads(hub.done("show", "SOC", "--json"))["problem"] == PROBLEM  # for programs, as it is
    assert "press Test" not in hub.done("catalog", "splunk").lower().replace("press create", "")


def test_a_test_before_saving_says_to_connect_again(hub: Hub) -> None:
    words = ("connect", "jira", "--name", "J", "--set", "url=https://127.0.0.1:9", "--set", "email=a@b.org")
    said = hub.refused(*words, "--set", "project_key=S", "--secret", "api_token=t")
    assert "press Test" not in said
    assert "hub test" not in said


def test_the_rule_finds_a_verb_that_is_forgotten() -> None:
    assert PAGES_OWN.search("Look at it on the connection's page.")
    assert Path(ROOT / "core").exists()
