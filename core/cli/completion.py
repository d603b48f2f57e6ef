"""What the shell offers at Tab: tools and connections (`hub --install-completion` sets it up)."""

import os
import re

from core.platform.errors import HubError


def tools(incomplete: str) -> list[str]:
    """Slugs of the catalog that begin like this."""
    from core import integrations

    return [slug for slug in integrations.manifests() if slug.startswith(incomplete)]


def connections(incomplete: str) -> list[str]:
    """Names of connections that begin like this. None without a database: the command itself says so."""
    from core.access import LOCAL
    from core.connections import list_views
    from core.storage import db

    try:
        db.check_current()
        names = [view.name for view in list_views(LOCAL)]
    except HubError:
        return []
    return [_as_one_word(name) for name in names if name.startswith(incomplete)]


def _as_one_word(name: str) -> str:
    """Bash takes a word as it is given; the other shells escape it themselves."""
    is_bash = "COMP_CWORD" in os.environ
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", name) if is_bash else name
