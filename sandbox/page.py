"""The sandbox's pages: what arrived at each vendor, the faults, and the lines that connect the hub to it.

Everything that came in from outside goes through `escape`; the pages load nothing and run no script.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from sandbox.contract import Accepted, Answer, html_answer
from sandbox.faults import FAULTS, Fault
from sandbox.state import Count
from sandbox.style import CSS

REFRESH_S = 5
TITLE_LENGTH = 120
SEVERITIES = frozenset({"critical", "high", "medium", "low", "info"})
SECURITY = (
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
     "base-uri 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Board:
    """One vendor as the page shows it; `latest` newest first."""

    slug: str
    name: str
    base: str
    connect_line: str
    count: Count
    faults: Sequence[Fault]
    latest: Sequence[Accepted]


def index(address: str, export: str, boards: Sequence[Board], *, refresh: bool) -> Answer:
    """The front page; with `refresh` it loads itself again every five seconds. `export` lets the hub call it."""
    address = address.removeprefix("http://")
    switch = (
        '<a href="/?refresh=off">Stop refreshing</a>'
        if refresh
        else '<a href="/">Refresh every 5 seconds</a>'
    )
    vendors = "".join(_board(board) for board in boards)
    connect = _connect(export, boards)
    is_new = not any(board.latest for board in boards)
    body = f"""<header><h1>Sandbox</h1>
<p>Strict stand-ins of {escape(", ".join(board.name for board in boards))} on <code>{escape(address)}</code>.
Nothing leaves this machine. {switch}</p></header>
{connect + vendors if is_new else vendors + connect}"""
    return _page("Sandbox", body, refresh=refresh)


def detail(accepted: Accepted) -> Answer:
    """One accepted thing with the body as it came."""
    rows = {
        "Arrived": _time(accepted.at, "%Y-%m-%d %H:%M:%S UTC"),
        "Key": f"<code>{escape(accepted.key)}</code>",
        "Severity": _severity(accepted.severity),
        "Vendor's id": escape(accepted.vendor_id) or "–",
        "Copy": str(accepted.copy),
        "Mentions": str(accepted.mentions),
    }
    table = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in rows.items())
    title = " · ".join(part for part in (accepted.vendor_id, accepted.title) if part)
    body = f"""<header><p><a href="/">Sandbox</a> / {escape(accepted.vendor)}</p>
<h1>{escape(title)}</h1></header>
<section class="card"><dl>{table}</dl></section>
<section class="card"><h2>Body</h2>
<pre>{escape(json.dumps(accepted.body, indent=2, ensure_ascii=False))}</pre></section>"""
    return _page(title, body, refresh=False)


def missing() -> Answer:
    """For an address that is nobody's."""
    body = '<header><h1>Nothing here</h1><p>See <a href="/">what arrived</a>.</p></header>'
    return _page("Nothing here", body, refresh=False, status=404)


def _page(title: str, body: str, *, refresh: bool, status: int = 200) -> Answer:
    meta = f'<meta http-equiv="refresh" content="{REFRESH_S}">' if refresh else ""
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{meta}<title>{escape(title)}</title><style>{CSS}</style></head>
<body><main>{body}</main></body></html>"""
    return html_answer(status, text, headers=SECURITY)


def _connect(export: str, boards: Sequence[Board]) -> str:
    lines = "\n".join([export, *(board.connect_line for board in boards)])
    return f"""<section class="card"><h2>Connect the hub</h2>
<p class="quiet">The hub calls no local address unless it is told so. In another terminal first: the
first line. Then one line per vendor.</p>
<pre>{escape(lines)}</pre></section>"""


def _board(board: Board) -> str:
    slug, count = escape(board.slug), board.count
    copies = "1 copy" if count.duplicates == 1 else f"{count.duplicates:,} copies"
    figures = f"{count.accepted:,} accepted · {copies} · {count.refused:,} refused"
    return f"""<section class="card" id="{slug}">
<div class="head"><h2>{escape(board.name)}</h2><p class="quiet">{figures}</p></div>
<p class="quiet"><code>{escape(board.base)}</code></p>
{_active(board)}{_fault_form(board)}{_table(board)}</section>"""


def _active(board: Board) -> str:
    if not board.faults:
        return ""
    items = "".join(
        f"<li><strong>{fault.name}</strong> {escape(FAULTS[fault.name])}: {escape(fault.sentence())}</li>"
        for fault in board.faults
    )
    return f'<ul class="faults" role="status">{items}</ul>'


def _fault_form(board: Board) -> str:
    vendor = f'<input type="hidden" name="vendor" value="{escape(board.slug)}">'
    buttons = "".join(
        f'<button name="fault" value="{name}" title="{escape(text)}">{name.replace("_", " ")}</button>'
        for name, text in FAULTS.items()
    )
    clear = (
        f'<form method="post" action="/_sandbox/faults/clear">{vendor}'
        '<button class="clear">Clear</button></form>'
        if board.faults
        else ""
    )
    return f"""<div class="forms"><form method="post" action="/_sandbox/faults">{vendor}
<label>Fault for <select name="times"><option value="1">the next request</option>
<option value="3">the next 3 requests</option><option value="">all, until cleared</option></select></label>
{buttons}</form>{clear}</div>"""


def _table(board: Board) -> str:
    if not board.latest:
        return '<p class="empty">Nothing has arrived yet.</p>'
    rows = "".join(_row(accepted) for accepted in board.latest)
    more = board.count.accepted - len(board.latest)
    rest = f'<p class="quiet">and {more:,} earlier</p>' if more > 0 else ""
    names = ("Time (UTC)", "Severity", "Title", "Key")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f"""<div class="scroll"><table><thead><tr>{head}</tr></thead>
<tbody>{rows}</tbody></table></div>{rest}"""


def _row(accepted: Accepted) -> str:
    title = (
        accepted.title if len(accepted.title) <= TITLE_LENGTH else accepted.title[: TITLE_LENGTH - 1] + "…"
    )
    name = f'<span class="id">{escape(accepted.vendor_id)}</span> ' if accepted.vendor_id else ""
    copy = f' <span class="copy">copy {accepted.copy}</span>' if accepted.copy > 1 else ""
    woken = f' <span class="copy">mentions {accepted.mentions}</span>' if accepted.mentions else ""
    return f"""<tr><td>{_time(accepted.at, "%H:%M:%S")}</td><td>{_severity(accepted.severity)}</td>
<td><a href="/accepted/{accepted.number}">{name}{escape(title) or "(no title)"}</a>{copy}{woken}</td>
<td><code>{escape(accepted.key)}</code></td></tr>"""


def _severity(word: str) -> str:
    if not word:
        return "–"
    kind = word.lower() if word.lower() in SEVERITIES else "other"
    return f'<span class="severity {kind}">{escape(word)}</span>'


def _time(at: float, pattern: str) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return f'<time datetime="{moment.isoformat()}">{moment.strftime(pattern)}</time>'
