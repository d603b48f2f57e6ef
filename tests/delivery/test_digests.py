"""More messages than people read: one digest with the list, and each record still says where it went."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from core import connections
from core.delivery import history, housekeeping, outbox, runs, send, sync
from core.delivery.history import search
from core.delivery.history.search import DeliveryFilter
from core.delivery.outcome import Outcome, Row
from core.integrations import get, manifests
from core.integrations.limits import MessageLimit
from core.integrations.manifest import STORM
from core.platform.errors import Conflict
from core.storage import db
from core.storage.models import Delivery, HourlyFigures, State
from tests.support.fault_server import holding, http
from tests.support.live import until
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.slow


def digests(workplace: Workplace) -> list[Delivery]:
    return [row for row in workplace.deliveries("slack") if row.record_kind == "digest"]


def alerts(workplace: Workplace) -> list[Delivery]:
    return [row for row in workplace.deliveries("slack") if row.record_kind == "alert"]


def arrived(workplace: Workplace) -> list[str]:
    return [accepted.key for accepted in workplace.sandbox.accepted("slack")]


# --- the arithmetic -----------------------------------------------------------------------------------


def test_only_what_is_in_the_window_counts() -> None:
    storm = MessageLimit(3, 300)
    assert storm.recent([0, 100, 100.1, 399], 400) == [100.1, 399]
    assert [storm.room(sent, 400) for sent in ([], [399], [399] * 3, [399] * 9)] == [3, 2, 0, 0]


@given(st.integers(1, 20), st.lists(st.floats(0, 1000), max_size=200))
def test_no_window_ever_has_more_than_the_limit(limit: int, moments: list[float]) -> None:
    storm = MessageLimit(limit, 60)
    known: list[float] = []
    sent: list[float] = []
    for now in sorted(moments):
        if storm.room(known, now):
            known, sent = [*storm.recent(known, now), now], [*sent, now]
    assert len(known) <= limit
    assert all(last - first >= 60 for first, last in zip(sent, sent[limit:], strict=False))


@pytest.mark.parametrize(
    ("text", "storm"),
    [
        ("20/5m", MessageLimit(20, 300)),
        (" 5 / 90S ", MessageLimit(5, 90)),
        ("1/24h", MessageLimit(1, 86_400)),
        ("Off", None),
    ],
)
def test_a_limit_is_written_as_people_say_it(text: str, storm: MessageLimit | None) -> None:
    assert MessageLimit.parse(text) == storm


def test_messengers_have_a_limit_and_others_have_none() -> None:
    assert get("slack").storm == STORM == MessageLimit(20, 300)
    assert get("splunk").storm is None
    assert get("jira").storm is None


# --- the flow -----------------------------------------------------------------------------------------


def test_as_many_as_the_limit_go_one_by_one(workplace: Workplace) -> None:
    workplace.connect("slack", batch_limit=100, storm="5/5m")
    workplace.alerts(5)
    assert workplace.sync("slack").count == 5
    assert digests(workplace) == []
    assert len(arrived(workplace)) == 5


def test_more_than_the_limit_become_one_message_that_lists_them(workplace: Workplace) -> None:
    workplace.connect("slack", batch_limit=100)
    ids = workplace.alerts(37, title="Password of ana in a dump")
    ids += workplace.alerts(1, title="Card number for sale", severity="critical")
    result = workplace.sync("slack")
    assert (result.success, result.count) == (True, 38)
    (accepted,) = workplace.sandbox.accepted("slack")
    (digest,) = digests(workplace)
    assert accepted.key == digest.key
    text = str(accepted.body)
    assert "38 alerts in one message: 1 critical, 37 high" in text
    assert text.index("critical: Card number for sale") < text.index("high: Password of ana in a dump")
    assert f"… and 13 more: http://127.0.0.1:8501/deliveries?record={digest.key}" in text
    assert {row.state for row in alerts(workplace)} == {"delivered"}
    assert {row.digest_id for row in alerts(workplace)} == {digest.id}
    story = history.explain(workplace.who, "alert", ids[0]).connections[0]
    assert story.state == "delivered"
    assert f"in a digest (delivery {digest.id})" in story.sentence
    assert len(story.delivery.attempts) == 1  # the digest's own call
    with db.reading() as session:
        figures = session.execute(select(HourlyFigures)).scalars().all()
    assert sum(row.delivered for row in figures) == 38


def test_a_storm_that_goes_on_is_a_message_per_window(workplace: Workplace) -> None:
    workplace.connect("slack", realtime=True, storm="5/5m", every="1h")
    for _ in range(5):
        workplace.alerts(1)
        workplace.sync("slack", "scheduled")
    assert len(arrived(workplace)) == 5
    for _ in range(4):  # over the limit: they wait for each other
        workplace.alerts(2)
        workplace.sync("slack", "scheduled")
    (first,) = digests(workplace)
    assert len(arrived(workplace)) == 6
    waiting = [row for row in alerts(workplace) if row.state == "pending"]
    assert len(waiting) == 6
    assert {row.digest_id for row in waiting} == {None}
    assert "Held back for a digest" in str(waiting[0].reason)
    row = workplace.row("slack")
    assert row.next_wake_at == waiting[0].next_attempt_at  # nobody looks before
    workplace.pass_time(minutes=5.1)
    assert workplace.sync("slack", "scheduled").count == 6
    assert len(digests(workplace)) == 2
    assert {row.state for row in alerts(workplace)} == {"delivered"}
    assert first.key in arrived(workplace)


def test_one_more_than_the_limit_waits_and_goes_by_itself(workplace: Workplace) -> None:
    workplace.connect("slack", realtime=True, storm="3/5m")
    workplace.alerts(3)
    workplace.sync("slack", "scheduled")
    workplace.alerts(1)
    assert workplace.sync("slack", "scheduled").count == 0
    workplace.pass_time(minutes=5.1)
    assert workplace.sync("slack", "scheduled").count == 1
    assert digests(workplace) == []


def test_a_person_can_switch_it_off(workplace: Workplace) -> None:
    workplace.connect("slack", batch_limit=100, storm="off")
    workplace.alerts(9)
    connections.edit(workplace.who, workplace.ids["slack"], options={"storm": "3/5m"})
    connections.edit(workplace.who, workplace.ids["slack"], options={"storm": "off"})
    assert workplace.sync("slack").count == 9
    assert digests(workplace) == []


def test_siems_and_trackers_get_no_digest(workplace: Workplace) -> None:
    workplace.connect("splunk", batch_limit=100)
    workplace.scans(30)
    workplace.sync("splunk")
    assert {row.record_kind for row in workplace.deliveries("splunk")} == {"scan"}


def test_what_piled_up_while_the_vendor_was_away_comes_as_one_message(workplace: Workplace) -> None:
    workplace.connect("slack", batch_limit=100, storm="5/5m", realtime=True)
    workplace.sandbox.fault("slack", "503")
    for _ in range(6):
        workplace.alerts(2)
        workplace.sync("slack", "scheduled")
        workplace.pass_time(minutes=6)
    workplace.sandbox.clear_faults()
    for _ in range(4):
        workplace.sync("slack", "scheduled")
        workplace.pass_time(minutes=6)
    assert {row.state for row in alerts(workplace)} == {"delivered"}
    assert len(arrived(workplace)) < 12
    assert len(arrived(workplace)) == len(set(arrived(workplace)))


def test_a_digest_that_is_tried_again_keeps_its_key_and_its_rows(workplace: Workplace) -> None:
    workplace.connect("slack", batch_limit=100)
    workplace.alerts(30)
    workplace.sandbox.fault("slack", "503", times=1)
    assert not workplace.sync("slack", "scheduled").success
    (digest,) = digests(workplace)
    assert (digest.state, digest.attempt_count) == ("retrying", 1)
    assert {(row.state, row.attempt_count) for row in alerts(workplace)} == {("pending", 0)}
    workplace.pass_time(minutes=1)
    assert workplace.sync("slack", "scheduled").count == 30
    assert arrived(workplace) == [digest.key]
    assert {row.state for row in alerts(workplace)} == {"delivered"}


def test_a_digest_that_is_refused_leaves_its_records_to_be_replayed(workplace: Workplace) -> None:
    workplace.connect("slack", batch_limit=100, storm="3/5m", retry={"attempts": 1})
    workplace.alerts(6)
    workplace.sandbox.fault("slack", "503", times=1)
    workplace.sync("slack", "scheduled")
    (digest,) = digests(workplace)
    assert digest.state == "skipped"
    rows = alerts(workplace)
    assert {row.state for row in rows} == {"dead"}
    assert str(rows[0].reason).startswith(
        "The digest it was part of did not arrive. Given up after 1 attempt."
    )
    with pytest.raises(Conflict, match="records are replayed"):
        history.replay_one(workplace.who, digest.id or 0)
    for row in rows:
        history.replay_one(workplace.who, row.id or 0)
    workplace.pass_time(minutes=6)
    assert workplace.sync("slack", "scheduled").count == 6
    assert {row.state for row in alerts(workplace)} == {"delivered"}
    assert len(arrived(workplace)) == 1


def test_a_deleted_connection_skips_the_digest_and_its_rows(workplace: Workplace) -> None:
    workplace.connect("slack", batch_limit=100)
    workplace.alerts(30)
    workplace.sandbox.fault("slack", "503", times=1)
    workplace.sync("slack", "scheduled")
    connections.delete(workplace.who, workplace.ids["slack"])
    assert set(workplace.states("slack")) == {"skipped"}


def test_a_narrower_filter_leaves_what_is_in_a_digest(workplace: Workplace) -> None:
    workplace.connect("slack", batch_limit=100)
    workplace.alerts(30)
    workplace.sandbox.fault("slack", "503", times=1)
    workplace.sync("slack", "scheduled")
    connections.edit(workplace.who, workplace.ids["slack"], options={"min_severity": "critical"})
    assert {row.state for row in alerts(workplace)} == {"pending"}  # the message is written already
    assert workplace.sync("slack").count == 30


# --- dying in between ---------------------------------------------------------------------------------


def test_dying_while_the_digest_is_made_leaves_everything_as_it_was(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.connect("slack", batch_limit=100)
    workplace.alerts(30)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sync.outbox, "claim", dies)
    with pytest.raises(KeyboardInterrupt):
        workplace.sync("slack")
    monkeypatch.undo()
    assert digests(workplace) == []
    assert {row.digest_id for row in alerts(workplace)} == {None}
    workplace.pass_time(minutes=2)
    assert workplace.sync("slack").count == 30
    assert len(arrived(workplace)) == 1


def test_dying_after_the_digest_was_sent_sends_it_again_under_the_same_key(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.connect("slack", batch_limit=100)
    workplace.alerts(30)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("core.delivery.send.Send.close", dies)
    with pytest.raises(KeyboardInterrupt):
        workplace.sync("slack")
    monkeypatch.undo()
    workplace.pass_time(minutes=2)
    housekeeping.housekeep()
    (digest,) = digests(workplace)
    assert digest.state == "in_doubt"
    assert {row.state for row in alerts(workplace)} == {"pending"}
    workplace.pass_time(minutes=2)
    assert workplace.sync("slack").count == 30
    assert arrived(workplace) == [digest.key] * 2  # Slack cannot tell; the copy carries the same key
    assert {row.state for row in alerts(workplace)} == {"delivered"}


def test_a_digest_that_kills_each_worker_leaves_its_records_to_be_replayed(workplace: Workplace) -> None:
    id = workplace.connect("slack", batch_limit=100, retry={"attempts": 2})
    workplace.alerts(30)
    for _ in range(2):
        begun = sync._start(id, "manual", None, lambda: False, 600)
        sync.export(begun)
        assert send.claim(begun)
        workplace.pass_time(hours=20)
        housekeeping.housekeep()
    (digest,) = digests(workplace)
    assert digest.state == "skipped"
    assert {row.state for row in alerts(workplace)} == {"dead"}
    assert {row.next_attempt_at for row in alerts(workplace)} == {None}
    assert "Given up after 2 attempts" in str(alerts(workplace)[0].reason)


@pytest.mark.parametrize("slug", [m.slug for m in manifests().values() if m.storm])
def test_every_messenger_takes_a_digest(workplace: Workplace, slug: str) -> None:
    workplace.connect(slug, batch_limit=100)
    workplace.alerts(30)
    assert workplace.sync(slug).count == 30
    (accepted,) = workplace.sandbox.accepted(slug)
    (digest,) = [row for row in workplace.deliveries(slug) if row.record_kind == "digest"]
    assert (accepted.key, digest.state) == (digest.key, "delivered")
    assert "30 alerts in one message" in f"{accepted.title}{accepted.body}"


def test_a_worker_that_slept_past_its_lease_closes_no_row_of_the_digest(workplace: Workplace) -> None:
    with holding(http(200, b"ok")) as (server, let_go):
        workplace.connect_at(server.url, "slack", batch_limit=100)
        workplace.alerts(30)
        sleeper = threading.Thread(target=workplace.sync, args=("slack", "scheduled"))
        sleeper.start()
        until(lambda: [row.state for row in digests(workplace)] == ["sending"], "the call did not begin")
        assert housekeeping._reap(runs.WORKER) == 1
        let_go.set()
        sleeper.join(30)
    assert [row.state for row in digests(workplace)] == ["in_doubt"]
    assert {row.state for row in alerts(workplace)} == {"pending"}


def test_a_digest_that_is_no_longer_this_attempts_ends_no_row(workplace: Workplace) -> None:
    workplace.connect("slack", batch_limit=100)
    workplace.alerts(30)
    workplace.sandbox.fault("slack", "503", times=1)
    workplace.sync("slack", "scheduled")
    (digest,) = digests(workplace)
    assert digest.id is not None
    row = Row(digest.id, digest.key, "{}", "digest", digest.record_id, 1, 0, None, digest.wanted_at)
    stale = outbox.Claim(
        attempt_id=(digest.attempt_id or 0) + 1, connection_id=digest.webhook_id, rows=(row,)
    )
    with db.session() as session:
        verdict = Outcome(digest.id, State.DELIVERED, 2)
        assert outbox.close(session, stale, [verdict], db.now(session)) == 0
    assert {row.state for row in alerts(workplace)} == {"pending"}


def test_a_mapping_of_its_own_that_takes_no_digest_sends_each_by_itself(workplace: Workplace) -> None:
    workplace.connect("slack", batch_limit=100, storm="3/5m", mapping={"severity": "{scan_id}"})
    workplace.alerts(5, scan_id="high")
    workplace.sync("slack")
    workplace.pass_time(minutes=6)
    workplace.sync("slack")
    assert len(arrived(workplace)) == 5
    assert digests(workplace) == []


def test_the_lists_name_what_the_hub_said_and_find_what_is_in_a_digest(workplace: Workplace) -> None:
    workplace.connect("slack", batch_limit=100)
    workplace.alerts(30)
    workplace.sync("slack")
    (digest,) = digests(workplace)
    page = search.search(workplace.who, DeliveryFilter(record=digest.key))
    assert len(page.rows) == 31
    assert page.rows[0].title == "30 alerts in one message: 30 high"
    assert search.title(workplace.who, digest.id or 0) == page.rows[0].title
    shown = history.listing(workplace.who)
    assert (shown[0].kind, shown[0].record_id, shown[1].digest_id) == ("digest", None, digest.id)
