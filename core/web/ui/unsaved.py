"""What a person has entered into a form and not saved: it outlives leaving the page and, without secrets, a reload."""

from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from core.access import Principal


@dataclass
class Unsaved:
    """Only what differs from what is saved, so that all else shows what somebody may have saved meanwhile."""

    config: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    #: the connection's name, and whether it is shared
    other: dict[str, Any] = field(default_factory=dict)
    #: of this tab alone
    secrets: dict[str, Any] = field(default_factory=dict)
    #: it was entered before the page was loaded, so that the secrets are gone
    is_back: bool = False

    def __bool__(self) -> bool:
        return bool(self.config or self.options or self.other or self.secrets)

    def clear(self) -> None:
        for part in (self.config, self.options, self.other, self.secrets):
            part.clear()
        self.is_back = False


def of_form(who: Principal, form: str) -> Unsaved:
    """What this person has entered into the form of that name."""
    kept, key = _kept(who.user_id, form), f"unsaved_{form}"
    if key not in st.session_state:
        st.session_state[key] = Unsaved(kept.config, kept.options, kept.other, is_back=bool(kept))
    found: Unsaved = st.session_state[key]
    return found


def note(part: dict[str, Any], name: str, value: Any, saved: Any) -> None:
    """Keep the value of a field, unless it says the same as what is saved."""
    if value == saved or not (value or saved):
        part.pop(name, None)
    else:
        part[name] = value


@st.cache_resource(ttl="8h", max_entries=1000, show_spinner=False)
def _kept(user_id: str, form: str) -> Unsaved:
    """In the memory of the server, for every tab of one person; never with a secret."""
    return Unsaved()
