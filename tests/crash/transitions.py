"""Every change of a delivery's state, written by a trigger in the transaction that made it."""

from dataclasses import dataclass

from sqlalchemy import text

from core.storage import db

_COLUMNS = """delivery integer, before varchar(10), after varchar(10), attempt_before integer,
  attempt_after integer, attempts_before integer, attempts_after integer, doubted integer"""
_VALUES = """new.id, old.state, new.state, old.attempt_id, new.attempt_id, old.attempt_count,
  new.attempt_count, CASE WHEN new.in_doubt_since IS NOT NULL AND
    (old.in_doubt_since IS NULL OR old.in_doubt_since <> new.in_doubt_since) THEN 1 ELSE 0 END"""
_NAMES = "delivery, before, after, attempt_before, attempt_after, attempts_before, attempts_after, doubted"
_SQLITE = (
    f"CREATE TABLE transitions (number integer PRIMARY KEY, {_COLUMNS})",
    f"""CREATE TRIGGER keep_transition AFTER UPDATE OF state ON webhook_deliveries BEGIN
      INSERT INTO transitions ({_NAMES}) VALUES ({_VALUES}); END""",
)
_POSTGRES = (
    f"CREATE TABLE transitions (number bigserial PRIMARY KEY, {_COLUMNS})",
    f"""CREATE FUNCTION keep_transition() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO transitions ({_NAMES}) VALUES ({_VALUES}); RETURN NULL; END $$""",
    """CREATE TRIGGER keep_transition AFTER UPDATE OF state ON webhook_deliveries
      FOR EACH ROW EXECUTE FUNCTION keep_transition()""",
)
#: what a state may become, and nothing else
LEGAL = {
    "pending": {"sending", "skipped", "dead", "in_doubt"},
    "retrying": {"sending", "skipped", "dead", "in_doubt"},
    "in_doubt": {"sending", "dead"},
    "sending": {"delivered", "dead", "retrying", "in_doubt", "pending", "held"},
    "held": {"pending", "skipped"},
    "dead": {"pending"},
    "skipped": {"pending"},
    "delivered": {"pending"},
}


@dataclass(frozen=True)
class Transition:
    delivery: int
    before: str
    after: str
    attempt_before: int | None
    attempt_after: int | None
    attempts_before: int
    attempts_after: int
    doubted: int  # 1: from now on it may have arrived by this attempt

    @property
    def is_legal(self) -> bool:
        return self.after in LEGAL[self.before]


def keep_transitions() -> None:
    """From now on, in this database."""
    with db.session() as session:
        dialect = session.get_bind().dialect.name
        for statement in _SQLITE if dialect == "sqlite" else _POSTGRES:
            session.execute(text(statement))


def read_transitions(after: int = 0) -> list[Transition]:
    """In the order in which they were made, from the one that follows the first `after`."""
    with db.reading() as session:
        statement = text(f"SELECT {_NAMES} FROM transitions WHERE number > :after ORDER BY number")
        return [Transition(*row) for row in session.execute(statement, {"after": after})]
