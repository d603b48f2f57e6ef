"""Pure: a record → the bytes of one mail, the same on every attempt but for its date."""

import html
from email.message import EmailMessage
from email.policy import SMTP

from core.integrations.base import Item
from core.platform.text import cut, one_line, printable, web_link

SUBJECT_CHARS, TEXT_CHARS, NAME_CHARS, FACT_CHARS = 200, 30_000, 75, 500
MARKS = {"critical": "[critical] ", "high": "[high] ", "medium": "[medium] ", "low": "[low] "}
LINK_WORDS = "Open in FootprintIQ"


def message_id(item: Item, sender: str) -> str:
    """A mail sent twice bears it twice: most mailboxes then show one."""
    return f"<{item.key}@{sender.rpartition('@')[2]}>"


def build(item: Item, sender: str, recipients: list[str], date: str) -> bytes:
    """Text and HTML alternative, ASCII only, CRLF line ends. `date` in RFC 5322's form."""
    body, severity = item.body, str(item.body.get("severity", ""))
    title = one_line(str(body.get("title", "")), SUBJECT_CHARS) or item.key
    mail = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    mail["From"] = f"FootprintIQ <{sender}>"
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = f"{MARKS.get(severity, '')}{title}"
    mail["Date"] = date
    mail["Message-ID"] = message_id(item, sender)
    # no out-of-office answers (RFC 3834; Exchange reads the second)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    if severity == "critical":
        mail["Importance"] = "high"
        mail["X-Priority"] = "1"
    paragraphs, facts, ref = _paragraphs(item), _facts(item), one_line(str(body.get("ref") or item.key), 200)
    link = web_link(body.get("url"))
    mail.set_content(_plain(title, paragraphs, facts, link, ref), cte="quoted-printable")
    page = _page(title, paragraphs, facts, link, ref)
    mail.add_alternative(page, subtype="html", cte="quoted-printable")
    # its own would be drawn by chance; a preview shows the bytes that are sent. "=_" never stands in quoted-printable
    mail.set_boundary(f"=_{item.key}")
    return mail.as_bytes()


def _paragraphs(item: Item) -> list[str]:
    text = cut(printable(str(item.body.get("text") or "")), TEXT_CHARS)
    return [line.rstrip() for line in text.strip().split("\n")] if text.strip() else []


def _facts(item: Item) -> list[tuple[str, str]]:
    facts = (item.body.get("facts") or {}).items()
    named = [(one_line(str(n), NAME_CHARS), one_line(str(v), FACT_CHARS)) for n, v in facts if v is not None]
    return [(name, value) for name, value in named if name and value]


def _plain(
    title: str, paragraphs: list[str], facts: list[tuple[str, str]], link: str | None, ref: str
) -> str:
    rows = [f"{name}: {value}" for name, value in facts]
    last = [*([f"{LINK_WORDS}: {link}"] if link else []), f"Reference: {ref}"]
    blocks = [title, "\n".join(paragraphs), "\n".join(rows), "\n".join(last)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _page(title: str, paragraphs: list[str], facts: list[tuple[str, str]], link: str | None, ref: str) -> str:
    """Everything escaped, nothing loaded: no image, no style sheet, one link."""
    rows = "".join(
        f"<tr><th align='left'>{_e(name)}</th><td>{_e(value)}</td></tr>\n" for name, value in facts
    )
    parts = [
        f"<h2>{_e(title)}</h2>",
        "<p>" + "<br>\n".join(map(_e, paragraphs)) + "</p>" if paragraphs else "",
        f"<table cellpadding='4'>\n{rows}</table>" if rows else "",
        f"<p><a href='{_e(link)}'>{LINK_WORDS}</a></p>" if link else "",
        f"<p><small>Reference: {_e(ref)}</small></p>",
    ]
    inner = "\n".join(part for part in parts if part)
    return f"<!doctype html>\n<html><body dir='auto'>\n{inner}\n</body></html>\n"


def _e(text: str) -> str:
    return html.escape(text, quote=True)
