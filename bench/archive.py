"""A hub that has sent for a year, of any size: deliveries with everything that hangs on them, by set-based SQL.

Fifty connections of four people. Of every ten thousand deliveries ten are not delivered. Each connection has
all records of its kind; those of one person stopped long ago, so that whoever walks the log from its newest end
to find them walks all of it. Indexes are made after the rows: ten million take minutes, not hours.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection as Link
from sqlalchemy import select
from sqlmodel import col

from core import connections
from core.storage import db
from core.storage.models import CatalogEntry, Connection, Heartbeat, User

PEOPLE, CONNECTIONS = 4, 50
QUIET = 2  # connections of the last person, whose rows are the oldest
BUSY = CONNECTIONS - QUIET
DAYS = 90
CHUNK = 500_000
#: what is left of a payload after retention: the newest in so many still have one
KEPT_ONE_IN = 20
#: every table that grows with what is sent
GROWING = (
    "webhook_deliveries",
    "siem_events",
    "delivery_attempts",
    "ticket_integrations",
    "integration_logs",
    "audit_log",
    "hub_messages",
    "scans",
    "cases",
    "monitoring_alerts",
)
TEXT = "x" * 400
#: a number from 0 to 10,006, spread evenly over whatever the row numbers are taken by
DICE = "(i * 7919) % 10007"


@dataclass(frozen=True)
class Words:
    """What the two databases say differently."""

    series: str  # numbers :low to :high as `i`
    moment: str  # of a number of seconds
    digest: str  # 32 letters that follow from `i`
    yes: str
    no: str


WORDS = {
    "sqlite": Words(
        "(WITH RECURSIVE n(i) AS (SELECT {low} UNION ALL SELECT i + 1 FROM n WHERE i < {high}) SELECT i FROM n)",
        "strftime('%Y-%m-%d %H:%M:%f000', {seconds}, 'unixepoch')",
        "printf('%08x%08x%016x', (i * 2654435761) % 4294967296, (i * 40503) % 4294967291, i)",
        "1",
        "0",
    ),
    "postgresql": Words(
        "(SELECT i FROM generate_series(CAST({low} AS bigint), {high}) AS n(i))",
        "to_timestamp({seconds})",
        "md5(i::text)",
        "true",
        "false",
    ),
}


def fill(rows: int) -> None:
    """Fill the migrated, empty database that `core.storage.db` points at with `rows` deliveries."""
    connections.publish_catalog()
    with db.session() as session:
        now = db.now(session).replace(microsecond=0)
        session.merge(Heartbeat(name="scheduler", owner="bench", beat_at=now, started_at=now))
    _people(now)
    engine = db.engine(write=True)
    with engine.connect() as opened, _fast(opened):
        link = opened.execution_options(no_parameters=True)  # a % is a % then
        _records(link, rows, now)
        _deliveries(link, rows, now)
        _what_hangs_on_them(link, rows, now)


def add_scans(count: int, already: int) -> None:
    """So many new ones, which the quiet person's SIEM has not seen; `already` deliveries are there."""
    old = already // BUSY + 1
    first = 3 * old + 3
    with db.engine(write=True).connect() as opened:
        link = opened.execution_options(no_parameters=True)
        columns = "owner_id, extra, content_hash, revision, received_at, status, high_risk_count"
        for low in range(1, count + 1, old):
            step = min(old, count + 1 - low)
            link.exec_driver_sql(
                f"INSERT INTO scans (local_id, id, change_seq, {columns}) SELECT local_id + {old + low - 1}, "
                f"id || '-{low}', {first + low - 1} + local_id, {columns} FROM scans WHERE local_id <= {step}"
            )
        link.exec_driver_sql(f"UPDATE counters SET value = {first + count} WHERE name = 'change_seq'")
        link.exec_driver_sql(
            f"UPDATE user_integrations SET export_cursor = {first}, next_wake_at = NULL, "
            f'options = \'{{"every":"5m","batch_limit":500,"scope":"all","drain":true}}\' '
            f"WHERE id = '{connection_id(BUSY)}'"
        )
        link.exec_driver_sql("COMMIT")


def analyze() -> None:
    """Give the planner its statistics; PostgreSQL keeps them by itself, a hub on SQLite never has any."""
    with db.engine(write=True).connect() as link:
        link.exec_driver_sql("COMMIT")  # neither wants a transaction around it
        if link.dialect.name == "sqlite":
            link.exec_driver_sql("ANALYZE")
            return
        raw = link.connection.dbapi_connection
        raw.set_autocommit(True)
        raw.execute("VACUUM ANALYZE")
        raw.set_autocommit(False)


def person(number: int) -> str:
    """E-mail of one of the four; the last one's records are all old."""
    return f"person{number}@example.org"


def connection_id(number: int) -> str:
    """One of the fifty; the last QUIET are the last person's, a SIEM's and a ticket system's."""
    return _uuid(1000 + number)


def _people(now: datetime) -> None:
    by_kind: dict[str, list[str]] = {"siem": [], "ticketing": [], "communication": []}
    with db.session() as session:
        for entry in session.execute(select(CatalogEntry).order_by(col(CatalogEntry.slug))).scalars():
            by_kind[entry.category].append(entry.id)
        for number in range(PEOPLE):
            # all admins: what a connection of everybody's records takes, its owner may see
            session.add(User(id=_uuid(number), email=person(number), role="admin", created_at=now))
        session.flush()
        for number in range(CONNECTIONS):
            entries = list(by_kind.values())[number % 3]
            session.add(_connection(number, entries[number % len(entries)], now))


def _connection(number: int, entry: str, now: datetime) -> Connection:
    owner = PEOPLE - 1 if number >= BUSY else number % (PEOPLE - 1)
    return Connection(
        id=connection_id(number),
        user_id=_uuid(owner),
        integration_id=entry,
        name=f"Connection {number:02}",
        options={"every": "5m", "batch_limit": 10, "scope": "all"},
        scope="all",
        last_sync=now - timedelta(minutes=1),
        next_sync_at=now + timedelta(days=1),
        next_wake_at=now + timedelta(days=1),
        created_at=now - timedelta(days=DAYS),
        updated_at=now,
    )


def _uuid(number: int) -> str:
    return str(uuid.UUID(int=(0xF1 << 120) + number))


@contextmanager
def _fast(link: Link) -> Iterator[None]:
    """Without indexes, keys and a safe disk while it is filled."""
    if link.dialect.name == "sqlite":
        link.exec_driver_sql("ROLLBACK")
        for pragma in ("journal_mode = MEMORY", "synchronous = OFF", "cache_size = -4000000"):
            link.exec_driver_sql(f"PRAGMA {pragma}")
        link.exec_driver_sql("CREATE TEMPORARY TABLE bench_statistics AS SELECT * FROM sqlite_stat1")
        again = _without(link, "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        again += _STATISTICS  # an index that is dropped takes its statistics along
        link.exec_driver_sql("BEGIN")
    else:
        link.exec_driver_sql("SET session_replication_role = replica")
        link.exec_driver_sql("SET maintenance_work_mem = '1GB'")
        again = _without(link, _POSTGRES_INDEXES)
    yield
    for statement in again:
        link.exec_driver_sql(statement)
    link.exec_driver_sql("COMMIT")


_STATISTICS = (
    "DELETE FROM sqlite_stat1",
    "INSERT INTO sqlite_stat1 SELECT * FROM bench_statistics",
    "ANALYZE sqlite_schema",
)
_POSTGRES_INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""
_POSTGRES_KEYS = """
    SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'u'
"""


def _without(link: Link, query: str) -> list[str]:
    again = []
    for name, definition in link.exec_driver_sql(query).all():
        if any(f" {table} " in definition or f".{table} " in definition for table in GROWING):
            link.exec_driver_sql(f"DROP INDEX {name}")
            again.append(definition)
    if link.dialect.name == "postgresql":
        for name, table, definition in link.exec_driver_sql(_POSTGRES_KEYS).all():
            if table in GROWING:
                link.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
                again.append(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    return again


def _records(link: Link, rows: int, now: datetime) -> None:
    count = rows // BUSY + 1
    owners = " ".join(f"WHEN {n} THEN '{_uuid(n)}'" for n in range(PEOPLE))
    owner = f"CASE i % {PEOPLE} {owners} END"
    words, seconds = WORDS[link.dialect.name], _spread(count, now)
    at = words.moment.format(seconds=seconds)
    base = ("local_id", "owner_id", "id", "extra", "content_hash", "revision", "received_at", "change_seq")
    own = {
        "scan": ("scans", "status, high_risk_count", "'completed', 7"),
        "case": ("cases", "title, status, priority", "'Leaked ' || i, 'open', 'high'"),
        "alert": (
            "monitoring_alerts",
            "title, severity, is_read, is_resolved",
            f"'Exposure ' || i, 'high', {words.yes}, {words.no}",
        ),
    }
    for turn, (kind, (table, names, values)) in enumerate(own.items()):
        known = f"i, {owner}, '{kind}-' || {words.digest}, '{{}}', {words.digest}, 1, {at}, i * 3 + {turn}"
        _insert(link, table, [*base, names], f"{known}, {values}", count)
    link.exec_driver_sql(
        f"INSERT INTO counters (name, value) VALUES ('change_seq', {count * 3 + 3}) "
        f"ON CONFLICT (name) DO UPDATE SET value = {count * 3 + 3}"
    )


def _spread(count: int, now: datetime) -> str:
    """Seconds of row `i` of so many, the last one just now."""
    return f"({now.timestamp()} - {DAYS * 86400}.0 * ({count} - i) / {count})"


def _insert(link: Link, table: str, names: Sequence[str], values: str, count: int, source: str = "") -> None:
    words = WORDS[link.dialect.name]
    for low in range(1, count + 1, CHUNK):
        numbers = words.series.format(low=low, high=min(low + CHUNK - 1, count))
        link.exec_driver_sql(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM {numbers} AS n {source} ORDER BY i"
        )


def _deliveries(link: Link, rows: int, now: datetime) -> None:
    quiet = rows // CONNECTIONS * QUIET
    number = f"CASE WHEN i <= {quiet} THEN {BUSY} + i % {QUIET} ELSE (i - {quiet} - 1) % {BUSY} END"
    record = f"CASE WHEN i <= {quiet} THEN (i - 1) / {QUIET} ELSE (i - {quiet} - 1) / {BUSY} END + 1"
    words = WORDS[link.dialect.name]
    at, late = (
        words.moment.format(seconds=s) for s in (_spread(rows, now), f"({now.timestamp()} - i % 600)")
    )
    waits = f"{DICE} IN (0, 1, 2)"
    open_ = f"{DICE} < 8"
    values = {
        "id": "i",
        "user_id": "c.user_id",
        "webhook_id": "c.id",
        "record_kind": f"CASE WHEN {DICE} = 12 AND c.kind = 'alert' THEN 'digest' ELSE c.kind END",
        "record_id": record,
        "revision": "1",
        "key": f"'fiq-' || c.kind || '-' || {words.digest}",
        "event_type": "'footprintiq.' || c.kind",
        "severity": "CASE i % 4 WHEN 0 THEN 'low' WHEN 1 THEN 'medium' WHEN 2 THEN 'high' ELSE 'critical' END",
        "payload": f'CASE WHEN {open_} OR i > {rows - rows // KEPT_ONE_IN} THEN \'{{"text":"{TEXT}"}}\' END',
        "state": f"CASE {DICE} WHEN 0 THEN 'pending' WHEN 1 THEN 'retrying' WHEN 2 THEN 'in_doubt' "
        "WHEN 3 THEN 'sending' WHEN 4 THEN 'dead' WHEN 5 THEN 'held' WHEN 6 THEN 'skipped' "
        "WHEN 7 THEN 'skipped' WHEN 8 THEN 'dead' WHEN 9 THEN 'dead' ELSE 'delivered' END",
        "reason": f"CASE WHEN {DICE} IN (6, 7) THEN 'Skipped because the connection''s filter was changed.' "
        f"WHEN {DICE} < 10 THEN 'The vendor answered 503.' END",
        "attempt_id": f"CASE WHEN {DICE} NOT IN (0, 5, 6, 7) THEN (i - 1) / 50 + 1 END",
        "attempt_count": f"CASE WHEN {DICE} IN (0, 5, 6, 7) THEN 0 ELSE 1 END",
        "next_attempt_at": f"CASE WHEN {waits} THEN {late} END",
        "in_doubt_since": f"CASE WHEN {DICE} = 2 THEN {at} END",
        "look_ups": "0",
        "digest_id": f"CASE WHEN {DICE} = 13 AND c.kind = 'alert' THEN (i / 1000 + 1) END",
        "wanted_at": at,
        "delivered_at": f"CASE WHEN {DICE} >= 10 THEN {at} END",
        "created_at": at,
    }
    link.exec_driver_sql(
        "CREATE TEMPORARY TABLE bench_connections (n integer, id text, user_id text, kind text)"
    )
    link.exec_driver_sql(
        "INSERT INTO bench_connections SELECT CAST(substr(c.name, 12) AS integer), c.id, c.user_id, "
        "CASE e.category WHEN 'siem' THEN 'scan' WHEN 'ticketing' THEN 'case' ELSE 'alert' END "
        "FROM user_integrations c JOIN integration_catalog e ON e.id = c.integration_id"
    )
    names, source = list(values), f"JOIN bench_connections c ON c.n = {number}"
    _insert(link, "webhook_deliveries", names, ", ".join(values.values()), rows, source)


def _what_hangs_on_them(link: Link, rows: int, now: datetime) -> None:
    words = WORDS[link.dialect.name]
    at = words.moment.format(seconds=_spread(rows // 50 + 1, now))
    outcome = "CASE WHEN EXISTS (SELECT 1 FROM bench_sending s WHERE s.id = i) THEN 'open' ELSE 'closed' END"
    link.exec_driver_sql(
        "CREATE TEMPORARY TABLE bench_sending AS "
        "SELECT DISTINCT attempt_id AS id FROM webhook_deliveries WHERE state = 'sending'"
    )
    link.exec_driver_sql("CREATE UNIQUE INDEX bench_sending_id ON bench_sending (id)")
    names = ("id", "connection_id", "run_id", "worker", "started_at", "lease_until", "outcome", "items")
    given = f"i, c.id, 'run-' || i, 'bench', {at}, {at}, {outcome}, 50"
    source = f"JOIN bench_connections c ON c.n = i % {CONNECTIONS}"
    single = "CASE WHEN i % 10 = 0 THEN (i - 1) * 50 + 1 END"
    given = f"{given}, {single}, '[]'"
    _insert(link, "delivery_attempts", [*names, "delivery_id", "exchanges"], given, rows // 50 + 1, source)
    logs = rows // 20
    at = words.moment.format(seconds=_spread(logs, now))
    status = "CASE WHEN i % 60 = 0 THEN 'failed' ELSE 'success' END"
    names = ("id", "user_integration_id", "run_id", "sync_type", "status", "records_synced", "metadata")
    # the quiet ones ran long ago, too
    number = f"CASE WHEN i <= {logs // 25} THEN {BUSY} + i % {QUIET} ELSE i % {BUSY} END"
    source = f"JOIN bench_connections c ON c.n = {number}"
    given = f"i, c.id, 'log-' || i, 'scheduled', {status}, 10, '{{}}', {at}, {at}"
    _insert(link, "integration_logs", [*names, "created_at", "finished_at"], given, logs, source)
    at = words.moment.format(seconds=_spread(rows // 100, now))
    given = f"i, {at}, 'bench', 'connection.edit', '', '{{}}'"
    _insert(link, "audit_log", ("id", "at", "actor", "action", "subject", "details"), given, rows // 100)
    given = f"i, 'digest', 'Messages ' || i, {at}"
    _insert(link, "hub_messages", ("id", "kind", "title", "created_at"), given, rows // 48 + 1)
    link.exec_driver_sql(
        "INSERT INTO siem_events (user_id, integration_id, delivery_id, event_type, severity, source, title, "
        "description, is_exported, exported_at, created_at) SELECT user_id, webhook_id, id, event_type, 'high', "
        f"'footprintiq', 'A scan', '', CASE WHEN state = 'delivered' THEN {words.yes} ELSE {words.no} END, "
        "delivered_at, created_at FROM webhook_deliveries WHERE record_kind = 'scan' ORDER BY id"
    )
    link.exec_driver_sql(
        "INSERT INTO ticket_integrations (user_id, integration_id, case_local_id, external_ticket_id, metadata, "
        "created_at, updated_at) SELECT user_id, webhook_id, record_id, 'T-' || id, '{}', created_at, created_at "
        "FROM webhook_deliveries WHERE record_kind = 'case' AND state = 'delivered' ORDER BY id"
    )
    _figures(link, now)
    for table, column in _SERIALS if link.dialect.name == "postgresql" else ():
        link.exec_driver_sql(
            f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), "
            f"coalesce((SELECT max({column}) FROM {table}), 1))"
        )


_SERIALS = [
    (table, "local_id" if table in ("scans", "cases", "monitoring_alerts") else "id") for table in GROWING
]


def _figures(link: Link, now: datetime) -> None:
    words = WORDS[link.dialect.name]
    hour = int(now.replace(minute=0, second=0, tzinfo=UTC).timestamp())
    at = words.moment.format(seconds=f"({hour} - (i - 1) / {CONNECTIONS} * 3600)")
    sums = ("runs_ok", "runs_partial", "runs_failed", "delivered", "dead", "retried", "in_doubt", "calls")
    given = f"c.id, {at}, 11, 0, 1, 40, 0, 1, 0, 12, 20000, 0, '[0,0,3,6,2,1,0,0,0,0,0,0,0]', '[30,5,5]'"
    names = ("connection_id", "hour", *sums, "bytes_out", "cost", "call_ms", "delay_s")
    source = f"JOIN bench_connections c ON c.n = i % {CONNECTIONS}"
    _insert(link, "hourly_figures", names, given, DAYS * 24 * CONNECTIONS, source)
