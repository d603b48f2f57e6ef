"""The source is pulled by itself: when it is due, by one at a time, and how it went is kept."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core.access import LOCAL
from core.platform.errors import Conflict, Forbidden, Invalid, Unusable
from core.platform.settings import settings
from core.records import footprintiq as feed
from core.records import source
from core.storage import db
from core.storage.models import AuditEntry, Kind, SourcePull
from tests.conftest import People
from tests.records.test_footprintiq import T0, FootprintIQ, footprintiq, stored

__all__ = ["footprintiq"]
pytestmark = pytest.mark.postgres
NOBODY = "postgresql://ana:horse@127.0.0.1:1/x"


@pytest.fixture
def set_up(footprintiq: FootprintIQ, people: People, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Gives the hub its source, as the environment would."""

    def put(url: str | None = None, every: str = "") -> None:
        monkeypatch.setenv("HUB_SOURCE_URL", footprintiq.url.reveal() if url is None else url)
        monkeypatch.setenv("HUB_SOURCE_EVERY", every)
        settings.cache_clear()

    put()
    return put


@pytest.fixture
def clock(database: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Moves the database's clock."""
    moved = [datetime(2026, 11, 24, 12, tzinfo=UTC)]
    monkeypatch.setattr(db, "now", lambda session: moved[0])

    def move(step: timedelta) -> None:
        moved[0] += step

    return move


def state() -> source.SourceState:
    found = source.state()
    assert found is not None
    return found


def audited() -> list[tuple[str, str, dict[str, Any]]]:
    with db.reading() as session:
        rows = session.execute(select(AuditEntry)).scalars()
        return [(row.actor, row.action, row.details) for row in rows]


def test_without_a_source_nothing_is_due_and_there_is_nothing_to_say(database: str) -> None:
    assert (source.is_due(), source.pull_due(), source.state()) == (False, None, None)


def test_a_source_is_due_at_once_and_again_after_its_interval(
    footprintiq: FootprintIQ, set_up: Callable[..., None], clock: Callable[[timedelta], None]
) -> None:
    scan = footprintiq.add_scan(T0)
    assert source.is_due()
    pulled = source.pull_due()
    assert pulled is not None
    assert pulled[Kind.SCAN].new == 1
    assert scan in stored()
    clock(timedelta(seconds=59))
    assert (source.is_due(), source.pull_due()) == (False, None)
    clock(timedelta(seconds=1))
    assert source.is_due()
    set_up(every="5m")
    assert not source.is_due()
    set_up(every="off")
    clock(timedelta(days=9))
    assert not source.is_due()


def test_how_it_went_is_kept(
    footprintiq: FootprintIQ, set_up: Callable[..., None], clock: Callable[[timedelta], None]
) -> None:
    address = f"{footprintiq.engine.url.query.get('host') or 'localhost'}"
    assert state().lag_s is None
    assert "has not been read yet" in state().sentence
    footprintiq.add_scan(T0)
    footprintiq.add_scan(T0, privacy_score=7.5)
    source.pull_due()
    clock(timedelta(seconds=45))
    found = state()
    assert (found.error, found.lag_s, found.is_pulling) == (None, 45.0, False)
    assert (found.new, found.changed, found.refused) == (2, 0, 0)
    assert str(address) in found.sentence
    assert "was read 45 s ago: 2 new, 0 changed" in found.sentence
    assert audited() == []  # nobody asked for it


def test_a_pull_that_fails_is_one_sentence_and_is_tried_again(
    footprintiq: FootprintIQ, set_up: Callable[..., None], clock: Callable[[timedelta], None]
) -> None:
    source.pull_due()
    footprintiq.run("ALTER TABLE cases RENAME TO away")
    clock(timedelta(minutes=2))
    with pytest.raises(Unusable, match='no table "cases"'):
        source.pull_due()
    found = state()
    assert found.error is not None
    assert found.error.startswith('There is no table "cases" in the FootprintIQ database')
    assert found.lag_s == 120.0
    assert found.sentence == f"{found.error} It is tried again every 1 min; it was last read 2 min ago."
    assert not source.is_due()
    footprintiq.run("ALTER TABLE away RENAME TO cases")
    clock(timedelta(minutes=1))
    assert source.pull_due() is not None
    assert (state().error, state().lag_s) == (None, 0.0)


def test_an_address_that_makes_no_sense_is_told_and_stops_nobody_else(set_up: Callable[..., None]) -> None:
    set_up("mysql://ana:horse@h/x")
    with pytest.raises(Invalid, match="not the address of a PostgreSQL database"):
        source.is_due()
    found = state()
    assert found.sentence.startswith("HUB_SOURCE_URL is not the address of a PostgreSQL database.")
    assert "horse" not in found.sentence


def test_the_password_is_not_kept(set_up: Callable[..., None]) -> None:
    set_up(NOBODY)
    with pytest.raises(Unusable, match="cannot be reached"):
        source.pull_due()
    with db.reading() as session:
        row = session.execute(select(SourcePull)).scalar_one()
    assert "horse" not in repr(row)
    assert row.address == "127.0.0.1:1/x"


def test_one_pulls_at_a_time(
    footprintiq: FootprintIQ, set_up: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes meanwhile, by hand or as another scheduler, is told, and reads nothing."""
    footprintiq.add_scan(T0)
    under_way, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(feed.Source, "batches", _waiting(under_way, go_on))
    holder = threading.Thread(target=source.pull_due)
    holder.start()
    assert under_way.wait(60)
    assert state().is_pulling
    assert "is being read" in state().sentence
    assert not source.is_due()
    assert source.pull_due() is None
    with pytest.raises(Conflict, match="is being read already"):
        source.pull(LOCAL, footprintiq.url)
    go_on.set()
    holder.join(60)
    assert len(stored()) == 1
    assert not state().is_pulling


def _waiting(under_way: threading.Event, go_on: threading.Event) -> Callable[..., Any]:
    real = feed.Source.batches

    def batches(self: feed.Source, kind: Kind, since: feed.Position | None) -> Any:
        under_way.set()
        assert go_on.wait(60)
        yield from real(self, kind, since)

    return batches


def test_a_pull_that_was_killed_gives_its_place_free_when_its_lease_runs_out(
    footprintiq: FootprintIQ, set_up: Callable[..., None], clock: Callable[[timedelta], None]
) -> None:
    source.pull_due()
    with db.session() as session:
        session.execute(
            update(SourcePull).values(
                pull_id="killed", lease_until=db.now(session) + timedelta(seconds=source.LEASE_S)
            )
        )
    clock(timedelta(minutes=1) - timedelta(seconds=1))
    assert source.pull_due() is None
    clock(timedelta(seconds=1))
    assert source.pull_due() is not None


def test_who_slept_past_its_lease_stores_nothing_more(
    footprintiq: FootprintIQ, set_up: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    footprintiq.add_scan(T0)
    real = feed.Source.batches

    def overtaken(self: feed.Source, kind: Kind, since: feed.Position | None) -> Any:
        with db.session() as session:
            session.execute(update(SourcePull).values(pull_id="another"))
        yield from real(self, kind, since)

    monkeypatch.setattr(feed.Source, "batches", overtaken)
    with pytest.raises(Conflict, match="Another process has taken this pull over"):
        source.pull_due()
    assert stored() == {}
    with db.reading() as session:
        assert session.execute(select(SourcePull)).scalar_one().pull_id == "another"


def test_a_long_query_keeps_its_lease(
    footprintiq: FootprintIQ, set_up: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "RENEW_S", 0.01)
    seen, renewed, real = list[datetime](), threading.Event(), feed.Source.batches

    def lease() -> datetime:
        with db.reading() as session:
            found = session.execute(select(SourcePull)).scalar_one().lease_until
        assert found is not None
        return found

    def long(self: feed.Source, kind: Kind, since: feed.Position | None) -> Any:
        first = lease()
        for _ in range(6_000):
            if (now := lease()) > first:
                seen.append(now)
                break
            renewed.wait(0.01)
        yield from real(self, kind, since)

    monkeypatch.setattr(feed.Source, "batches", long)
    assert source.pull_due() is not None
    assert len(seen) == len(Kind)


def test_who_is_stopped_gives_its_place_free_at_once_and_it_is_due(
    footprintiq: FootprintIQ, set_up: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "BATCH", 1)
    for hour in range(3):
        footprintiq.add_scan(T0 + timedelta(hours=hour))
    assert source.pull_due(lambda: len(stored()) >= 2) is None
    assert len(stored()) == 2
    assert (state().is_pulling, state().error, source.is_due()) == (False, None, True)
    assert source.pull_due() is not None
    assert len(stored()) == 3


def test_times_of_a_clock_that_was_ahead_hold_nothing_up(
    footprintiq: FootprintIQ, set_up: Callable[..., None], clock: Callable[[timedelta], None]
) -> None:
    clock(timedelta(days=30))
    source.pull_due()
    with db.session() as session:
        session.execute(
            update(SourcePull).values(
                pull_id="killed", lease_until=db.now(session) + timedelta(seconds=source.LEASE_S)
            )
        )
    clock(timedelta(days=-30))
    assert source.is_due()
    assert source.pull_due() is not None
    assert state().lag_s == 0.0


def test_a_pull_by_hand_is_audited_and_puts_the_next_one_off(
    footprintiq: FootprintIQ,
    set_up: Callable[..., None],
    people: People,
    clock: Callable[[timedelta], None],
) -> None:
    footprintiq.add_scan(T0)
    source.pull(people.admin, footprintiq.url)
    assert not source.is_due()
    ((actor, action, details),) = audited()
    assert (actor, action) == ("admin@example.org", "records.pull")
    assert details == {"new": 1, "changed": 0, "refused": 0}
    footprintiq.run("DROP TABLE monitoring_alerts")
    footprintiq.add_scan(T0)
    with pytest.raises(Unusable):
        source.pull(people.admin, footprintiq.url)
    details = audited()[-1][2]
    assert (details["new"], details["error"]) == (1, state().error)


def test_only_an_admin_pulls(footprintiq: FootprintIQ, people: People) -> None:
    with pytest.raises(Forbidden):
        source.pull(people.a, footprintiq.url)


def test_a_full_disk_is_what_the_pull_says(
    footprintiq: FootprintIQ, set_up: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    footprintiq.add_scan(T0)
    monkeypatch.setattr(
        source.disk, "require", lambda: (_ for _ in ()).throw(Unusable("The disk is nearly full."))
    )
    with pytest.raises(Unusable):
        source.pull_due()
    assert state().error == "The disk is nearly full."
