"""Writes the facts of each manifest into its page docs/integrations/<slug>.md, between two marks.

    python tools/integration_facts.py          write what is out of date
    python tools/integration_facts.py --check  say what is out of date and exit 1

The rest of a page is written by hand. A page must exist: this tool makes none.
"""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core import integrations  # noqa: E402 - the project's folder comes first
from core.integrations import Manifest  # noqa: E402
from core.integrations.credentials import TLS_FIELDS as COMMON  # noqa: E402

PAGES = ROOT / "docs" / "integrations"
BEGIN, END = "<!-- facts: begin -->", "<!-- facts: end -->"
TIERS = {
    "verified": "tried on a live account",
    "documented": "built from the vendor's public documentation and tried on a local stand-in, not on a live account",
}
IN_DOUBT = {
    "native_key": "it is sent again: the vendor knows the record by its id and keeps it once",
    "look_up": "it is looked for before it is sent again",
    "may_repeat": "it is sent again and can appear twice, with the same id",
}


def facts(manifest: Manifest) -> str:
    """The section as Markdown, marks included."""
    limits = manifest.limits
    per_call = [f"{limits.batch_items:,} records"]
    per_call += [f"{limits.batch_bytes:,} bytes"] if limits.batch_bytes else []
    rows = [
        ("Standing", f"{manifest.tier}: {TIERS[manifest.tier]}"),
        ("Delivered means", manifest.delivered_means),
        ("An answer is lost", IN_DOUBT[manifest.in_doubt]),
        ("At most per call", " and ".join(per_call)),
        ("Severity", ", ".join(f"{ours} → {theirs}" for ours, theirs in manifest.severity.items())),
        ("Cost", manifest.cost_note),
        ("Vendor's documentation", manifest.docs_url),
    ]
    parts = [
        BEGIN,
        "## Facts",
        "From `data/catalog/"
        + manifest.slug
        + ".toml`; change it there, then run `python tools/integration_facts.py`.",
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
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"docs/integrations/{manifest.slug}.md has no {BEGIN} … {END}. Add the two marks.")
    return before + facts(manifest) + after


def main(arguments: list[str]) -> int:
    late = []
    for slug, manifest in integrations.manifests().items():
        path = PAGES / f"{slug}.md"
        if not path.exists():
            continue
        old = path.read_text(encoding="utf-8")
        new = renewed(old, manifest)
        if new != old:
            late.append(path.name)
            if "--check" not in arguments:
                path.write_text(new, encoding="utf-8")
    print("\n".join(late) or "Every page is as its manifest says.")
    return 1 if late and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
