"""Which headers of a call are the hub's own: whoever sets them decides where it goes, or where it ends."""

from collections.abc import Iterable

#: in small letters. RFC 9112, 3.2 and 6: host and length; RFC 9110, 7.6.1: what is between two hops. What an answer
#: may be packed with is the client's, which bounds what it unpacks.
OWN = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
#: what the body is, a connector says; a person's word would stand beside it
_OF_THE_BODY = "content-"


def is_free(name: str) -> bool:
    """Whether a person may choose the name for a header of their own."""
    return name.lower() not in OWN and not name.lower().startswith(_OF_THE_BODY)


def refused(names: Iterable[str]) -> str | None:
    """The first of a call's headers that may not be sent: the hub's own, or one that is there twice. Else None."""
    seen = set(OWN)
    for name in names:
        if name.lower() in seen:
            return name
        seen.add(name.lower())
    return None
