"""The key of a record with every vendor."""

import hashlib
import re
import uuid

_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_END_CHARS = 8


def delivery_key(kind: str, id: str, name: str) -> str:
    """The key of a record with every vendor, for ever: `fiq-scan-<uuid>-<8 hex digits>`.

    A uuid is the record's own, whoever owns it, and by whichever door it came. Any other id, as "1" in a CSV, may
    be two people's: `name`, the `user_id` it came with, tells them apart, in whatever case. Never the owner: the
    hub may learn only later who that is, and a hub built again knows its people by other ids.
    """
    if _UUID.fullmatch(id):
        return f"fiq-{kind}-{id}-{hashlib.sha256(id.encode()).hexdigest()[:_END_CHARS]}"
    name = name.lower()
    both = f"{len(name)}:{name}{id}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(both).hexdigest()  # 160 bits of it: two people meet never
    return f"fiq-{kind}-{uuid.UUID(digest[:32])}-{digest[32 : 32 + _END_CHARS]}"
