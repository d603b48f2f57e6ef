"""A mapping that a person wrote: an unusable one is refused when it is saved, and no body grows without bound."""

import time
import tracemalloc
from typing import Any

import pytest

from core import connections, integrations
from core.integrations import example, own_mapping
from core.integrations.mapping import TooLong
from core.integrations.own_mapping import MAX_BYTES, MAX_DEPTH, MAX_RULES
from core.integrations.registry import slugs
from core.platform.errors import Invalid
from core.storage import db
from core.storage.models import Connection
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]


def nested(depth: int) -> dict[str, Any]:
    return {"event": nested(depth - 1)} if depth > 1 else {"event": "x"}


UNUSABLE: dict[str, tuple[str, dict[str, Any], str]] = {
    "a field there is not": ("jira", {"sumary": "x"}, 'Did you mean "summary"'),
    "a field that is needed": ("jira", {"summary": None}, 'removes "summary"'),
    "a word the tool lacks": ("splunk", {"event": {"severity": "urgent"}}, "event.severity is not one of"),
    "another type": ("jira", {"summary": ["a"]}, "summary is not a text"),
    "a number from a text": ("splunk", {"time": "{title}"}, "time is not a number"),
    "too deep": ("splunk", nested(MAX_DEPTH + 1), "levels deep"),
    "as deep as JSON goes": ("splunk", nested(900), "levels deep"),
    "too many": ("splunk", {"event": {f"f{n}": "x" for n in range(MAX_RULES)}}, "more than 500 rules"),
    "too long": ("splunk", {"event": {"note": "x" * MAX_BYTES}}, "more than 64 KiB"),
    "half a character": ("splunk", {"event": {"note": "\ud800"}}, "JSON cannot keep"),
    "a NUL": ("splunk", {"event": {"note": "\x00"}}, "NUL"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_an_unusable_mapping_is_refused_in_one_sentence(what: str) -> None:
    slug, rules, words = UNUSABLE[what]
    with pytest.raises(Invalid, match=words) as caught:
        own_mapping.check(integrations.get(slug), rules)
    assert caught.value.fields == {"mapping": caught.value.message}
    assert caught.value.message.startswith("The mapping ")


@pytest.mark.parametrize("slug", slugs())
def test_the_hubs_own_mapping_can_be_used(slug: str) -> None:
    own_mapping.check(integrations.get(slug), {})


@pytest.mark.parametrize(
    ("slug", "rules"),
    [
        ("splunk", {"event": {"title": "{username}: {title}", "team": "{company}", "raw": None}}),
        ("splunk", {"event": {"risks": "{high_risk_count}"}, "time": "{observed_at}"}),
        ("splunk", {"event": {"severity": "{level_of_ours}"}}),
        ("jira", {"summary": "{assigned_to}"}),
        ("slack", {"severity": "{scan_id}"}),
        ("slack", {"facts": {"Where": "{metadata}", "Who": ["{subject}", "{key}"]}}),
    ],
)
def test_what_depends_on_the_records_is_taken(slug: str, rules: dict[str, Any]) -> None:
    own_mapping.check(integrations.get(slug), rules)


# --- bounds ------------------------------------------------------------------------------------------

LARGE = {"results": ["x" * 1000] * 300}
BOMBS: dict[str, dict[str, Any]] = {
    "one text": {"x": "{raw}" * 2000},
    "many texts": {f"x{n}": "{raw} {raw}" for n in range(400)},
    "many objects": {f"x{n}": "{raw}" for n in range(400)},
    "a list of objects": {"x": ["{raw}"] * 400},
    "many titles": {f"x{n}": "{long} and {long}" for n in range(400)},
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_body_is_counted_while_it_grows(bomb: str) -> None:
    splunk = integrations.get("splunk")
    facts = example.facts(splunk.kind) | {"raw": LARGE, "long": "y" * 100_000}
    rules = {"event": BOMBS[bomb]}
    own_mapping.check(splunk, rules)  # with the made-up record it fits
    mapper = own_mapping.mapper(splunk, rules)
    tracemalloc.start()
    began = time.monotonic()
    with pytest.raises(TooLong, match="larger than 1,000,000 bytes"):
        mapper.body(facts)
    assert time.monotonic() - began < 2
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()


def test_one_object_of_any_size_is_refused_by_its_bytes() -> None:
    splunk = integrations.get("splunk")
    facts = example.facts(splunk.kind) | {"raw": {"results": ["x" * 1000] * 1200}}
    with pytest.raises(TooLong):
        own_mapping.mapper(splunk, {}).body(facts)


@pytest.mark.parametrize(("slug", "most"), [("microsoft_sentinel", 900_000), ("elastic", 1024 * 1024)])
def test_the_bound_is_the_vendors_and_a_mebibyte_at_most(slug: str, most: int) -> None:
    manifest = integrations.get(slug)
    facts = example.facts(manifest.kind) | {"raw": {"results": "x" * most}}
    with pytest.raises(TooLong, match=f"larger than {most:,} bytes"):
        own_mapping.mapper(manifest, {}).body(facts)


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_bomb_is_neither_previewed_nor_sent(workplace: Workplace) -> None:
    id = workplace.connect("splunk", mapping={"event": {"x": "{raw}" * 2000}})
    workplace.scans(1, results=["x" * 1000] * 300)
    (request,) = connections.preview(workplace.who, id)
    assert len(request.body) < 1_100_000
    assert workplace.sync("splunk").success


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_record_that_is_larger_than_an_event_goes_out_without_itself(workplace: Workplace) -> None:
    workplace.connect("elastic")
    workplace.scans(1, results=["x" * 1000] * 1200)
    assert workplace.sync("elastic").count == 1
    (event,) = workplace.sandbox.accepted("elastic")
    assert "larger than its event may be" in str(event.body)


# --- doors -------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", ["a field there is not", "a word the tool lacks", "too many"])
def test_no_door_saves_an_unusable_one(workplace: Workplace, what: str) -> None:
    slug, rules, words = UNUSABLE[what]
    who, values = workplace.who, workplace.sandbox.credentials(slug)
    options = {"mapping": rules}
    saved = workplace.connect(slug)
    doors = [
        lambda: connections.create(who, slug, name="New", values=values, options=options),
        lambda: connections.check_new(who, slug, name="New", values=values, options=options),
        lambda: connections.edit(who, saved, options=options),
        lambda: connections.preview_draft(who, slug, values, options),
        lambda: connections.count_wanted(who, slug, options),
    ]
    for door in doors:
        with pytest.raises(Invalid, match=words):
            door()
    assert [view.options["mapping"] for view in connections.list_views(who)] == [{}]


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_was_saved_before_can_be_left_as_it_is(workplace: Workplace) -> None:
    id = workplace.connect("splunk")
    spoil(id)
    connections.edit(workplace.who, id, options={"every": "1h"})
    with pytest.raises(Invalid, match="more than 500 rules"):
        connections.edit(workplace.who, id, options={"mapping": UNUSABLE["too many"][1]})


def spoil(connection_id: str) -> None:
    with db.session() as session:
        row = session.get_one(Connection, connection_id)
        row.options = row.options | {"mapping": {"evnt": {}}}
        session.add(row)
