"""ServiceNow: no second ticket, nothing that becomes markup, and a stand-in that another client can work with."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pysnc import ServiceNowClient
from pysnc.exceptions import AuthenticationException, RoleException

from core import connections
from core.integrations.servicenow.text import SHORT_CHARS, TEXT_CHARS, description, short_description
from sandbox import Sandbox
from sandbox.vendors.servicenow.stand_in import GROUPS, PASSWORD, USER
from tests.support.rerouted import session
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

KEY = "fiq-case-3f2a9c4e-0000-4000-8000-000000000001"


def pysnc(sandbox: Sandbox, password: str = PASSWORD) -> ServiceNowClient:
    led = session("https://acme.service-now.com", f"{sandbox.url}/servicenow")
    led.auth = (USER, password)
    return ServiceNowClient("acme", led, auto_retry=False)


def incident(sandbox: Sandbox, **fields: str) -> Any:
    record = pysnc(sandbox).GlideRecord("incident")
    record.initialize()
    for name, value in ({"short_description": "Leaked", "correlation_id": KEY} | fields).items():
        record.set_value(name, value)
    return record


# --- the stand-in, by a client that others wrote ------------------------------------------------------


def test_pysnc_creates_and_finds_an_incident(sandbox: Sandbox) -> None:
    sys_id = incident(sandbox).insert()
    found = pysnc(sandbox).GlideRecord("incident")
    found.add_query("correlation_id", KEY)
    found.query()
    assert [(row.get_value("sys_id"), row.get_value("number")) for row in found] == [(sys_id, "INC0010001")]
    again = pysnc(sandbox).GlideRecord("incident")
    assert again.get(sys_id)
    assert again.get_value("short_description") == "Leaked"


def test_pysnc_is_told_when_it_is_nobody(sandbox: Sandbox) -> None:
    record = pysnc(sandbox, "wrong").GlideRecord("incident")
    with pytest.raises((AuthenticationException, RoleException)):
        record.query()


def test_a_condition_on_an_unknown_field_matches_everything(sandbox: Sandbox) -> None:
    incident(sandbox).insert()
    found = pysnc(sandbox).GlideRecord("incident")
    found.add_query("u_none", "x")
    found.query()
    assert len(found) == 1


@pytest.mark.parametrize(("name", "chars"), [("short_description", 160), ("description", 4000)])
def test_the_stand_in_refuses_what_an_instance_would_cut(sandbox: Sandbox, name: str, chars: int) -> None:
    assert incident(sandbox, **{name: "x" * chars}).insert()
    with pytest.raises(Exception, match="Value too long"):
        incident(sandbox, **{name: "x" * (chars + 1)}).insert()
    assert len(sandbox.accepted()) == 1


# --- against the stand-in -----------------------------------------------------------------------------


def test_a_ticket_is_linked_to_its_case(workplace: Workplace) -> None:
    workplace.connect("servicenow")
    workplace.cases(2, priority="critical")
    assert workplace.sync("servicenow").count == 2
    arrived = workplace.sandbox.accepted("servicenow")
    assert [one.vendor_id for one in arrived] == ["INC0010001", "INC0010002"]
    assert (arrived[0].body["impact"], arrived[0].body["urgency"]) == ("1", "1")
    assert [row.vendor_id for row in workplace.deliveries("servicenow")] == ["INC0010001", "INC0010002"]


@pytest.mark.parametrize("fault", ["lost_answer", "reset"])
def test_a_lost_answer_makes_no_second_ticket(workplace: Workplace, fault: str) -> None:
    workplace.connect("servicenow")
    workplace.cases(1)
    workplace.sandbox.fault("servicenow", fault, times=1)
    workplace.sync("servicenow")
    assert workplace.states("servicenow") == ["in_doubt"]
    workplace.pass_time(seconds=61)
    workplace.sync("servicenow", "scheduled")
    assert workplace.states("servicenow") == ["delivered"]
    assert len(workplace.sandbox.accepted("servicenow")) == 1


def test_a_request_that_never_arrived_is_sent_again_after_both_looks(workplace: Workplace) -> None:
    workplace.connect("servicenow")
    workplace.cases(1)
    workplace.sandbox.fault("servicenow", "lost_before", times=1)
    workplace.sync("servicenow")
    for seconds, state in ((61, "in_doubt"), (301, "delivered")):
        workplace.pass_time(seconds=seconds)
        workplace.sync("servicenow", "scheduled")
        assert workplace.states("servicenow") == [state]
    assert len(workplace.sandbox.accepted("servicenow")) == 1


@pytest.mark.parametrize("group", ["Security Operations", GROUPS["Security Operations"]])
def test_a_group_is_taken_by_name_or_sys_id(workplace: Workplace, group: str) -> None:
    values = workplace.sandbox.credentials("servicenow") | {"assignment_group": group}
    steps = connections.test_draft(workplace.who, "servicenow", values)
    assert [step.ok for step in steps] == [True, None, True, True, True, None]
    id = connections.create(workplace.who, "servicenow", name="n", values=values, options={})
    workplace.ids["servicenow"] = id
    workplace.cases(1)
    workplace.sync("servicenow")
    (one,) = workplace.sandbox.accepted("servicenow")
    assert one.body["assignment_group"] == GROUPS["Security Operations"]


def test_a_sleeping_instance_is_named(workplace: Workplace) -> None:
    workplace.sandbox.fault("servicenow", "html")
    values = workplace.sandbox.credentials("servicenow")
    step = connections.test_draft(workplace.who, "servicenow", values)[-1]
    assert (step.name, step.ok) == ("target", False)
    assert "hibernating" in step.text


# --- text ---------------------------------------------------------------------------------------------

pieces = st.sampled_from(
    ["[", "]", "/", "code", "Code", " ", "\n", "\x00", "<b>", "\u20ac", "\U0001f600", "x" * 99]
)
wild = st.lists(pieces, max_size=30).map("".join)


@example("[code]", "[ /CODE]", None)
@example("x", "x" * 300, "https://hub.example.com/r?a=1")
@given(wild, wild, st.none() | wild | st.just("https://hub.example.com/r?a=1"))
def test_no_text_is_too_long_or_becomes_code(title: str, words: str, url: str | None) -> None:
    short, long = short_description(title * 3), description(words * 40, url, KEY)
    assert len(short.encode("utf-16-le")) <= SHORT_CHARS * 2
    assert len(short.splitlines()) <= 1
    assert len(long.encode("utf-16-le")) <= TEXT_CHARS * 2
    assert long.endswith(KEY)
    for text in (short, long.removesuffix(KEY)):
        assert "[code" not in text.lower()
        assert "[/code" not in text.lower()


def test_the_link_outlives_the_cut() -> None:
    link = "https://hub.example.com/records?kind=case&id=1"
    assert description("x" * 9000, link, KEY).endswith(f"…\n\n{link}\n{KEY}")
