"""A new connection: its fields checked, its secrets sealed."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from core import integrations, records
from core.access import Principal, find_user, oldest_admin
from core.access.audit import audit
from core.access.principal import require_member
from core.connections.catalog import entry_id, offer, publish_new
from core.connections.notify_via import channel
from core.delivery.retry import Policy
from core.integrations import Manifest, credentials, own_mapping
from core.integrations import options as options_
from core.platform.errors import Conflict, Forbidden, Invalid
from core.storage import db, due_times
from core.storage.models import Connection, Role, User

_ADMINS_ONLY = "Only an admin may connect everybody's records. Use scope=mine, or ask an admin."


def check_new(
    who: Principal,
    slug: str,
    *,
    name: str,
    values: Mapping[str, Any],
    options: Mapping[str, Any],
    owner: str | None = None,
) -> None:
    """Raise what `create` would, without saving and without a call: cheap mistakes come before the test."""
    manifest = offer(slug)
    config, _ = split(manifest, integrations.check_config(manifest, values))
    guard_proxy(who, config)
    with db.reading() as session:
        checked_options(session, who, manifest, options, db.now(session))
        person = _owner(session, who, owner)
        taken = select(col(Connection.id)).where(
            col(Connection.user_id) == person.id,
            col(Connection.name) == checked_name(name),
            col(Connection.deleted_at).is_(None),
        )
        if session.execute(taken).first():
            raise _name_taken(name)


@db.unit
def create(
    who: Principal,
    slug: str,
    *,
    name: str,
    values: Mapping[str, Any],
    options: Mapping[str, Any],
    owner: str | None = None,
    shared: bool = False,
) -> str:
    """Save a connection and return its id. `values` is the whole config, secrets as plain strings.

    Raises Invalid (with `fields`), NotFound for the slug, Conflict for a name in use, Forbidden.
    """
    manifest = offer(slug)
    config, secrets = split(manifest, integrations.check_config(manifest, values))
    guard_proxy(who, config)
    publish_new(slug)
    with db.session() as session:
        now = db.now(session)
        chosen = checked_options(session, who, manifest, options, now)
        person = _owner(session, who, owner)
        connection_id = str(uuid.uuid4())
        row = Connection(
            id=connection_id,
            user_id=person.id,
            integration_id=entry_id(slug),
            name=checked_name(name),
            config=config,
            options=chosen,
            credentials_encrypted=credentials.seal(secrets, connection_id, person.id),
            secret_names=sorted(secrets),
            shared=shared,
            export_cursor=records.head(session) if options.get("start_from") == "now" else 0,
            created_at=now,
            updated_at=now,
        )
        set_scope(row)
        if row.scope == "all":
            require_everybodys(session, who, person.id)
        due_times.sync_now(row, now)
        session.add(row)
        flush_name(session, name)
        audit(session, who, "connection.create", connection_id, name=name, slug=slug)
    return connection_id


def split(manifest: Manifest, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """(config, secrets) of checked values."""
    secret = integrations.secret_fields(manifest)
    config = {name: value for name, value in values.items() if name not in secret}
    return config, {name: str(values[name]) for name in secret if values.get(name)}


def checked_options(
    session: Session,
    who: Principal,
    manifest: Manifest,
    given: Mapping[str, Any],
    now: datetime,
    row: Connection | None = None,
) -> dict[str, Any]:
    """As they are saved; `row` is the connection whose options these become, if it is there already."""
    parsed = options_.parse(given, manifest.category)
    Policy.of(parsed.retry)  # a schedule that cannot be kept is refused here and not at the first failure
    if row is None or parsed.mapping != row.options.get("mapping", {}):
        own_mapping.check(manifest, parsed.mapping)
    chosen = options_.dump(parsed) | {"start_from": options_.resolve_start(parsed.start_from, now)}
    if parsed.notify_via and (row is None or parsed.notify_via != row.options.get("notify_via")):
        chosen["notify_via"] = channel(session, who, parsed.notify_via, row.id if row else None)
    if chosen["scope"] == "all" and not who.is_admin:
        raise Forbidden(_ADMINS_ONLY)
    return chosen


def set_scope(row: Connection) -> None:
    """Take the scope over from the options; that it was everybody's is never forgotten."""
    row.scope = row.options["scope"]
    row.mixed = row.mixed or row.scope == "all"


def require_everybodys(session: Session, who: Principal, owner_id: str) -> None:
    """Refuse a connection of everybody's records to whoever is no admin, and to an owner who is none."""
    if not who.is_admin:
        raise Forbidden(_ADMINS_ONLY)
    if session.get_one(User, owner_id).role != Role.ADMIN:
        raise Forbidden(
            "A connection of everybody's records belongs to an admin, who may see them. Use scope=mine, or make an "
            "admin its owner."
        )


def guard_proxy(who: Principal, config: Mapping[str, Any]) -> None:
    """A proxy sees where everything goes and resolves names itself, outside the egress guard."""
    if config.get("proxy") and not who.is_admin:
        raise Forbidden("Only an admin may set a proxy. Leave the field empty, or ask an admin.")


def checked_name(name: str) -> str:
    trimmed = " ".join(name.split())
    if not 1 <= len(trimmed) <= 100 or not trimmed.isprintable():
        sentence = "A connection's name has 1 to 100 printable characters. Choose another one."
        raise Invalid(sentence, {"name": sentence})
    return trimmed


def flush_name(session: Session, name: str) -> None:
    try:
        session.flush()
    except IntegrityError as error:
        if "name" not in str(error.orig):
            raise
        raise _name_taken(name) from None


def _name_taken(name: str) -> Conflict:
    return Conflict(f'There is already a connection called "{name}". Choose another name.')


def _owner(session: Session, who: Principal, email: str | None) -> User:
    require_member(who, "connect anything")
    if email is None:
        person = session.get(User, who.user_id) or oldest_admin(session)
        if person is None:
            raise Invalid("There is no user yet who could own the connection. Run `hub init` first.")
        return person
    person = find_user(session, email)
    if person.id != who.user_id and not who.is_admin:
        raise Forbidden("Only an admin may connect for somebody else.")
    return person
