"""Lists a page at a time: `?limit=&cursor=` in, `items` and `next_cursor` out."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import orjson
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from core.platform.errors import Invalid

MAX_LIMIT = 200


class Page(BaseModel):
    """The query of every list; unknown names are refused, so that a typing error is not ignored."""

    model_config = ConfigDict(extra="forbid")
    limit: int = Field(50, ge=1, le=MAX_LIMIT, description="How many at most.")
    cursor: str | None = Field(None, max_length=1000, description="`next_cursor` of the page before.")


PageQuery = Annotated[Page, Query()]


def before(page: Page, name: str) -> int | None:
    """The id that the page before ended with. Raises Invalid for a cursor of another list."""
    value = _open(page.cursor, name)
    if value is not None and not (type(value) is int and 0 < value < 2**63):
        raise _wrong()
    return value


def paged(page: Page, name: str, found: Sequence[Any], key: Callable[[Any], Any]) -> dict[str, Any]:
    """`found` is one more than asked for, if there are more."""
    items = list(found[: page.limit])
    is_more = len(found) > page.limit
    return {"items": items, "next_cursor": _seal(name, key(items[-1])) if is_more else None}


def sliced(page: Page, name: str, every: Sequence[Any], key: Callable[[Any], list[str]]) -> dict[str, Any]:
    """The same for a list that is there as a whole; `key` is unique and what it is sorted by."""
    after = _open(page.cursor, name)
    if after is not None and not (isinstance(after, list) and all(isinstance(part, str) for part in after)):
        raise _wrong()
    rest = sorted((item for item in every if after is None or key(item) > after), key=key)
    return paged(page, name, rest, key)


def _seal(name: str, value: Any) -> str:
    return urlsafe_b64encode(orjson.dumps([name, value])).decode().rstrip("=")


def _open(cursor: str | None, name: str) -> Any:
    if cursor is None:
        return None
    try:
        content = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        raise _wrong() from None
    if not isinstance(content, list) or len(content) != 2 or content[0] != name or content[1] is None:
        raise _wrong()
    return content[1]


def _wrong() -> Invalid:
    sentence = "This is not a cursor of this list. Take `next_cursor` of its page before, or leave it out."
    return Invalid(sentence, {"cursor": sentence})
