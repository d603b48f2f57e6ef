"""Zendesk: one ticket per case by its idempotency key, and a stand-in that another client can work with."""

import base64
import json
from typing import Any

import httpx
import orjson
import pytest
import time_machine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from zenpy import Zenpy
from zenpy.lib.api_objects import Comment, Ticket
from zenpy.lib.exception import APIException, RecordNotFoundException

from core import connections
from core.delivery.batch import BatchDelivery
from core.http import Recorder, Rules
from core.integrations.base import Item
from sandbox import Sandbox
from sandbox.vendors.zendesk.stand_in import EMAIL, TOKEN
from sandbox.vendors.zendesk.ticket import check_ticket
from tests.integrations.test_connectors import build
from tests.support.rerouted import session
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

KEY = "fiq-case-3f2a9c4e-0000-4000-8000-000000000001"


def zenpy(sandbox: Sandbox, token: str = TOKEN) -> Zenpy:
    led = session("https://acme.zendesk.com", f"{sandbox.url}/zendesk")
    return Zenpy(subdomain="acme", email=EMAIL, token=token, session=led)


# --- the stand-in, by a client that others wrote ------------------------------------------------------


def test_zenpy_creates_and_lists_a_ticket(sandbox: Sandbox) -> None:
    client = zenpy(sandbox)
    made = client.tickets.create(
        Ticket(subject="Leaked", comment=Comment(body="x", public=False), priority="urgent", external_id=KEY)
    )
    assert (made.ticket.id, made.ticket.external_id) == (1, KEY)
    assert [(one.id, one.status) for one in client.tickets(external_id=KEY)] == [(1, "new")]
    assert list(client.tickets(external_id="another")) == []
    assert client.users.me().role == "agent"
    assert sandbox.accepted("zendesk")[0].severity == "critical"


def test_zenpy_understands_the_stand_in_s_refusals(sandbox: Sandbox) -> None:
    with pytest.raises(APIException, match="authenticate"):
        list(zenpy(sandbox, "wrong").tickets(external_id=KEY))
    with pytest.raises(APIException) as refused:
        zenpy(sandbox).tickets.create(Ticket(subject="s", comment=Comment(body="x"), priority="huge"))
    assert "priority" in str(refused.value).lower()
    with pytest.raises(RecordNotFoundException):
        zenpy(sandbox).groups(id=1)


def post(sandbox: Sandbox, ticket: dict[str, Any], key: str) -> httpx.Response:
    body = json.dumps({"ticket": {"subject": "s", "comment": {"body": "x"}, "external_id": KEY} | ticket})
    auth = base64.b64encode(f"{EMAIL}/token:{TOKEN}".encode()).decode()
    headers = {"Authorization": f"Basic {auth}", "Content-Type": "application/json", "Idempotency-Key": key}
    with httpx.Client(trust_env=False) as http:
        return http.post(f"{sandbox.url}/zendesk/api/v2/tickets", content=body, headers=headers)


def test_a_key_is_remembered_for_two_hours_with_its_body(sandbox: Sandbox) -> None:
    with time_machine.travel("2026-11-22T10:00:00Z", tick=False) as clock:
        assert post(sandbox, {}, "k").headers["x-idempotency-lookup"] == "miss"
        again = post(sandbox, {}, "k")
        assert (again.status_code, again.headers["x-idempotency-lookup"]) == (201, "hit")
        assert again.json()["ticket"]["id"] == 1
        other = post(sandbox, {"priority": "low"}, "k")
        assert (other.status_code, other.json()["error"]) == (400, "IdempotentRequestError")
        clock.shift(7201)
        assert post(sandbox, {}, "k").json()["ticket"]["id"] == 2
    assert [one.copy for one in sandbox.accepted("zendesk")] == [1, 2]


@pytest.mark.parametrize(
    ("ticket", "field"),
    [
        ({"comment": {"body": " "}}, "comment"),
        ({"comment": {"body": "€" * 30_000}}, "comment"),
        ({"comment": {"body": "x", "public": "no"}}, "comment"),
        ({"subject": "x" * 151}, "subject"),
        ({"priority": "critical"}, "priority"),
        ({"type": "finding"}, "type"),
        ({"tags": ["two words"]}, "tags"),
        ({"requester": {"email": "a@example.com"}}, "requester"),
        ({"group_id": 7}, "group"),
        ({"severity": "high"}, "severity"),
    ],
)
def test_the_stand_in_names_the_field(sandbox: Sandbox, ticket: dict[str, Any], field: str) -> None:
    answer = post(sandbox, ticket, "k")
    assert (answer.status_code, list(answer.json()["details"])) == (422, [field])
    assert sandbox.accepted() == []


pieces = st.sampled_from(["{", "}", "%", "{{", "ticket", " ", "\n", "\x00", "\u20ac", "\U0001f600", "x" * 99])
wild = st.lists(pieces, max_size=30).map("".join)


@example("{\x00{ticket.id}}", "{\x00%", None)
@example("x", "\u20ac" * 30_000, "https://hub.example.com/r?a=1")
@settings(deadline=None)
@given(wild, wild, st.none() | wild)
def test_no_text_is_too_long_or_filled_in(subject: str, words: str, url: str | None) -> None:
    recorder = Recorder(vendor="Zendesk", rules=Rules())
    config = {"url": "https://acme.zendesk.com", "email": "a@example.com", "api_token": "t"}
    body = {"subject": subject * 3, "text": words, "priority": "low"} | ({"url": url} if url else {})
    items = [Item(KEY, orjson.dumps(body).decode())]
    list(BatchDelivery(build("zendesk", config, recorder), items))
    ticket = json.loads(recorder.requests[0].content)["ticket"]
    assert check_ticket(ticket, {}) == {}
    assert ticket["comment"]["body"].endswith(KEY)
    for text in (ticket["subject"], ticket["comment"]["body"]):
        assert "{{" not in text
        assert "{%" not in text


# --- against the stand-in -----------------------------------------------------------------------------


def test_a_ticket_is_linked_to_its_case(workplace: Workplace) -> None:
    workplace.connect("zendesk")
    workplace.cases(2, priority="critical")
    assert workplace.sync("zendesk").count == 2
    arrived = workplace.sandbox.accepted("zendesk")
    assert [one.body["ticket"]["priority"] for one in arrived] == ["urgent", "urgent"]
    assert [row.vendor_id for row in workplace.deliveries("zendesk")] == ["1", "2"]


@pytest.mark.parametrize("fault", ["lost_answer", "reset", "lost_before"])
def test_a_lost_answer_makes_exactly_one_ticket(workplace: Workplace, fault: str) -> None:
    workplace.connect("zendesk")
    workplace.cases(1)
    workplace.sandbox.fault("zendesk", fault, times=1)
    workplace.sync("zendesk")
    assert workplace.states("zendesk") == ["in_doubt"]
    workplace.pass_time(hours=3)
    workplace.sync("zendesk", "scheduled")
    assert workplace.states("zendesk") == ["delivered"]
    assert len(workplace.sandbox.accepted("zendesk")) == 1


def test_tags_changed_between_two_tries_make_no_second_ticket(workplace: Workplace) -> None:
    id = workplace.connect("zendesk")
    workplace.cases(1)
    workplace.sandbox.fault("zendesk", "lost_answer", times=1)
    workplace.sync("zendesk")
    connections.edit(workplace.who, id, values={"tags": "changed"})
    workplace.pass_time(minutes=5)
    workplace.sync("zendesk", "scheduled")
    assert workplace.states("zendesk") == ["delivered"]
    assert len(workplace.sandbox.accepted("zendesk")) == 1


def test_a_wrong_token_and_a_pasted_token_suffix(workplace: Workplace) -> None:
    values = workplace.sandbox.credentials("zendesk")
    pasted = connections.test_draft(workplace.who, "zendesk", values | {"email": f"{EMAIL}/token"})
    assert [step.ok for step in pasted] == [True, None, True, True]
    step = connections.test_draft(workplace.who, "zendesk", values | {"api_token": "wrong"})[-1]
    assert (step.name, step.ok) == ("credentials", False)
    assert "not a password" in step.text
