"""A new connection: its entry in the catalog, its fields checked, its secrets sealed."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from core import integrations, records
from core.access import Principal, find_user
from core.access.audit import audit
from core.access.principal import require_member
from core.connections.notify_via import channel
from core.delivery.retry import Policy
from core.integrations import Manifest, credentials
from core.integrations import options as options_
from core.platform.errors import Forbidden, Invalid, NameTaken
from core.storage import db, due_times
from core.storage.models import CatalogEntry, Connection, Role, User

#: the catalog's ids are the same in every hub
_NAMESPACE = uuid.UUID("6f0e2c1a-5c0d-4d5e-9a59-0b7a7c1f3e10")


@db.unit
def publish_catalog() -> None:
    """Write the manifests to `integration_catalog`; an entry whose manifest is gone is hidden, not deleted."""
    with db.session() as session:
        now = db.now(session)
        rows = {row.slug: row for row in session.execute(select(CatalogEntry)).scalars()}
        for slug, manifest in integrations.manifests().items():
            row = rows.pop(slug, None) or CatalogEntry(
                id=str(uuid.uuid5(_NAMESPACE, slug)), slug=slug, created_at=now, **_words(manifest)
            )
            for name, value in _words(manifest).items():
                setattr(row, name, value)
            session.add(row)
        for row in rows.values():
            row.is_active = False


def _publish_new(slug: str) -> None:
    """A manifest that was added since `hub init`."""
    with db.reading() as session:
        known = session.get(CatalogEntry, str(uuid.uuid5(_NAMESPACE, slug)))
    if known is None:
        publish_catalog()


def _words(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "category": manifest.category,
        "provider": manifest.provider,
        "description": manifest.summary,
        "logo_url": manifest.icon,
        "config_schema": manifest.config,
        "is_active": True,
    }


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
    manifest = integrations.get(slug)
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
    manifest = integrations.get(slug)
    config, secrets = split(manifest, integrations.check_config(manifest, values))
    guard_proxy(who, config)
    _publish_new(slug)
    with db.session() as session:
        now = db.now(session)
        chosen = checked_options(session, who, manifest, options, now)
        person = _owner(session, who, owner)
        connection_id = str(uuid.uuid4())
        row = Connection(
            id=connection_id,
            user_id=person.id,
            integration_id=str(uuid.uuid5(_NAMESPACE, slug)),
            name=checked_name(name),
            config=config,
            options=chosen,
            credentials_encrypted=credentials.seal(secrets, connection_id, person.id),
            secret_names=sorted(secrets),
            scope=chosen["scope"],
            shared=shared,
            export_cursor=records.head(session) if options.get("start_from") == "now" else 0,
            created_at=now,
            updated_at=now,
        )
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
    chosen = options_.dump(parsed) | {"start_from": options_.resolve_start(parsed.start_from, now)}
    if parsed.notify_via and (row is None or parsed.notify_via != row.options.get("notify_via")):
        chosen["notify_via"] = channel(session, who, parsed.notify_via, row.id if row else None)
    if chosen["scope"] == "all" and not who.is_admin:
        raise Forbidden("Only an admin may connect everybody's records. Use scope=mine, or ask an admin.")
    return chosen


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


def _name_taken(name: str) -> NameTaken:
    return NameTaken(f'There is already a connection called "{name}". Choose another name.')


def _owner(session: Session, who: Principal, email: str | None) -> User:
    require_member(who, "connect anything")
    if email is None:
        person = session.get(User, who.user_id) or _first_admin(session)
        if person is None:
            raise Invalid("There is no user yet who could own the connection. Run `hub init` first.")
        return person
    person = find_user(session, email)
    if person.id != who.user_id and not who.is_admin:
        raise Forbidden("Only an admin may connect for somebody else.")
    return person


def _first_admin(session: Session) -> User | None:
    admins = select(User).where(col(User.role) == Role.ADMIN, col(User.disabled_at).is_(None))
    return session.execute(admins.order_by(col(User.created_at)).limit(1)).scalar_one_or_none()
