"""The pages about integrations say what the manifests say."""

import re
import subprocess
import sys

import pytest

from core import catalog
from tools.integration_facts import PAGES, ROOT, facts, renewed

WRITTEN = sorted(path.stem for path in PAGES.glob("[a-z]*.md"))


@pytest.mark.parametrize("slug", WRITTEN)
def test_the_facts_of_a_page_are_those_of_its_manifest(slug: str) -> None:
    page = (PAGES / f"{slug}.md").read_text()
    assert renewed(page, catalog.get(slug)) == page, "run: python tools/integration_facts.py"


@pytest.mark.parametrize("slug", WRITTEN)
def test_a_page_has_its_parts_and_names_no_other_field(slug: str) -> None:
    page = (PAGES / f"{slug}.md").read_text()
    for part in ("## Set it up", "## If it does not work", "## Facts", "## Proven by"):
        assert part in page
    fields = set(catalog.get(slug).config["properties"])
    assert set(re.findall(r"--(?:set|secret) ([a-z_]+)", page)) <= fields
    assert f"hub connect {slug} " in page


def test_every_field_of_a_manifest_is_among_the_facts() -> None:
    for manifest in catalog.manifests().values():
        assert all(f"`{name}`" in facts(manifest) for name in manifest.config["properties"])


def test_an_old_page_is_found(tmp_path) -> None:
    manifest = catalog.get("elastic")
    page = (PAGES / "elastic.md").read_text().replace("Delivered means", "Means")
    assert renewed(page, manifest) != page
    with pytest.raises(ValueError, match="Add the two marks"):
        renewed("# Elastic", manifest)


def test_the_tool_itself_agrees() -> None:
    tool = [sys.executable, str(ROOT / "tools" / "integration_facts.py"), "--check"]
    done = subprocess.run(tool, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
