"""A connection's life after its birth: edit, pause, enable, delete."""

from collections.abc import Mapping
from typing import Any, Literal

from sqlmodel import Session

from core import integrations, records
from core.access import Principal, find_user
from core.access.audit import audit
from core.access.principal import require_admin
from core.access.scope import row_of, row_to_change
from core.connections.creation import (
    checked_name,
    checked_options,
    flush_name,
    guard_proxy,
    require_everybodys,
    set_scope,
    split,
)
from core.connections.redirection import redirected, require_again
from core.delivery import breaker, outbox, refresh
from core.delivery.filters import CONFIG_FIELDS
from core.delivery.profile import Profile
from core.delivery.selection import count_new, start_after
from core.http.errors import Misconfigured
from core.integrations import credentials
from core.platform.errors import Conflict, Locked
from core.storage import db, due_times
from core.storage.models import Connection, SkippedBy, User

#: enabling sends what waited; beyond this many rows a person says what is to become of them
ASK_ABOVE = 1000
#: options that decide which records are wanted
FILTERS = ("scope", "min_severity", "high_risk_threshold", "start_from")
#: options without which nothing can be sent: whoever corrects one need not wait for the next probe
STOPPERS = ("mapping", "retry")


@db.unit
def edit(
    who: Principal,
    ref: str,
    *,
    name: str | None = None,
    values: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    shared: bool | None = None,
    owner: str | None = None,
) -> str:
    """Change what is given, keep the rest (also the secrets). An empty value clears a field. Returns the id.

    Raises Invalid, with `fields`, where another address or another `owner` (an e-mail; admins only) asks for the
    secrets again.
    """
    with db.session() as session:
        row, slug = row_to_change(session, who, ref)
        now = db.now(session)
        if name is not None:
            row.name = checked_name(name)
        if shared is not None:
            row.shared = shared
        person = _next_owner(session, who, row, owner)
        if values or person:
            _change_values(session, who, row, slug, values or {}, person)
            breaker.forgive(row)
            outbox.hasten(session, row.id, now)
            if person or not set(CONFIG_FIELDS).isdisjoint(values or {}):
                _look_again(session, row)
        if options:
            before = row.options
            row.options = checked_options(
                session, who, integrations.get(slug), before | dict(options), now, row
            )
            set_scope(row)
            if row.problem and any(before.get(key) != row.options[key] for key in STOPPERS):
                breaker.forgive(row)
            if any(before.get(key) != row.options[key] for key in FILTERS):
                _look_again(session, row)
            due_times.sync_now(row, now)
        if row.scope == "all":
            require_everybodys(session, who, row.user_id)
        due_times.wake(row, now)
        row.updated_at = now
        session.add(row)
        flush_name(session, row.name)
        plain = {"name": name, "shared": shared, "owner": person}
        changed = sorted(
            {*(values or ()), *(options or ())} | {key for key in plain if plain[key] is not None}
        )
        said = {"shared": shared, "owner": person and person.email}
        new = {key: value for key, value in said.items() if value is not None}
        audit(session, who, "connection.edit", row.id, name=row.name, changed=changed, **new)
        return row.id


@db.unit
def enable(who: Principal, ref: str, backlog: Literal["send", "skip"] | None = None) -> None:
    """Resume. Raises Conflict when more than 1,000 records wait and `backlog` does not say what to do.

    `skip` leaves out all that was wanted until now: from here on the connection starts again.
    """
    if backlog is None:
        _ask(who, ref)
    with db.session() as session:
        row, _ = row_to_change(session, who, ref)
        now = db.now(session)
        dropped = 0
        if backlog == "skip":
            dropped = outbox.skip(
                session, row.id, "Skipped when the connection was enabled again.", SkippedBy.FILTER
            )
            row.options = row.options | {"start_from": now.isoformat()}
            start_after(row, records.head(session))
        row.is_active = True
        breaker.forgive(row)
        outbox.hasten(session, row.id, now)
        due_times.sync_now(row, now)
        row.updated_at = now
        session.add(row)
        audit(
            session,
            who,
            "connection.enable",
            row.id,
            name=row.name,
            backlog=backlog or "send",
            skipped=dropped,
        )


def _ask(who: Principal, ref: str) -> None:
    """Raise Conflict when a paused connection has so much to send that a person should say whether they want it."""
    with db.reading() as session:
        row, _, _ = row_of(session, who, ref, to_change=True)
        if row.is_active:
            return
        most = ASK_ABOVE + 1
        waiting = outbox.count_waiting(session, row.id, most)
        if waiting < most:
            waiting += count_new(session, Profile.saved(session, row), most - waiting)
    if waiting > ASK_ABOVE:
        raise Conflict(
            f'More than {ASK_ABOVE:,} records wait for "{row.name}". '
            "Enable it with backlog=send to deliver them, or backlog=skip to drop them."
        )


@db.unit
def disable(who: Principal, ref: str) -> None:
    """Pause: a call in flight is finished, nothing more is sent, records go on waiting."""
    with db.session() as session:
        row, _ = row_to_change(session, who, ref)
        row.is_active = False
        row.failing_since = None  # who switched it off knows; the clock starts again when it is on again
        row.updated_at = db.now(session)
        session.add(row)
        audit(session, who, "connection.disable", row.id, name=row.name)


@db.unit
def delete(who: Principal, ref: str) -> None:
    """The secret is destroyed; keys and ticket links stay, so that nothing is ever sent twice."""
    with db.session() as session:
        row, _ = row_to_change(session, who, ref)
        now = db.now(session)
        dropped = outbox.end(session, row.id)
        row.credentials_encrypted, row.secret_names, row.is_active = None, [], False
        row.deleted_at = row.updated_at = now
        session.add(row)
        audit(session, who, "connection.delete", row.id, name=row.name, skipped=dropped)


def _next_owner(session: Session, who: Principal, row: Connection, email: str | None) -> User | None:
    """Whose the connection becomes; None when it stays where it is."""
    if email is None:
        return None
    require_admin(who, "give a connection to somebody else")
    person = find_user(session, email)
    if person.disabled_at is not None:
        raise Conflict(f"{person.email} is disabled. Enable them first, or choose somebody else.")
    return None if person.id == row.user_id else person


def _change_values(
    session: Session,
    who: Principal,
    row: Connection,
    slug: str,
    given: Mapping[str, Any],
    owner: User | None = None,
) -> None:
    """Seal and save new fields, for the new `owner` where there is one: what it sent before stays somebody else's."""
    manifest = integrations.get(slug)
    config, secrets = split(manifest, integrations.check_config(manifest, given, _readable(row)))
    changed = redirected(manifest, row.config, config) + (["owner"] if owner else [])
    require_again(manifest, row.secret_names, given, changed)
    if owner:
        row.user_id, row.mixed = owner.id, True
    place = integrations.place_of(manifest, row.config)
    if place is not None and place != integrations.place_of(manifest, config):
        outbox.settle_places(session, row.id, place)
    if "proxy" in given:
        guard_proxy(who, config)
    row.config, row.secret_names = config, sorted(secrets)
    row.credentials_encrypted = credentials.seal(secrets, row.id, row.user_id)


def _readable(row: Connection) -> dict[str, Any]:
    """The config, with the secrets where they can still be opened: what cannot is being entered again."""
    try:
        return credentials.values(row)
    except (Misconfigured, Locked):
        return dict(row.config)


def _look_again(session: Session, row: Connection) -> None:
    """Other records are wanted now: walk all of them again; what is queued or sent is recognised."""
    start_after(row, 0)
    refresh.refilter(session, Profile.saved(session, row))
