"""A vendor that is away for days: the owner is told on days 1, 3 and 5, then the connection is switched off."""

import threading
from pathlib import Path

import pytest
from sqlalchemy import select, update

from core import connections
from core.delivery import housekeeping, sync
from core.delivery import notices as messages
from core.integrations import credentials
from core.platform.errors import Invalid
from core.platform.settings import settings
from core.storage import db
from core.storage.models import AuditEntry, Connection, Delivery, HubMessage
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.slow


@pytest.fixture
def failing(workplace: Workplace) -> Workplace:
    """A Splunk that refuses its token, with a Slack that tells about it."""
    chat = workplace.connect("slack")
    workplace.connect("splunk", notify_via=chat)
    workplace.scans(2)
    workplace.sandbox.fault("splunk", "403")
    workplace.sync("splunk", "scheduled")
    assert workplace.row("splunk").failing_since is not None
    return workplace


def days_pass(workplace: Workplace, days: float) -> None:
    """A probe every quarter of an hour would be 480 calls; one a day keeps the clock running as well."""
    for _ in range(int(days)):
        workplace.pass_time(days=1)
        workplace.sync("splunk", "scheduled")
        housekeeping.housekeep()


def notices(workplace: Workplace) -> list[Delivery]:
    return [row for row in workplace.deliveries("slack") if row.record_kind == "notice"]


def told(workplace: Workplace) -> list[int]:
    return [int(row.key.rsplit("-", 1)[1]) for row in notices(workplace)]


def test_the_owner_is_told_on_days_1_3_and_5_and_then_it_is_switched_off(failing: Workplace) -> None:
    seen = []
    for _ in range(5):
        days_pass(failing, 1)
        seen.append((told(failing), failing.row("splunk").is_active))
    assert seen == [([1], True), ([1], True), ([1, 3], True), ([1, 3], True), ([1, 3, 5], False)]
    row = failing.row("splunk")
    assert str(row.problem).startswith("Switched off: nothing reached Splunk for 5 days, since ")
    assert "then switch it on" in str(row.problem)
    assert failing.states("splunk") == ["pending", "pending"]  # the queue is kept, and no attempt was spent
    assert {row.attempt_count for row in failing.deliveries("splunk")} == {0}
    housekeeping.housekeep()
    assert told(failing) == [1, 3, 5]
    with db.reading() as session:
        entry = session.execute(select(AuditEntry).where(AuditEntry.actor == "hub")).scalar_one()
    assert (entry.action, entry.subject) == ("connection.disable", row.id)


def test_a_notice_that_was_queued_before_leaves_nothing_behind(failing: Workplace) -> None:
    days_pass(failing, 1)
    with db.session() as session:
        session.execute(update(Connection).values(told_day=0))
    housekeeping.housekeep()
    assert told(failing) == [1]
    assert failing.row("splunk").told_day == 1
    with db.reading() as session:
        kept = session.execute(select(HubMessage.id)).scalars().all()
    assert kept == [row.record_id for row in notices(failing)]


def test_a_notice_arrives_as_a_message_with_its_way_on(failing: Workplace) -> None:
    days_pass(failing, 1)
    assert failing.sync("slack", "scheduled").count == 1
    (accepted,) = failing.sandbox.accepted("slack")
    (row,) = notices(failing)
    assert accepted.key == row.key
    text = str(accepted.body)
    name, id = failing.row("splunk").name, failing.ids["splunk"]
    assert f'Connection "{name}" fails' in text
    assert "unless a delivery succeeds before" in text
    assert f"/connection?id={id}" in text
    assert "2 records wait" in text


def test_a_success_ends_the_clock_and_the_next_failure_starts_it_anew(failing: Workplace) -> None:
    days_pass(failing, 4)
    assert told(failing) == [1, 3]
    failing.sandbox.clear_faults()
    assert failing.sync("splunk").count == 2
    row = failing.row("splunk")
    assert (row.failing_since, row.told_day) == (None, 0)
    failing.sandbox.fault("splunk", "503")
    failing.scans(1)
    failing.sync("splunk")
    days_pass(failing, 1)
    assert failing.row("splunk").is_active
    assert told(failing) == [1, 3, 1]  # another time of failing has keys of its own


def test_429_is_not_a_failure(workplace: Workplace) -> None:
    workplace.connect("slack")
    workplace.alerts(1)
    workplace.sandbox.fault("slack", "429")
    workplace.sync("slack")
    assert workplace.row("slack").failing_since is None


def test_what_a_person_paused_is_not_counted(failing: Workplace) -> None:
    connections.disable(failing.who, failing.ids["splunk"])
    failing.pass_time(days=6)
    housekeeping.housekeep()
    assert told(failing) == []
    connections.enable(failing.who, failing.ids["splunk"])
    failing.sync("splunk")
    housekeeping.housekeep()
    assert failing.row("splunk").is_active
    assert told(failing) == []


def test_a_test_that_passes_ends_the_clock(failing: Workplace) -> None:
    failing.pass_time(days=4.9)
    failing.sandbox.clear_faults()
    assert all(step.ok is not False for step in connections.test(failing.who, failing.ids["splunk"]))
    assert failing.row("splunk").failing_since is None


def test_a_connection_that_nobody_called_is_left_alone(failing: Workplace) -> None:
    failing.pass_time(days=6)  # no sync, so no failed call: nobody knows how it is
    housekeeping.housekeep()
    assert failing.row("splunk").is_active
    assert told(failing) == []


def test_a_channel_that_fails_is_not_told_and_is_told_when_it_is_well_again(failing: Workplace) -> None:
    failing.alerts(1)
    failing.sandbox.fault("slack", "503")
    failing.sync("slack")
    days_pass(failing, 2)
    assert told(failing) == []
    failing.sandbox.clear_faults("slack")
    failing.sync("slack")
    housekeeping.housekeep()
    assert told(failing) == [1]


def test_two_that_tell_about_each_other_fail_together_and_nothing_goes_round(workplace: Workplace) -> None:
    one = workplace.connect("slack")
    two = workplace.connect("slack", notify_via=one)
    connections.edit(workplace.who, one, options={"notify_via": two})
    workplace.alerts(1)
    workplace.sandbox.fault("slack", "503")
    for each in (one, two):
        sync.run(each)
    for _ in range(6):
        workplace.pass_time(days=1)
        for each in (one, two):
            connection = connections.find(workplace.who, each)
            if connection.is_active:
                sync.run(each)
        housekeeping.housekeep()
    with db.reading() as session:
        rows = session.execute(select(Connection).order_by(Connection.id)).scalars().all()
        kinds = {row.record_kind for row in session.execute(select(Delivery)).scalars()}
    assert [row.is_active for row in rows] == [False, False]
    assert kinds == {"alert"}


def test_gone_is_told_at_once(workplace: Workplace) -> None:
    chat = workplace.connect("slack")
    ref = workplace.connect("splunk", notify_via=chat)
    with db.session() as session:  # as after 410: the vendor asked for it
        row, now = session.get_one(Connection, ref), db.now(session)
        row.is_active, row.problem, row.failing_since = False, "Splunk answered 410.", now
        row.last_failure_at = now
    housekeeping.housekeep()
    housekeeping.housekeep()
    assert told(workplace) == [5]


def test_a_day_is_told_once_however_many_look(failing: Workplace) -> None:
    failing.pass_time(hours=23)
    failing.sync("splunk", "scheduled")
    failing.pass_time(hours=2)
    barrier = threading.Barrier(4)

    def look() -> None:
        barrier.wait()
        messages.attend()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told(failing) == [1]


def test_a_scheduler_that_dies_while_telling_has_told_nothing_and_the_next_one_tells(
    failing: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    days_pass(failing, 4)
    failing.pass_time(days=1.1)
    failing.sync("splunk", "scheduled")
    from core.delivery import notices as told_by

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(told_by, "_tell", dies)
    with pytest.raises(KeyboardInterrupt):
        housekeeping.housekeep()
    monkeypatch.undo()
    row = failing.row("splunk")
    assert (row.is_active, row.told_day, told(failing)) == (True, 3, [1, 3])
    housekeeping.housekeep()
    row = failing.row("splunk")
    assert (row.is_active, row.told_day, told(failing)) == (False, 5, [1, 3, 5])


def test_without_anybody_to_tell_it_is_switched_off_all_the_same(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.scans(1)
    workplace.sandbox.fault("splunk", "403")
    workplace.sync("splunk")
    days_pass(workplace, 5)
    assert not workplace.row("splunk").is_active


def test_a_hub_without_its_key_switches_nothing_off(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.scans(1)
    Path(settings().secret_key_file).unlink()
    credentials.ring.cache_clear()
    assert not workplace.sync("splunk").success
    assert workplace.row("splunk").failing_since is None


@pytest.mark.parametrize(
    ("told_by", "words"),
    [
        ("nobody", "There is no connection"),
        ("jira", "reaches no people"),
        ("itself", "cannot tell about itself"),
    ],
)
def test_only_another_connection_that_reaches_people_can_be_named(
    workplace: Workplace, told_by, words
) -> None:
    ref = workplace.connect("splunk")
    named = {"nobody": "Nobody", "itself": ref}.get(told_by) or workplace.connect("jira")
    with pytest.raises(Invalid, match=words) as caught:
        connections.edit(workplace.who, ref, options={"notify_via": named})
    assert list(caught.value.fields) == ["notify_via"]


def test_anothers_channel_cannot_be_used_even_when_it_is_shared(workplace: Workplace, people) -> None:
    theirs = connections.create(
        people.b,
        "slack",
        name="Theirs",
        values=workplace.sandbox.credentials("slack"),
        options={},
        shared=True,
    )
    with pytest.raises(Invalid, match="There is no connection"):
        workplace.connect("splunk", notify_via=theirs)


def test_a_channel_keeps_telling_under_its_new_name(workplace: Workplace) -> None:
    chat = workplace.connect("slack")
    ref = workplace.connect("splunk", notify_via=workplace.row("slack").name)
    assert workplace.row("splunk").options["notify_via"] == chat
    connections.edit(workplace.who, chat, name="Another name")
    connections.edit(workplace.who, ref, options={"every": "1m"})
    assert workplace.row("splunk").options["notify_via"] == chat


def test_a_retry_schedule_that_cannot_be_kept_is_refused_when_it_is_saved(workplace: Workplace) -> None:
    with pytest.raises(Invalid, match='Did you mean "attempts"'):
        workplace.connect("splunk", retry={"attemps": 3})
