"""Many tickets at once wait for a person: held, released or discarded, and nothing in between."""

import pytest

from core import connections
from core.delivery import history, sync
from core.delivery.history import ReplayFilter, replays
from core.integrations import limits
from core.platform.errors import Conflict, NotFound
from core.storage import db
from core.storage.models import Connection
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]


def tickets(workplace: Workplace) -> int:
    return len(workplace.sandbox.accepted("jira"))


def test_fifty_tickets_go_out_and_fifty_one_wait_for_a_person(workplace: Workplace) -> None:
    workplace.connect("jira", batch_limit=100)
    workplace.cases(50)
    assert workplace.sync("jira").count == 50
    workplace.cases(51)
    result = workplace.sync("jira")
    assert (result.success, result.count, result.metadata["held"]) == (True, 0, 51)
    assert result.message == "0 delivered to Jira, 51 held until you release them."
    assert workplace.states("jira").count("held") == 51
    row = workplace.deliveries("jira")[-1]
    assert (row.reason, row.next_attempt_at) == (limits.HELD, None)
    assert tickets(workplace) == 50
    assert workplace.sync("jira").count == 0


def test_a_connection_that_drains_sends_none_of_a_flood(workplace: Workplace) -> None:
    workplace.connect(
        "jira", drain=True
    )  # five per batch: without looking ahead fifty would be created first
    workplace.cases(60)
    workplace.sync("jira")
    assert workplace.states("jira") == ["held"] * 60


def test_the_next_case_after_a_flood_goes_out(workplace: Workplace) -> None:
    workplace.connect("jira", batch_limit=100)
    workplace.cases(60)
    workplace.sync("jira")
    workplace.cases(1)
    assert workplace.sync("jira").count == 1


def test_released_tickets_are_created_once(workplace: Workplace) -> None:
    ref = workplace.connect("jira", batch_limit=100)
    workplace.cases(52)
    workplace.sync("jira")
    assert history.release(workplace.who, ref) == 52
    assert workplace.sync("jira", "scheduled").count == 52
    assert tickets(workplace) == 52
    with pytest.raises(Conflict, match="Nothing is held"):
        history.release(workplace.who, ref)
    assert workplace.sync("jira").count == 0


def test_one_of_them_can_be_released_and_the_rest_discarded(workplace: Workplace) -> None:
    ref = workplace.connect("jira", batch_limit=100)
    workplace.cases(51)
    workplace.sync("jira")
    first = workplace.deliveries("jira")[0]
    assert history.release(workplace.who, ref, first.id) == 1
    assert history.discard(workplace.who, ref) == 50
    assert workplace.sync("jira").count == 1
    rows = workplace.deliveries("jira")
    assert [rows[0].state, {row.state for row in rows[1:]}] == ["delivered", {"skipped"}]
    assert rows[1].reason == f"Discarded by {workplace.who.email}."
    assert history.replay_one(workplace.who, rows[1].id or 0).startswith("Queued")  # a second thought
    assert workplace.sync("jira").count == 1


def test_what_was_discarded_by_mistake_is_taken_back_as_a_whole(workplace: Workplace) -> None:
    ref = workplace.connect("jira", batch_limit=100)
    workplace.cases(52)
    workplace.sync("jira")
    history.discard(workplace.who, ref)
    wanted = ReplayFilter.of({"connection": ref, "state": "skipped", "reason": "Discarded by"})
    assert history.plan(workplace.who, wanted).count == 52
    replays.begin(workplace.who, wanted)
    assert workplace.sync("jira", "scheduled").count == 52
    assert tickets(workplace) == 52


def test_a_run_that_is_killed_between_two_batches_holds_the_rest_as_well(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.connect("jira", drain=True)
    monkeypatch.setattr("core.delivery.export.TOGETHER", 55)
    workplace.cases(70)
    real = sync.deliver

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sync, "deliver", dies)
    with pytest.raises(KeyboardInterrupt):
        workplace.sync("jira")
    monkeypatch.setattr(sync, "deliver", real)
    assert workplace.states("jira") == ["held"] * 55
    with db.session() as session:  # its lease has run out
        row = session.get_one(Connection, workplace.ids["jira"])
        row.run_id = row.run_worker = row.lease_until = None
    workplace.sync("jira")  # fifteen more, by themselves no flood
    assert workplace.states("jira") == ["held"] * 70
    assert tickets(workplace) == 0


def test_a_filter_that_is_narrowed_and_widened_again_creates_no_flood_either(workplace: Workplace) -> None:
    ref = workplace.connect("jira", batch_limit=100)
    workplace.cases(60, priority="low")
    workplace.sync("jira")
    connections.edit(workplace.who, ref, options={"min_severity": "high"})
    assert set(workplace.states("jira")) == {"skipped"}
    connections.edit(workplace.who, ref, options={"min_severity": "low"})
    workplace.sync("jira")
    assert set(workplace.states("jira")) == {"held"}
    assert tickets(workplace) == 0


def test_siems_hold_nothing(workplace: Workplace) -> None:
    workplace.connect("splunk", batch_limit=100)
    workplace.scans(60)
    assert workplace.sync("splunk").count == 60


def test_nobody_releases_anothers_tickets(workplace: Workplace, people) -> None:
    ref = workplace.connect("jira", batch_limit=100)
    workplace.cases(51)
    workplace.sync("jira")
    held = workplace.deliveries("jira")[0].id
    for verb in (history.release, history.discard):
        for delivery in (None, held):
            with pytest.raises(NotFound):
                verb(people.b, ref, delivery)
    assert workplace.states("jira") == ["held"] * 51


def test_a_delivery_of_another_connection_is_not_released_by_this_one(workplace: Workplace) -> None:
    ref = workplace.connect("jira", batch_limit=100)
    workplace.cases(51)
    workplace.sync("jira")
    held = workplace.deliveries("jira")[0].id
    other = workplace.connect("jira")
    with pytest.raises(Conflict):
        history.release(workplace.who, other, held)
    assert connections.find(workplace.who, ref).held == 51
