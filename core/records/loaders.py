"""Times as PostgreSQL has them and Python does not: read as text, `infinity` above all; parsing tells of it."""

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader


def register(raw: psycopg.Connection) -> None:
    """Have this connection read any time."""
    for name, loader in (("timestamptz", _Timestamptz), ("timestamp", _Timestamp), ("date", _Date)):
        raw.adapters.register_loader(name, loader)


class _Timestamptz(TimestamptzLoader):
    def load(self, data: Buffer) -> Any:
        return _or_text(super().load, data)


class _Timestamp(TimestampLoader):
    def load(self, data: Buffer) -> Any:
        return _or_text(super().load, data)


class _Date(DateLoader):
    def load(self, data: Buffer) -> Any:
        return _or_text(super().load, data)


def _or_text(load: Callable[[Buffer], Any], data: Buffer) -> Any:
    try:
        return load(data)
    except psycopg.DataError:
        return bytes(data).decode()
