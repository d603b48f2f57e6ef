"""What columns are made of: UTC times and wide integers, on both databases."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, String, TypeDecorator
from sqlmodel import Field, SQLModel

#: A table's rows are checked by no validator of pydantic's, so each is made when it is first asked for, if ever: all of
#: them take a command at a terminal a tenth of its time.
SQLModel.model_config["defer_build"] = True


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on both databases. SQLite has no time zones: stored naive there, read aware."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone was given to the database")
        if value.tzinfo is not UTC:
            value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def bind_processor(self, dialect: Dialect) -> Any:
        """For SQLite, as its driver's own type writes it: every row has several of these."""
        if dialect.name != "sqlite":
            return super().bind_processor(dialect)

        def as_text(value: datetime | None) -> str | None:
            moment = self.process_bind_param(value, dialect)
            return None if moment is None else moment.isoformat(" ", "microseconds")

        return as_text

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        if dialect.name != "sqlite":
            return super().result_processor(dialect, coltype)
        return lambda text: None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


#: 64 bits on PostgreSQL; SQLite wants INTEGER for its row id
BigInt = BigInteger().with_variant(Integer, "sqlite")


def utc(**kw: Any) -> Any:
    return Field(sa_type=UtcDateTime, **kw)


def big_pk() -> Any:
    return Field(default=None, primary_key=True, sa_type=BigInt)


def connection_fk(**kw: Any) -> Any:
    return Field(sa_type=String(36), foreign_key="user_integrations.id", **kw)
