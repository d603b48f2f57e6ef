"""Writes the facts of each manifest into its page docs/integrations/<slug>.md, and the README's table of all.

Both stand between two marks.

    python tools/integration_facts.py          write what is out of date
    python tools/integration_facts.py --check  say what is out of date and exit 1

The rest of a page is written by hand. A page must exist: this tool makes none, and the table leaves out what has none.
"""

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core import integrations  # noqa: E402 - the project's folder comes first
from core.integrations import Manifest  # noqa: E402
from core.integrations.client import TLS_FIELDS as COMMON  # noqa: E402
from core.integrations.in_doubt import AFTER_A_LOST_ANSWER  # noqa: E402
from core.integrations.registry import slugs  # noqa: E402
from core.storage.models import Category  # noqa: E402

PAGES, README = ROOT / "docs" / "integrations", ROOT / "README.md"
BEGIN, END = "<!-- facts: begin -->", "<!-- facts: end -->"
TABLE_BEGIN, TABLE_END = "<!-- integrations: begin -->", "<!-- integrations: end -->"
CATEGORIES = {
    Category.SIEM: "SIEM: high-risk scans",
    Category.TICKETING: "Ticketing: open cases",
    Category.COMMUNICATION: "Communication: unread alerts",
}
TIERS = {
    "verified": "tried on a live account",
    "documented": "built from the vendor's public documentation and tried on a local stand-in, not on a live account",
}


def facts(manifest: Manifest) -> str:
    """The section as Markdown, marks included."""
    limits = manifest.limits
    per_call = [f"{limits.batch_items:,} records"]
    per_call += [f"{limits.batch_bytes:,} bytes"] if limits.batch_bytes else []
    rows = [
        ("Standing", f"{manifest.tier}: {TIERS[manifest.tier]}"),
        ("Delivered means", manifest.delivered_means),
        ("An answer is lost", AFTER_A_LOST_ANSWER[manifest.in_doubt]),
        ("At most per call", " and ".join(per_call)),
        ("Severity", ", ".join(f"{ours} → {theirs}" for ours, theirs in manifest.severity.items())),
        ("Cost", manifest.cost_note),
        ("Vendor's documentation", manifest.docs_url),
    ]
    parts = [
        BEGIN,
        "## Facts",
        f"From `core/integrations/{manifest.slug}/manifest.toml`; change it there, then run "
        "`python tools/integration_facts.py`.",
        "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {_cell(value)} |" for name, value in rows)]),
        "### Fields",
        "\n".join(_fields(manifest)),
        "### Permissions",
        _list(manifest.permissions),
        "### Known limits",
        _list(manifest.known_limits),
        END,
    ]
    return "\n\n".join(parts)


def _fields(manifest: Manifest) -> list[str]:
    own = {n: f for n, f in manifest.config["properties"].items() if n not in COMMON}
    rows = ["| field | needed | what it is |", "| --- | --- | --- |"]
    for name, field in own.items():
        needed = "yes" if name in manifest.config["required"] else _default(field)
        needed = "made if empty" if "generated" in field else needed
        needed = "planned, refused" if "later" in field else needed
        what = field["description"] + (" Kept sealed." if field.get("writeOnly") else "")
        rows.append(f"| `{name}` | {needed} | {_cell(what)} |")
    return [*rows, "", f"Every connection also takes {', '.join(f'`{name}`' for name in COMMON)}."]


def _default(field: dict[str, Any]) -> str:
    return f"no, `{field['default']}`" if field.get("default") not in (None, "") else "no"


def _list(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def renewed(page: str, manifest: Manifest) -> str:
    """The page with the section as it should be. Raises ValueError where the marks are missing."""
    return _between(page, BEGIN, facts(manifest), END, f"docs/integrations/{manifest.slug}.md")


def table(manifests: Iterable[Manifest]) -> str:
    """The README's table: a column per category, marks included."""
    links: dict[Category, list[str]] = {category: [] for category in CATEGORIES}
    for manifest in manifests:
        links[manifest.category].append(f"[{manifest.name}](docs/integrations/{manifest.slug}.md)")
    rows = [list(CATEGORIES.values()), ["---"] * len(CATEGORIES), [" · ".join(links[c]) for c in CATEGORIES]]
    return "\n".join([TABLE_BEGIN, *(f"| {' | '.join(row)} |" for row in rows), TABLE_END])


def renewed_readme(readme: str) -> str:
    """The README with its table as it should be. Raises ValueError where the marks are missing."""
    return _between(readme, TABLE_BEGIN, table(_written()), TABLE_END, "README.md")


def _between(page: str, begin: str, section: str, end: str, name: str) -> str:
    before, found, rest = page.partition(begin)
    _, found_too, after = rest.partition(end)
    if not found or not found_too:
        raise ValueError(f"{name} has no {begin} … {end}. Add the two marks.")
    return before + section + after


def _written() -> list[Manifest]:
    """The entries with a page: an operator's presets need none."""
    return [m for m in integrations.manifests().values() if (PAGES / f"{m.slug}.md").exists()]


def main(arguments: list[str]) -> int:
    pages = {PAGES / f"{manifest.slug}.md": partial(renewed, manifest=manifest) for manifest in _written()}
    late = []
    for path, renew in {README: renewed_readme, **pages}.items():
        old = path.read_text(encoding="utf-8")
        new = renew(old)
        if new != old:
            late.append(path.name)
            if "--check" not in arguments:
                path.write_text(new, encoding="utf-8")
    missing = sorted({*slugs()} - {path.stem for path in pages})
    for slug in missing:
        print(
            f"{slug} has no docs/integrations/{slug}.md yet; write it, then run this again.", file=sys.stderr
        )
    print("\n".join(late) or "Every page that is there is as its manifest says.")
    return 1 if missing or (late and "--check" in arguments) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
