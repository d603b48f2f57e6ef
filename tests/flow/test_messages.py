"""Messengers end to end: connect, put alerts in, sync, and look at what the stand-in was sent."""

from typing import Any

import pytest

from core import connections, integrations
from core.delivery import history
from core.integrations.base import Step
from sandbox.vendors.slack import web_api
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

BY_BOT = {"bot_token": web_api.BOT_TOKEN, "channel": web_api.CHANNEL}


def connected(office: Workplace, slug: str) -> str:
    """`slug` may be `slack by bot`."""
    vendor, _, by_bot = slug.partition(" ")
    values: dict[str, Any] = office.sandbox.credentials(vendor)
    if by_bot:
        values = BY_BOT | {"endpoint_url": f"{office.sandbox.url}/slack/api"}
    office.ids[vendor] = connections.create(office.who, vendor, name=slug, values=values, options={})
    return vendor


MESSENGERS = ["teams", "pagerduty", "discord", "webhook", "email", "slack by bot"]


@pytest.mark.parametrize("slug", MESSENGERS)
def test_alerts_arrive_once_and_ordered(workplace: Workplace, slug: str) -> None:
    vendor = connected(workplace, slug)
    workplace.alerts(3, description="Two **passwords** of <b>jdoe</b> appeared.\n@everyone")
    result = workplace.sync(vendor)
    assert (result.success, result.count) == (True, 3), result.message
    assert workplace.sync(vendor).count == 0
    arrived = workplace.sandbox.accepted(vendor)
    assert [kept.key for kept in arrived] == [row.key for row in workplace.deliveries(vendor)]
    assert {(kept.copy, kept.severity, kept.mentions) for kept in arrived} == {(1, "high", 0)}


@pytest.mark.parametrize("slug", MESSENGERS)
def test_a_test_passes_and_leaves_nothing_behind(workplace: Workplace, slug: str) -> None:
    vendor = connected(workplace, slug)
    steps: list[Step] = connections.test(workplace.who, workplace.ids[vendor])
    assert [step for step in steps if step.ok is False] == []
    assert steps[0].ok
    assert workplace.sandbox.accepted() == []


@pytest.mark.parametrize("slug", MESSENGERS)
def test_a_lost_answer_is_sent_again_under_the_same_key(workplace: Workplace, slug: str) -> None:
    vendor = connected(workplace, slug)
    workplace.alerts(1)
    workplace.sandbox.fault(vendor, "lost_answer", times=1)
    workplace.sync(vendor, "scheduled")
    assert workplace.states(vendor) == ["in_doubt"]
    workplace.pass_time(minutes=10)
    workplace.sync(vendor, "scheduled")
    assert workplace.states(vendor) == ["delivered"]
    arrived = workplace.sandbox.accepted(vendor)
    knows_keys = integrations.get(vendor).in_doubt == "native_key"
    assert [kept.copy for kept in arrived] == ([1] if knows_keys else [1, 2])
    assert {kept.key for kept in arrived} == {row.key for row in workplace.deliveries(vendor)}


@pytest.mark.parametrize("slug", MESSENGERS)
def test_refused_credentials_pause_the_connection_and_keep_the_queue(workplace: Workplace, slug: str) -> None:
    vendor = connected(workplace, slug)
    if slug == "email":
        connections.edit(workplace.who, workplace.ids[vendor], values={"password": "wrong"})
    else:
        workplace.sandbox.fault(vendor, "401", times=1)
    workplace.alerts(2)
    assert not workplace.sync(vendor).success
    assert workplace.row(vendor).problem
    assert set(workplace.states(vendor)) == {"pending"}


@pytest.mark.parametrize("slug", MESSENGERS)
def test_a_preview_shows_no_secret(workplace: Workplace, slug: str) -> None:
    vendor = connected(workplace, slug)
    workplace.alerts(1)
    (request,) = connections.preview(workplace.who, workplace.ids[vendor], 1)
    secrets = set(BY_BOT.values()) | {
        value
        for name, value in workplace.sandbox.credentials(vendor).items()
        if name
        not in ("url", "endpoint_url", "host", "port", "security", "username", "from_address", "recipients")
    }
    assert request.body
    assert [secret for secret in secrets - {web_api.CHANNEL} if secret in repr(request)] == []


def test_a_webhook_takes_only_the_events_it_asks_for(workplace: Workplace) -> None:
    connected(workplace, "webhook")
    breach = "footprintiq.alert.data_breach"
    connections.edit(workplace.who, workplace.ids["webhook"], values={"events": breach})
    (left_out,) = workplace.alerts(1)
    workplace.alerts(1, alert_type="data_breach")
    assert workplace.sync("webhook").count == 1
    assert [kept.body["type"] for kept in workplace.sandbox.accepted("webhook")] == [breach]
    (story,) = history.explain(workplace.who, "alert", left_out).connections
    assert story.sentence == (
        "Filtered: its event is footprintiq.alert.new_exposure, and the connection takes footprintiq.alert.data_breach."
    )
    connections.edit(workplace.who, workplace.ids["webhook"], values={"events": ""})
    assert workplace.sync("webhook").count == 1


def test_a_mail_that_some_did_not_get_says_so(workplace: Workplace) -> None:
    connected(workplace, "email")
    both = "soc@example.org,nobody@example.org"
    connections.edit(workplace.who, workplace.ids["email"], values={"recipients": both})
    (alert,) = workplace.alerts(1)
    assert workplace.sync("email").count == 1
    (story,) = history.explain(workplace.who, "alert", alert).connections
    assert story.sentence.endswith(", not to nobody@example.org (550 5.1.1 User unknown).")
