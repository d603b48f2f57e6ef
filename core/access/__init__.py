"""Who is asking, what they may do, which rows they see."""

from core.access.devices import COOKIE as DEVICE_COOKIE
from core.access.devices import KEPT as DEVICE_KEPT
from core.access.people import (
    add_user,
    disable_user,
    enable_user,
    find_user,
    first_admin,
    insert_user,
    list_users,
    new_user,
    oldest_admin,
    set_external_id,
    set_password,
    set_role,
)
from core.access.principal import LOCAL, Principal
from core.access.scope import changeable, may_change, visible
from core.access.sessions import (
    ABSOLUTE,
    COOKIE,
    TooMany,
    device_cookie,
    sign_in,
    sign_out,
    signed_in,
    stay_signed_in,
)
from core.access.tokens import by_token, create_token, list_tokens, revoke_token

__all__ = [
    "ABSOLUTE",
    "COOKIE",
    "DEVICE_COOKIE",
    "DEVICE_KEPT",
    "LOCAL",
    "Principal",
    "TooMany",
    "add_user",
    "by_token",
    "changeable",
    "create_token",
    "device_cookie",
    "disable_user",
    "enable_user",
    "find_user",
    "first_admin",
    "insert_user",
    "list_tokens",
    "list_users",
    "may_change",
    "new_user",
    "oldest_admin",
    "revoke_token",
    "set_external_id",
    "set_password",
    "set_role",
    "sign_in",
    "sign_out",
    "signed_in",
    "stay_signed_in",
    "visible",
]
