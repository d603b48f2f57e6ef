"""Options of a connection: what people write, and the sentence for what they should not."""

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.integrations.options import (
    MAX_EVERY_S,
    MIN_EVERY_S,
    WORDS,
    Options,
    dump,
    parse,
    parse_interval,
)
from core.integrations.options import resolve_start as resolve
from core.platform import durations
from core.platform.errors import Invalid
from core.storage.models import Category

#: a busy machine is not a failure
unhurried = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("30s", 30), ("5m", 300), ("2h", 7200), ("7d", 604_800), ("90", 90), (90, 90), (" 5 m ", 300)],
)
def test_intervals_are_read_with_their_unit(written, seconds):
    assert parse_interval(written) == seconds


@pytest.mark.parametrize("written", ["", "5 weeks", "m5", "-5m", "5.5m", "9s", "8d", "٥m", "1e3", "9" * 30])
def test_an_interval_nobody_can_mean_names_the_field(written):
    with pytest.raises(Invalid) as caught:
        parse_interval(written)
    assert list(caught.value.fields) == ["every"]


@unhurried
@given(st.integers(MIN_EVERY_S, MAX_EVERY_S))
def test_an_interval_survives_being_written(seconds):
    assert parse_interval(durations.written(seconds)) == seconds


@pytest.mark.parametrize(
    ("category", "limit"), [(Category.SIEM, 10), (Category.TICKETING, 5), (Category.COMMUNICATION, 5)]
)
def test_the_seed_limits_are_the_defaults(category, limit):
    assert parse({}, category).batch_limit == limit


def test_defaults_export_everything_above_five_high_risks_every_five_minutes():
    assert parse({}, Category.SIEM) == Options()


def test_texts_from_the_command_line_become_values():
    given_values = {
        "every": "1h",
        "batch_limit": "50",
        "min_severity": "high",
        "drain": "yes",
        "include_raw": "off",
        "realtime": "true",
        "scope": "all",
        "start_from": "2026-11-22",
        "high_risk_threshold": "0",
        "retry": {"attempts": 3},
        "mapping": {"title": "{title}"},
    }
    assert parse(given_values, Category.SIEM) == Options(
        every_s=3600,
        batch_limit=50,
        min_severity="high",
        high_risk_threshold=0,
        start_from="2026-11-22T00:00:00+00:00",
        drain=True,
        include_raw=False,
        scope="all",
        realtime=True,
        retry={"attempts": 3},
        mapping={"title": "{title}"},
    )


def test_what_a_form_leaves_empty_is_the_default():
    assert parse(dict.fromkeys(dump(Options()), ""), Category.SIEM) == Options()
    assert parse(dict.fromkeys(dump(Options())), Category.SIEM) == Options()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_limit", "ten"),
        ("batch_limit", 0),
        ("batch_limit", 100_001),
        ("batch_limit", True),
        ("batch_limit", "1_000"),
        ("batch_limit", "٥"),
        ("min_severity", "urgent"),
        ("min_severity", ["high"]),
        ("high_risk_threshold", -1),
        ("start_from", "yesterday"),
        ("drain", "perhaps"),
        ("include_raw", {}),
        ("scope", "theirs"),
        ("retry", "often"),
        ("mapping", []),
        ("notify_via", {"id": 1}),
        ("evry", "5m"),
    ],
)
def test_a_wrong_value_names_its_field_in_one_sentence(name, value):
    with pytest.raises(Invalid) as caught:
        parse({name: value}, Category.SIEM)
    assert caught.value.fields == {name: caught.value.message}
    assert name in caught.value.message


@pytest.mark.parametrize("name", ["two_way", "cost_per_event", "cost_per_gb", "monthly_budget"])
def test_a_planned_option_is_known_and_refused(name):
    with pytest.raises(Invalid, match="is planned") as caught:
        parse({name: "1"}, Category.TICKETING)
    assert caught.value.fields == {name: caught.value.message}


def test_a_misspelt_option_is_guessed():
    with pytest.raises(Invalid, match='Did you mean "batch_limit"'):
        parse({"batch_limt": 5}, Category.SIEM)


def test_a_misspelt_choice_is_guessed():
    with pytest.raises(Invalid, match='Did you mean "critical"'):
        parse({"min_severity": "Critical"}, Category.SIEM)


def test_a_date_with_a_zone_keeps_its_moment():
    options = parse({"start_from": "2026-11-22T10:00:00+02:00"}, Category.SIEM)
    assert datetime.fromisoformat(options.start_from) == datetime(2026, 11, 22, 8, tzinfo=UTC)


def test_now_becomes_the_moment_of_saving():
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    assert resolve("now", moment) == "2026-11-22T00:00:00+00:00"
    assert resolve("all", moment) == "all"
    assert parse({"start_from": resolve("now", moment)}, Category.SIEM).start_from == moment.isoformat()


_options = st.builds(
    Options,
    every_s=st.integers(MIN_EVERY_S, MAX_EVERY_S),
    batch_limit=st.integers(1, 100_000),
    min_severity=st.sampled_from([None, "low", "medium", "high", "critical"]),
    high_risk_threshold=st.integers(0, 1_000_000),
    start_from=st.sampled_from(["all", "now", "2026-11-22T00:00:00+00:00"]),
    drain=st.booleans(),
    include_raw=st.booleans(),
    scope=st.sampled_from(["mine", "all"]),
    realtime=st.booleans(),
    notify_via=st.sampled_from([None, "chat"]),
    retry=st.dictionaries(st.text(), st.integers()),
    mapping=st.dictionaries(st.text(), st.text()),
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("20", "write it like 20/5m"),
        ("0/5m", "out of range"),
        ("20/5w", "write it"),
        ("20/5d", "out of range"),
        ("20/59s", "out of range"),
    ],
)
def test_a_wrong_storm_limit_says_what_a_right_one_looks_like(text, words):
    with pytest.raises(Invalid, match=words) as caught:
        parse({"storm": text}, Category.COMMUNICATION)
    assert list(caught.value.fields) == ["storm"]


@pytest.mark.parametrize("category", [Category.SIEM, Category.TICKETING])
def test_a_storm_limit_is_for_messages_to_people(category):
    with pytest.raises(Invalid, match="leave it out"):
        parse({"storm": "20/5m"}, category)
    assert parse({"storm": "off"}, Category.COMMUNICATION).storm == "off"


@unhurried
@given(_options, st.sampled_from(Category))
def test_options_survive_dump_and_parse(options, category):
    assert parse(dump(options), category) == options


@unhurried
@given(st.dictionaries(st.sampled_from(sorted(dump(Options()))), st.text() | st.integers() | st.none()))
def test_any_value_is_an_option_or_a_sentence(values):
    try:
        assert isinstance(parse(values, Category.SIEM), Options)
    except Invalid as error:
        assert error.fields  # noqa: PT017 - either outcome is right, this is what each must keep


def test_every_option_has_its_sentence() -> None:
    assert set(WORDS) == set(dump(parse({}, Category.SIEM)))
