"""Records to bodies: what is wanted, what is said about it, and that no record can break out of its body."""

import json
import re
import string
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from core import integrations
from core.delivery.filters import why_not
from core.integrations.mapping import Unmappable, compile, delivery_key, facts, severity_of
from core.integrations.mapping.schema import KEYWORDS, compile_check
from core.integrations.options import Options
from core.platform.errors import Invalid
from core.storage.models import RECORD_TABLES, Kind
from core.storage.models.words import SEVERITIES

#: a busy machine is not a failure
unhurried = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
OWNER = "00000000-0000-0000-0000-000000000001"
HUB = "https://hub.example.com"
SCAN = {
    "local_id": 1,
    "owner_id": OWNER,
    "change_seq": 9,
    "content_hash": "0" * 32,
    "revision": 1,
    "received_at": datetime(2026, 11, 22, 16, 6, tzinfo=UTC),
    "id": UUID,
    "scan_type": "username",
    "username": "jdoe",
    "email": "jdoe@example.com",
    "privacy_score": 41,
    "total_sources_found": 23,
    "high_risk_count": 7,
    "medium_risk_count": 3,
    "low_risk_count": 2,
    "severity": None,
    "status": "completed",
    "workspace_id": None,
    "created_at": datetime(2026, 11, 22, 16, 5, 0, 123_456, tzinfo=UTC),
    "extra": {"company": "Acme"},
}
CASE = {
    "id": UUID,
    "title": "Leaked password",
    "description": "Found in a dump.\nReset it.",
    "status": "open",
    "priority": "critical",
    "scan_id": "s-1",
    "created_at": "2026-11-22T16:05:00Z",
}
ALERT = {
    "id": "a-1",
    "alert_type": "data_breach",
    "severity": "high",
    "title": "New breach",
    "description": "Two passwords of jdoe appeared.",
    "metadata": {"username": "jdoe"},
    "is_read": False,
    "is_resolved": False,
    "created_at": "2026-11-22T16:05:00+00:00",
}
SAMPLES = {Kind.SCAN: SCAN, Kind.CASE: CASE, Kind.ALERT: ALERT}


def known(kind, record, *, include_raw=True):
    key = delivery_key(kind, str(record.get("id")), OWNER)
    return facts(kind, record, key=key, hub_url=HUB, include_raw=include_raw)


def mapper(slug, overrides=None):
    entry = integrations.get(slug)
    return compile(entry.mapping[entry.kind], entry.record, entry.severity, overrides or {})


def body(slug, record, overrides=None, **options):
    entry = integrations.get(slug)
    return json.loads(mapper(slug, overrides).body(known(entry.kind, record, **options)))


# --- severity and what is wanted ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("high_risks", "severity"),
    [(None, "low"), (0, "low"), (1, "medium"), (4, "medium"), (5, "high"), (14, "high"), (15, "critical")],
)
def test_a_scan_is_as_severe_as_its_high_risks(high_risks, severity):
    assert severity_of("scan", {"high_risk_count": high_risks}) == severity


def test_a_severity_of_its_own_wins_over_the_count():
    assert severity_of("scan", {"high_risk_count": 99, "severity": "Low"}) == "low"
    assert severity_of("scan", {"high_risk_count": 99, "severity": "strange"}) == "critical"


def test_the_priority_is_the_severity_of_a_case():
    assert severity_of("case", {"priority": "critical", "severity": "low"}) == "critical"


@pytest.mark.parametrize("kind", ["case", "alert"])
@pytest.mark.parametrize("word", [None, "", "urgent", 5, ["high"]])
def test_without_a_known_word_cases_and_alerts_are_medium(kind, word):
    assert severity_of(kind, {"severity": word, "priority": word}) == "medium"


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, True),
        ({"high_risk_count": 5}, True),
        ({"high_risk_count": 4}, False),
        ({"high_risk_count": None}, False),
        ({"high_risk_count": "7"}, True),
        ({"status": None}, True),
        ({"status": ""}, True),
        ({"status": "Completed"}, True),
        ({"status": "failed"}, False),
        ({"status": "running"}, False),
    ],
)
def test_completed_scans_with_enough_high_risks_are_wanted(change, wanted):
    assert (why_not("scan", SCAN | change, Options()) is None) is wanted


@pytest.mark.parametrize(
    ("status", "wanted"),
    [("open", True), (None, True), ("in_progress", False), ("resolved", False), ("closed", False)],
)
def test_open_cases_are_wanted(status, wanted):
    assert (why_not("case", CASE | {"status": status}, Options()) is None) is wanted


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, True),
        ({"is_read": None, "is_resolved": None}, True),
        ({"is_read": True}, False),
        ({"is_read": "true"}, False),
        ({"is_resolved": 1}, False),
        ({"is_read": "false"}, True),
    ],
)
def test_unread_unresolved_alerts_are_wanted(change, wanted):
    assert (why_not("alert", ALERT | change, Options()) is None) is wanted


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("least", [None, *SEVERITIES])
def test_nothing_below_the_least_severity_is_wanted(kind, least):
    options = Options(min_severity=least, high_risk_threshold=0)
    for word in SEVERITIES:
        record = SAMPLES[kind] | {"severity": word, "priority": word}
        expected = SEVERITIES.index(word) >= SEVERITIES.index(least or "low")
        assert (why_not(kind, record, options) is None) is expected


@pytest.mark.parametrize(
    ("kind", "change", "sentence"),
    [
        ("scan", {"status": "failed"}, "its status is failed, and only completed scans are sent."),
        ("scan", {"high_risk_count": 2}, "it has 2 high risks, and the threshold is 5."),
        ("case", {"status": "closed"}, "its status is closed, and only open cases are sent."),
        ("case", {"priority": "low"}, "its severity is low, and the connection takes medium and above."),
        ("alert", {"is_read": True}, "the alert is already read or resolved."),
        ("alert", {}, None),
    ],
)
def test_a_record_that_stays_at_home_has_a_reason(kind, change, sentence):
    assert why_not(kind, SAMPLES[kind] | change, Options(min_severity="medium")) == sentence


# --- the key ------------------------------------------------------------------------------------------


def test_a_uuid_can_be_read_in_its_key():
    assert delivery_key("scan", UUID, "") == f"fiq-scan-{UUID}-16362f56"
    assert delivery_key(Kind.CASE, UUID, OWNER) == f"fiq-case-{UUID}-16362f56"


def test_two_people_may_both_have_a_record_1():
    assert delivery_key("scan", "1", "a") != delivery_key("scan", "1", "b")
    assert delivery_key("scan", "1", "a1") != delivery_key("scan", "11", "a")
    assert delivery_key("scan", "1", "ana@example.org") == delivery_key("scan", "1", "ANA@example.org")


@unhurried
@given(
    st.sampled_from(Kind),
    st.lists(
        st.tuples(st.text(), st.text()),
        min_size=2,
        max_size=2,
        unique_by=lambda both: (both[0], both[1].lower()),
    ),
)
def test_a_key_is_stable_of_one_shape_and_nobody_elses(kind, records):
    keys = [delivery_key(kind, id, name) for id, name in records]
    assert keys == [delivery_key(str(kind), id, name) for id, name in records]
    assert len(set(keys)) == 2
    for key in keys:
        assert re.fullmatch(f"fiq-{kind}-[0-9a-f-]{{36}}-[0-9a-f]{{8}}", key)


@unhurried
@given(
    st.uuids().map(str), st.sampled_from([str.upper, lambda id: id.replace("-", ""), lambda id: f"{id}\n"])
)
def test_another_spelling_of_a_uuid_is_another_record(id, spell):
    spelt = spell(id)
    assert set(delivery_key("scan", spelt, OWNER)) <= set(string.ascii_lowercase + string.digits + "-")
    assert (delivery_key("scan", spelt, OWNER) == delivery_key("scan", id, OWNER)) is (spelt == id)


# --- what is said about a record ----------------------------------------------------------------------


def test_a_scan_is_described_for_a_person():
    found = known("scan", SCAN)
    assert found["title"] == "7 high risks found for jdoe"
    assert found["text"].splitlines() == [
        "Subject: jdoe",
        "Scan type: Username",
        "Severity: high",
        "Risks: 7 high, 3 medium, 2 low",
        "Privacy score: 41 of 100",
        "Sources found: 23",
        "Created: 2026-11-22 16:05 UTC",
        f"Link: {HUB}/records?kind=scan&id={UUID}",
    ]


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"high_risk_count": 1}, "1 high risk found for jdoe"),
        ({"high_risk_count": 0}, "No high risks found for jdoe"),
        ({"high_risk_count": None}, "Scan finished for jdoe"),
        ({"scan_type": "email"}, "7 high risks found for jdoe@example.com"),
        ({"username": None, "first_name": "Jane", "last_name": "Doe"}, "7 high risks found for Jane Doe"),
        ({"username": " ", "email": None, "id": "9"}, "7 high risks found for scan 9"),
    ],
)
def test_a_scan_is_titled_by_what_was_found_for_whom(change, title):
    assert known("scan", SCAN | change)["title"] == title


def test_a_case_is_its_title_and_description():
    found = known("case", CASE)
    assert found["title"] == "Leaked password"
    assert found["text"].startswith("Found in a dump.\nReset it.\n\nPriority: critical\n")
    assert found["event_type"] == "footprintiq.case.opened"
    assert known("case", {"id": "7"})["title"] == "Case 7"


def test_an_alert_names_its_type_and_subject():
    found = known("alert", ALERT)
    assert (found["type"], found["subject"]) == ("Data breach", "jdoe")
    assert found["event_type"] == "footprintiq.alert.data_breach"
    assert known("alert", ALERT | {"title": None})["title"] == "Data breach for jdoe"
    assert len(known("alert", {"alert_type": "Ünknown type " * 9})["event_type"]) <= 40


def test_times_are_utc_in_every_spelling():
    found = known("scan", SCAN)
    assert (found["created"], found["created_epoch"]) == ("2026-11-22T16:05:00.123Z", 1795363500.123)
    assert known("case", CASE | {"created_at": "2026-11-22T18:05:00+02:00"})["created"].startswith(
        "2026-11-22T16:05"
    )
    assert known("scan", SCAN | {"created_at": "soon"})["created"] == "2026-11-22T16:06:00.000Z"


def test_the_link_leads_to_the_record_whatever_its_id():
    assert (
        known("case", {"id": "a b&kind=scan#<x>"})["url"]
        == f"{HUB}/records?kind=case&id=a%20b%26kind%3Dscan%23%3Cx%3E"
    )


def test_raw_is_the_record_without_the_hubs_own_columns():
    raw = known("scan", SCAN)["raw"]
    assert raw["company"] == "Acme"
    assert raw["high_risk_count"] == 7
    assert not {"local_id", "owner_id", "change_seq", "content_hash", "extra", "workspace_id"} & raw.keys()
    assert known("scan", SCAN, include_raw=False)["raw"] is None


def test_no_record_can_forge_what_the_hub_says():
    forged = dict.fromkeys(("key", "url", "severity", "vendor_severity", "event_type", "created"), "forged")
    found = known("alert", ALERT | {"extra": forged} | forged)
    assert "forged" not in [found[name] for name in ("key", "url", "severity", "event_type")]


def test_a_column_wins_over_an_extra_field_of_its_name():
    assert known("scan", SCAN | {"extra": {"username": "other"}})["raw"]["username"] == "jdoe"


# --- bodies of the first three vendors ----------------------------------------------------------------


def test_splunk_gets_an_event_with_the_scan_inside():
    event = body("splunk", SCAN)["event"]
    raw = event.pop("raw")
    assert raw["username"] == "jdoe"
    assert event.pop("text").startswith("Subject: jdoe\n")
    assert event == {
        "id": f"fiq-scan-{UUID}-16362f56",
        "type": "footprintiq.scan.high_risk",
        "severity": "high",
        "title": "7 high risks found for jdoe",
        "subject": "jdoe",
        "url": f"{HUB}/records?kind=scan&id={UUID}",
        "high_risk_count": 7,
        "medium_risk_count": 3,
        "low_risk_count": 2,
        "privacy_score": 41,
        "status": "completed",
        "created": "2026-11-22T16:05:00.123Z",
    }


def test_splunk_time_is_a_plain_decimal():
    assert mapper("splunk").body(known("scan", SCAN)).startswith('{"time":1795363500.123,"event":{')


def test_without_include_raw_the_scan_stays_at_home():
    assert "raw" not in body("splunk", SCAN, include_raw=False)["event"]


def test_jira_gets_a_summary_of_one_line_that_fits():
    issue = body("jira", CASE | {"title": "Leaked\r\npassword " + "x" * 300})
    assert issue["summary"].startswith("Leaked password xxx")
    assert (len(issue["summary"]), issue["summary"][-1]) == (255, "…")
    assert issue["text"].startswith("Found in a dump.\nReset it.\n")
    assert (issue["priority"], issue["case_id"], issue["key"]) == (
        "Highest",
        UUID,
        f"fiq-case-{UUID}-16362f56",
    )


def test_slack_gets_title_details_and_facts_in_order():
    message = body("slack", ALERT)
    assert message["text"] == "Two passwords of jdoe appeared."
    assert list(message["facts"].items()) == [
        ("Type", "Data breach"),
        ("Severity", "high"),
        ("Subject", "jdoe"),
        ("Created", "2026-11-22 16:05 UTC"),
    ]
    assert message["ref"] == delivery_key("alert", "a-1", OWNER)


# --- templates ----------------------------------------------------------------------------------------


def rendered(template, given=None, schema=None):
    schema = {"type": "object", "properties": {"out": schema or {}}}
    made = compile({"out": template}, schema, dict.fromkeys(SEVERITIES, 3), {})
    return json.loads(made.body(known("scan", SCAN | (given or {})))).get("out")


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{high_risk_count}", 7),
        ("{high_risk_count} risks", "7 risks"),
        ("{username}/{severity}", "jdoe/high"),
        ("{vendor_severity}", 3),
        ("{company}", "Acme"),
        ("{workspace_id}", None),
        ("ws {workspace_id}.", "ws ."),
        ("{no_such_name}", "{no_such_name}"),
        ("{0.__class__}", "{0.__class__}"),
        ("{username.__class__}", "{username.__class__}"),
        ("{username!r:>10}", "{username!r:>10}"),
        ("{{7*7}}", "{{7*7}}"),
        ("${7*7} #{7*7} <%= 7*7 %>", "${7*7} #{7*7} <%= 7*7 %>"),
        (["{username}", "{workspace_id}", 1], ["jdoe", 1]),
        ({"a": {"b": "{username}"}}, {"a": {"b": "jdoe"}}),
        (True, True),
        (5, 5),
    ],
)
def test_a_template_is_filled_in_once_and_nothing_is_run(template, value):
    assert rendered(template) == value


def test_a_value_that_looks_like_a_template_stays_text():
    assert rendered("{username} x", {"username": "{email}{severity}"}) == "{email}{severity} x"


@pytest.mark.parametrize(
    ("hostile", "line"),
    [
        ("a\x00b", "a\ufffdb"),
        ("a\ud800b", "a\ufffdb"),
        ("a\r\nb\nc\u2028d\x85e\x0bf", "a b c d e f"),
        ("a\x1b[31mb\x7f\x9bc", "a[31mbc"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("\N{MAN}\u200d\N{PERSONAL COMPUTER}", "\N{MAN}\u200d\N{PERSONAL COMPUTER}"),
        ("<script>*_`[x](y)` & ' OR 1=1", "<script>*_`[x](y)` & ' OR 1=1"),
    ],
)
def test_what_nobody_can_see_is_taken_out_of_a_line(hostile, line):
    assert rendered("{username}", {"username": hostile}, {"type": "string"}) == line


def test_text_fields_keep_their_line_breaks():
    schema = {"type": "string", "contentMediaType": "text/plain"}
    assert rendered("{username}", {"username": "a\r\nb\tc\x00"}, schema) == "a\nb c\ufffd"


def test_a_raw_record_is_kept_but_for_control_characters():
    kept = {"a\x00": ["x\ty\r\n\x07\x1b\x9b", {"deep": "\udfff"}], "big": 2**70, "pound": "£"}
    raw = rendered("{raw}", {"extra": kept})
    assert raw["a\ufffd"] == ["x\ty\r\n", {"deep": "\ufffd"}]
    assert (raw["big"], raw["pound"]) == (2.0**70, "£")


@pytest.mark.parametrize("control", ["\x00", "\x07", "\b", "\f", "\x1b", "\x7f", "\x85", "\x9b"])
def test_each_control_character_alone_is_found_in_a_raw_record(control):
    assert rendered("{raw}", {"extra": {"x": f"a{control}b"}})["x"] in ("ab", "a\ufffdb")


@pytest.mark.parametrize("given_extra", [{"n": 10**400}, {"deep": json.loads("[" * 400 + "]" * 400)}])
def test_what_json_cannot_carry_is_unmappable_with_the_reason(given_extra):
    with pytest.raises(Unmappable) as caught:
        rendered("{raw}", {"extra": given_extra})
    assert caught.value.reasons


def test_a_number_in_a_text_field_becomes_text():
    assert rendered("{high_risk_count}", None, {"type": "string"}) == "7"
    assert rendered("{created_at}", None, {"type": "string"}) == "2026-11-22T16:05:00.123Z"


# --- overrides ----------------------------------------------------------------------------------------


def test_an_override_replaces_adds_and_removes_fields():
    event = body(
        "splunk", SCAN, {"event": {"title": "{username}: {title}", "team": "{company}", "raw": None}}
    )["event"]
    assert event["title"] == "jdoe: 7 high risks found for jdoe"
    assert event["team"] == "Acme"
    assert "raw" not in event
    assert event["id"] == f"fiq-scan-{UUID}-16362f56"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"sumary": "x"}, 'Did you mean "summary"'),
        ({"summary": None}, 'removes "summary"'),
    ],
)
def test_an_override_the_body_cannot_take_is_refused_before_any_record(overrides, sentence):
    with pytest.raises(Invalid, match=sentence):
        mapper("jira", overrides)


def test_an_override_of_the_wrong_type_makes_the_record_unmappable_with_the_field():
    with pytest.raises(Unmappable) as caught:
        body("jira", CASE, {"summary": ["a"], "text": {"a": 1}})
    assert caught.value.reasons == ("summary is not a text", "text is not a text")


def test_a_vendor_word_outside_the_schema_is_named():
    with pytest.raises(Unmappable, match=r"event\.severity is not one of low, medium, high, critical"):
        body("splunk", SCAN, {"event": {"severity": "urgent"}})


def test_the_next_record_sees_nothing_of_the_last():
    shared = mapper("slack")
    first = shared.body(known("alert", ALERT))
    shared.body(known("alert", {"id": "2"}))
    assert shared.body(known("alert", ALERT)) == first


# --- the check of [record] ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schema", [{"pattern": "x"}, {"properties": {"a": {"oneOf": []}}}, {"items": {"$ref": "#"}}]
)
def test_a_keyword_that_would_be_ignored_is_refused(schema):
    with pytest.raises(Invalid, match="is not checked here"):
        compile_check(schema)


@pytest.mark.parametrize(
    "schema", [{"type": ["string", "null"]}, {"type": "text"}, {"additionalProperties": {}}]
)
def test_a_value_of_a_keyword_that_would_be_misread_is_refused(schema):
    with pytest.raises(Invalid):
        compile_check(schema)


def test_a_schema_that_no_body_can_fit_is_refused():
    closed = {"properties": {"a": {}}, "required": ["b"], "additionalProperties": False}
    with pytest.raises(Invalid, match=r"no body can fit it.*\bb\b"):
        compile_check({"properties": {"inner": closed}})


def test_a_refused_body_is_told_every_reason_once():
    word = {"type": "string", "maxLength": 3, "enum": ["low", "top"]}
    inner = {"type": "object", "required": ["id"], "properties": {"id": {}}, "additionalProperties": False}
    schema = {
        "properties": {"n": {"type": "integer", "maximum": 5}, "words": {"items": word}, "inner": inner}
    }
    found = compile_check(schema)({"n": 7, "words": ["low", "late", "later", 5], "inner": {"x": 1, "y": 2}})
    assert set(found) == {
        "n is more than 5",
        "words[] is longer than 3 characters",
        "words[] is not one of low, top",
        "words[] is not a text",
        "inner.id is missing",
        "inner.x is not a field of the body",
        "inner.y is not a field of the body",
    }
    assert len(found) == 7
    assert compile_check({"type": "object"})([]) == ("the body is not an object",)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_an_override_that_is_no_number_of_json_is_left_out(number):
    assert rendered(number, None, {"type": "number"}) is None
    with pytest.raises(Unmappable, match="summary is missing"):
        body("jira", CASE, {"summary": number})


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text("ab", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
_leaf_schema = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "integer", "number", "boolean", "array", "object"]),
        "maxLength": st.integers(0, 3),
        "minLength": st.integers(0, 3),
        "minimum": st.integers(-3, 3),
        "maximum": st.integers(-3, 3),
        "minItems": st.integers(0, 2),
        "maxItems": st.integers(0, 2),
        "maxProperties": st.integers(0, 2),
        "enum": st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1),
        "required": st.lists(st.sampled_from("abc"), unique=True),
        "additionalProperties": st.booleans(),
        "title": st.text(max_size=3),
    },
)
_schema = st.recursive(
    _leaf_schema,
    lambda inner: st.builds(
        lambda base, properties, items: base | {"properties": properties, "items": items},
        _leaf_schema,
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        inner,
    ),
    max_leaves=4,
)


@unhurried
@given(_schema, _json)
def test_the_cheap_check_agrees_with_a_full_validator(schema, value):
    try:
        check = compile_check(schema)
    except Invalid:
        assume(False)
    assert (not check(value)) is Draft202012Validator(schema).is_valid(value)


# --- any record ---------------------------------------------------------------------------------------

_any_text = st.text(st.characters(), max_size=40) | st.text(
    st.sampled_from('\x00\r\n\t\x1b\ud800\udfff\u2028\u202e"\\{}<>&é😀 a'), max_size=20
)
_any_value = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | _any_text
    | st.datetimes()
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_any_text, inner, max_size=3),
    max_leaves=6,
)
_likely = {
    "status": st.sampled_from(["completed", "open", None]),
    "severity": st.sampled_from([*SEVERITIES, "Severe", None]),
    "priority": st.sampled_from([*SEVERITIES, None]),
    "high_risk_count": st.integers(-1, 20),
    "created_at": st.datetimes(timezones=st.just(UTC)) | st.just("2026-11-22T16:05:00Z"),
    "id": _any_text,
}


def any_record(kind):
    columns = sorted(RECORD_TABLES[kind].model_fields | {"metadata": None})
    likely = {name: _likely.get(name, _any_text) | _any_value for name in columns}
    return st.fixed_dictionaries({}, optional=likely)


@pytest.mark.parametrize("slug", sorted(integrations.manifests()))
def test_any_record_becomes_a_valid_body_or_the_reasons_why_not(slug):
    entry = integrations.get(slug)
    ready = mapper(slug)
    validator = Draft202012Validator(entry.record)
    lines = [n for n, field in entry.record["properties"].items() if field.get("type") == "string"]
    lines = [n for n in lines if "contentMediaType" not in entry.record["properties"][n]]

    @unhurried
    @given(any_record(entry.kind))
    def check(record):
        why_not(entry.kind, record, Options())
        found = known(entry.kind, record)
        try:
            text = ready.body(found)
        except Unmappable as error:
            assert error.reasons  # noqa: PT017 - either outcome is right, this is what each must keep
            return
        value = json.loads(text)
        validator.validate(value)
        assert json.loads(json.dumps(value)) == value
        assert text.encode().decode() == text
        assert "\\u0000" not in text.replace("\\\\", "")
        assert ready.body(found) == text
        assert all("\n" not in value.get(name, "") for name in lines)

    check()


@pytest.mark.parametrize("slug", sorted(integrations.manifests()))
def test_ordinary_records_with_any_text_are_never_unmappable(slug):
    entry = integrations.get(slug)
    ready = mapper(slug)
    texts = {n: _any_text for n, v in SAMPLES[entry.kind].items() if isinstance(v, str)}

    @unhurried
    @given(st.fixed_dictionaries(texts))
    def check(change):
        ready.body(known(entry.kind, SAMPLES[entry.kind] | change))

    check()


def test_the_keywords_the_catalog_page_names_are_the_ones_that_are_checked():
    page = Path(integrations.__file__).with_name("manifest.schema.json")
    said = json.loads(page.read_text())["properties"]["record"]["propertyNames"]["enum"]
    assert set(said) == KEYWORDS
