"""The pages about integrations say what the manifests say."""

import ast
import re
import subprocess
import sys

import pytest

from core import integrations
from tools.integration_facts import (
    CATEGORIES,
    PAGES,
    README,
    ROOT,
    TABLE_BEGIN,
    TABLE_END,
    facts,
    renewed,
    renewed_readme,
    table,
)

WRITTEN = sorted(path.stem for path in PAGES.glob("[a-z]*.md"))


@pytest.mark.parametrize("slug", WRITTEN)
def test_the_facts_of_a_page_are_those_of_its_manifest(slug: str) -> None:
    page = (PAGES / f"{slug}.md").read_text()
    assert renewed(page, integrations.get(slug)) == page, "run: python tools/integration_facts.py"


@pytest.mark.parametrize("slug", WRITTEN)
def test_a_page_has_its_parts_and_names_no_other_field(slug: str) -> None:
    page = (PAGES / f"{slug}.md").read_text()
    for part in ("## Set it up", "## If it does not work", "## Facts", "## Proven by"):
        assert part in page
    fields = set(integrations.get(slug).config["properties"])
    assert set(re.findall(r"--(?:set|secret) ([a-z_]+)", page)) <= fields
    assert f"hub connect {slug} " in page


def test_every_field_of_a_manifest_is_among_the_facts() -> None:
    for manifest in integrations.manifests().values():
        assert all(f"`{name}`" in facts(manifest) for name in manifest.config["properties"])


def test_an_old_page_is_found(tmp_path) -> None:
    manifest = integrations.get("elastic")
    page = (PAGES / "elastic.md").read_text().replace("Delivered means", "Means")
    assert renewed(page, manifest) != page
    with pytest.raises(ValueError, match="Add the two marks"):
        renewed("# Elastic", manifest)


def test_the_tool_itself_agrees() -> None:
    tool = [sys.executable, str(ROOT / "tools" / "integration_facts.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_integration_has_a_page() -> None:
    assert set(WRITTEN) == set(integrations.manifests()), "write docs/integrations/<slug>.md"


def folders(parent: str, file: str) -> set[str]:
    return {path.parent.name for path in (ROOT / parent).glob(f"*/{file}")}


@pytest.mark.parametrize(
    ("parent", "file"),
    [
        ("core/integrations", "connector.py"),
        ("sandbox/vendors", "stand_in.py"),
        ("tests/integrations", "good.json"),
        ("tests/integrations", "test_*.py"),
    ],
)
def test_a_vendor_has_three_folders_of_one_name(parent: str, file: str) -> None:
    assert folders(parent, file) == folders("core/integrations", "manifest.toml"), (
        f"add {parent}/<slug>/{file}"
    )


def test_the_readme_names_every_integration_under_its_category() -> None:
    readme = README.read_text()
    assert renewed_readme(readme) == readme, "run: python tools/integration_facts.py"
    shown = readme.partition(TABLE_BEGIN)[2].partition(TABLE_END)[0].splitlines()
    cells = dict(zip(shown[1].strip("| ").split(" | "), shown[3].strip("| ").split(" | "), strict=True))
    for manifest in integrations.manifests().values():
        assert f"[{manifest.name}]" in cells[CATEGORIES[manifest.category]]


def test_a_table_without_an_integration_is_found() -> None:
    some = [manifest for manifest in integrations.manifests().values() if manifest.slug != "jira"]
    short = table(some)
    assert renewed_readme(short) == table(integrations.manifests().values()) != short
    with pytest.raises(ValueError, match="has no <!-- integrations"):
        renewed_readme("# Hub")


def words_of_the_hub() -> str:
    """Every string of the code and the manifests, what is filled in left out, as one text per string."""
    found = []
    for path in (ROOT / "core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    found += [path.read_text(encoding="utf-8") for path in (ROOT / "core" / "integrations").rglob("*.toml")]
    return "\n".join(found)


def explained(slug: str) -> list[str]:
    """The sentences of the first column of the table of errors."""
    page = (PAGES / f"{slug}.md").read_text()
    table = page.partition("## If it does not work")[2].partition("<!-- facts")[0]
    columns = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| ")]
    return [sentence for column in columns for sentence in re.findall(r"`([^`]+)`", column)]


def is_said(sentence: str, said: str) -> bool:
    """Whether a run of three of its words is; between them something may be filled in."""
    words = sentence.split()
    return any(" ".join(words[start : start + 3]) in said for start in range(max(1, len(words) - 2)))


SAID = words_of_the_hub()


@pytest.mark.parametrize("slug", WRITTEN)
def test_a_page_explains_what_the_hub_or_the_vendor_can_say(slug: str) -> None:
    sentences = explained(slug)
    told = SAID + "".join(
        path.read_text() for path in (ROOT / "tests" / "integrations" / slug).glob("*.json")
    )
    assert sentences
    assert [sentence for sentence in sentences if not is_said(sentence, told)] == []
