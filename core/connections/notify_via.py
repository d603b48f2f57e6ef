"""Check the option `notify_via`: which connection notifies people when another one fails."""

from sqlmodel import Session

from core import integrations
from core.access import Principal
from core.access.scope import row_of
from core.platform.errors import Invalid, NotFound
from core.storage.models import Category


def channel(session: Session, who: Principal, ref: str, own_id: str | None) -> str:
    """Find the id of the connection that `ref` names. Raises Invalid for one that reaches no people.

    The id is kept, so that a new name changes nothing. Only a connection that `who` may use is taken: `shared`
    shows a channel, it does not let others write to it.
    """
    try:
        row, slug, _ = row_of(session, who, ref, to_change=True)
    except (NotFound, Invalid) as error:
        raise _wrong(error.message) from None
    if row.id == own_id:
        raise _wrong("A connection that fails cannot tell about itself. Name another one in notify_via.")
    category = integrations.get(slug).category
    if category is not Category.COMMUNICATION:
        raise _wrong(
            f'"{row.name}" reaches no people: notify_via takes chat, paging, mail or a webhook. Name one of them.'
        )
    return row.id


def _wrong(sentence: str) -> Invalid:
    return Invalid(sentence, {"notify_via": sentence})
