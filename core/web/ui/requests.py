"""What would be sent: how many records match, and the first requests as they would go out."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import streamlit as st

from core import connections
from core.access import Principal
from core.connections import MatchCount, PreviewRequest
from core.connections.previews import COUNTED
from core.delivery.filters import CONFIG_FIELDS
from core.integrations import Manifest
from core.web.ui.choices import NOUN, everybodys, plural

_MOST_PX = 360


def matching(
    who: Principal,
    manifest: Manifest,
    chosen: Mapping[str, Any],
    ref: str | None,
    values: Mapping[str, Any] | None = None,
) -> None:
    """Under the filters: what they come to, with those of the tool's own fields that filter."""
    filters = {name: value for name, value in (values or {}).items() if name in CONFIG_FIELDS}
    given = orjson.dumps([dict(chosen), filters])
    wanted = _count(who.user_id, who.role, who, manifest.slug, given, ref)
    st.markdown(f":material/filter_alt: {sentence(manifest, wanted, chosen, is_new=ref is None)}")
    if wanted.others:
        noun, verb = (NOUN[manifest.kind], "matches") if wanted.others == 1 else (plural(manifest), "match")
        switch = everybodys(manifest)
        st.markdown(
            f":material/group: {wanted.records:,} of yours, {wanted.others:,} of others: {wanted.others:,} {noun} "
            f"of other people {verb}, too. To send them, switch on “{switch}”."
        )


@st.cache_data(ttl=15, max_entries=200, show_spinner="Counting…")
def _count(user_id: str, role: str, _who: Principal, slug: str, given: bytes, ref: str | None) -> MatchCount:
    """Kept for a moment: a form is drawn again at every choice. The person is part of the key."""
    chosen, filters = orjson.loads(given)
    return connections.count_wanted(_who, slug, chosen, ref, filters)


def sentence(manifest: Manifest, wanted: MatchCount, chosen: Mapping[str, Any], *, is_new: bool) -> str:
    noun, number = NOUN[manifest.kind], wanted.records
    if is_new and chosen["start_from"] == "now":
        return f"Only {noun}s that arrive from now on are sent."
    if not number:
        return f"No {noun} matches now. The first that does is sent by itself."
    many = f"{number:,} {noun}{'' if number == 1 else 's'} {'matches' if number == 1 else 'match'} now"
    if not wanted.is_all:
        many += f" among the newest {COUNTED:,}"
    first = number if chosen["drain"] else min(number, int(chosen["batch_limit"]))
    if not is_new:
        return f"{many}. What was sent already is not sent again."
    return f"{many}. The first sync sends {'all of them' if first == number > 1 else f'{first:,}'}."


def show_requests(manifest: Manifest, requests: Sequence[PreviewRequest]) -> None:
    if not requests:
        st.text("Nothing would be sent now: no record waits that this connection wants.")
    for number, request in enumerate(requests, 1):
        held = len(request.keys)
        records = f"{held} {NOUN[manifest.kind]}{'' if held == 1 else 's'} inside"
        with st.expander(f"Request {number}: {records}", expanded=number == 1):
            st.code(f"{request.method} {request.url}", language=None, wrap_lines=True)
            body = pretty(request.body)
            height: Any = _MOST_PX if body.count("\n") > 15 else "content"
            st.code(body, language="json", wrap_lines=True, height=height)


def pretty(body: str) -> str:
    """JSON, or JSON line by line (HEC, NDJSON), indented; anything else as it would be sent."""
    try:
        return _indented(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return "\n".join(_indented(line) for line in body.splitlines() if line)
    except orjson.JSONDecodeError:
        return body


def _indented(text: str) -> str:
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2).decode()
