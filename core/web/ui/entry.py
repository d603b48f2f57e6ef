"""One entry of the catalog in words: how to set it up, what is sent, what happens when it fails."""

from typing import Any

import streamlit as st

from core.integrations import Manifest, mapping
from core.integrations.in_doubt import AFTER_A_LOST_ANSWER
from core.storage.models import Category, Kind
from core.web.ui.markup import muted
from core.web.ui.requests import pretty

CATEGORY = {
    Category.SIEM: ("SIEM", "shield", "High-risk scans become events"),
    Category.TICKETING: ("Ticketing", "confirmation_number", "Open cases become tickets"),
    Category.COMMUNICATION: ("Communication", "chat", "Unread alerts become messages"),
}
TIER = {
    "verified": ("Verified", "Tried on a live account."),
    "documented": ("Documented", "Built from the vendor's documentation and tried on a local stand-in."),
}
_AT = "2026-11-20T10:00:00Z"
_ID = "689eaef8-0da0-4e7e-a86b-efd7c0d1ae69"
_EXAMPLES: dict[Kind, dict[str, Any]] = {
    Kind.SCAN: {
        "scan_type": "email",
        "email": "ines.novak@example.net",
        "privacy_score": 38,
        "high_risk_count": 7,
        "medium_risk_count": 3,
        "low_risk_count": 8,
        "status": "completed",
    },
    Kind.CASE: {
        "title": "Home address of Ines Novak is public",
        "description": "Found on a people search site.",
        "status": "open",
        "priority": "high",
    },
    Kind.ALERT: {
        "alert_type": "data_breach",
        "severity": "high",
        "title": "Ines Novak is in a breach: password hashes",
        "description": "Seen by the scheduled scan.",
    },
}


#: a link inside a sentence is known by more than its colour (WCAG 1.4.1)
_UNDERLINED = "<style>.st-key-guide li a {text-decoration: underline}</style>"


def guide(manifest: Manifest) -> None:
    """What a stranger needs while filling in the form."""
    with st.container(key="guide"):
        st.html(_UNDERLINED)
        _guide(manifest)


def _guide(manifest: Manifest) -> None:
    st.subheader("How to set it up", anchor=False)
    st.markdown("\n".join(f"{number}. {step}" for number, step in enumerate(manifest.setup, 1)))
    st.subheader("What it must be allowed", anchor=False)
    st.markdown("\n".join(f"- {line}" for line in manifest.permissions))
    st.link_button("The vendor's documentation", manifest.docs_url, icon=":material/open_in_new:")


def sent(manifest: Manifest) -> None:
    st.subheader("What is sent", anchor=False)
    st.markdown(manifest.description)
    muted("An example, as the hub maps it")
    st.code(example(manifest), language="json", wrap_lines=True)


def example(manifest: Manifest) -> str:
    """The mapped body of a made-up record."""
    kind = manifest.kind
    record = {"id": _ID, "user_id": "ana@example.org", "created_at": _AT} | _EXAMPLES[kind]
    key = mapping.delivery_key(kind, _ID, "")
    known = mapping.facts(kind, record, key=key, hub_url="https://hub.example.org", include_raw=False)
    mapper = mapping.compile(manifest.mapping[kind], manifest.record, manifest.severity, {})
    return pretty(mapper.body(known))


def good_to_know(manifest: Manifest) -> None:
    """What it does when something fails, and where its ends are."""
    st.subheader("Good to know", anchor=False)
    lines = [
        f"**Delivered means:** {manifest.delivered_means}",
        f"**In doubt:** A record whose answer was lost may have arrived. {AFTER_A_LOST_ANSWER[manifest.in_doubt]}",
        f"**Cost:** {manifest.cost_note}",
        f"**{TIER[manifest.tier][0]}:** {TIER[manifest.tier][1]}",
    ]
    st.markdown("\n".join(f"- {line}" for line in lines))
    if manifest.known_limits:
        st.subheader("Known limits", anchor=False)
        st.markdown("\n".join(f"- {line}" for line in manifest.known_limits))
