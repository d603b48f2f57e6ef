"""The catalog: a broken file stops the start, and a wrong entry gets one sentence per field."""

import json
import shutil
import subprocess
import sys
import tomllib
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from core import integrations
from core.http import Egress
from core.http.errors import Misconfigured
from core.integrations import check_config, get, load, manifests, secret_fields
from core.integrations.manifest import HERE
from core.integrations.registry import connector, slugs
from core.platform.errors import Invalid, NotFound, Unusable
from core.storage.models import Category, Kind
from core.storage.models.words import KIND_OF

ROOT = Path(__file__).parents[2]
#: a busy machine is not a failure
unhurried = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])

COMMON = {"ca_bundle", "tls_fingerprint", "proxy", "client_cert", "client_key"}
#: INTERFACE: what is public about each entry's fields (required, optional, secret)
FIELDS = {
    "splunk": ({"url", "token"}, {"index", "source", "sourcetype", "use_ack", "channel"}, {"token"}),
    "aws_security_hub": (
        {"region", "account_id", "access_key_id", "secret_access_key"},
        {"session_token", "product_arn", "endpoint_url", "sts_endpoint_url"},
        {"secret_access_key", "session_token"},
    ),
    "elastic": ({"url", "api_key"}, {"target"}, {"api_key"}),
    "qradar": (
        {"url"},
        {"format", "auth_header", "auth_value", "console_url", "sec_token"},
        {"auth_value", "sec_token"},
    ),
    "jira": (
        {"url", "email", "api_token", "project_key"},
        {"issue_type", "flavor", "labels", "extra_fields"}
        | {"done_transition", "reopen_transition", "webhook_secret"},
        {"api_token", "webhook_secret"},
    ),
    "google_secops": (
        {"project_id", "location", "instance_id", "service_account_json"},
        {"mode", "log_type", "endpoint_url", "token_url"},
        {"service_account_json"},
    ),
    "microsoft_sentinel": (
        {"endpoint_url", "dcr_immutable_id", "stream_name", "tenant_id", "client_id", "client_secret"},
        {"cloud", "authority_url"},
        {"client_secret"},
    ),
    "servicenow": (
        {"url", "username", "password"},
        {"table", "assignment_group", "caller_id", "close_code", "webhook_secret"},
        {"password", "webhook_secret"},
    ),
    "zendesk": (
        {"url", "email", "api_token"},
        {"requester_email", "group_id", "tags", "webhook_secret"},
        {"api_token", "webhook_secret"},
    ),
    "slack": (
        set(),
        {"webhook_url", "bot_token", "channel", "endpoint_url"},
        {"webhook_url", "bot_token"},
    ),
    "teams": ({"webhook_url"}, set(), {"webhook_url"}),
    "pagerduty": (
        {"routing_key"},
        {"region", "endpoint_url", "webhook_secret"},
        {"routing_key", "webhook_secret"},
    ),
    "discord": ({"webhook_url"}, {"thread_id"}, {"webhook_url"}),
    "email": (
        {"host", "port", "from_address", "recipients"},
        {"security", "username", "password"},
        {"password"},
    ),
    "webhook": ({"url", "signing_secret"}, {"events"}, {"signing_secret"}),
}
SPLUNK = {"url": "https://splunk.example.com:8088", "token": "00000000-0000-0000-0000-000000000000"}
JIRA = {
    "url": "https://x.atlassian.net",
    "email": "hub@example.com",
    "api_token": "t-secret",
    "project_key": "SEC",
}


def wrong(slug, **values):
    """The sentences for `values`, by field."""
    with pytest.raises(Invalid) as caught:
        check_config(get(slug), values)
    assert caught.value.message == " ".join(caught.value.fields.values())
    return caught.value.fields


# --- what is planned ------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", ["jira", "servicenow", "zendesk", "pagerduty"])
def test_a_planned_field_is_refused_when_it_is_given(slug):
    planned = integrations.planned_fields(get(slug))
    assert "webhook_secret" in planned
    for name in planned:
        assert "is planned" in wrong(slug, **{name: "x"})[name]
        for nothing in ("", None):
            assert name not in wrong(slug, **{name: nothing})


def test_a_planned_field_that_was_saved_before_stays_and_an_edit_is_no_gift():
    saved = JIRA | {"done_transition": "Done"}
    config = check_config(get("jira"), {"project_key": "OPS"}, saved)
    assert (config["project_key"], config["done_transition"]) == ("OPS", "Done")
    assert "done_transition" not in check_config(get("jira"), {"done_transition": ""}, saved)
    with pytest.raises(Invalid, match="is planned"):
        check_config(get("jira"), {"done_transition": "Closed"}, saved)


# --- what is in it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", FIELDS)
def test_the_fields_are_the_public_ones(slug):
    required, optional, secret = FIELDS[slug]
    entry = get(slug)
    assert set(entry.config["properties"]) == required | optional | COMMON
    assert set(entry.config["required"]) == required
    assert secret_fields(entry) == secret | {"client_key"}


@pytest.mark.parametrize("slug", FIELDS)
def test_the_connector_takes_exactly_what_the_manifest_asks_for(slug):
    required, optional, _ = FIELDS[slug]
    taken = fields(connector(slug).Config)
    assert {field.name for field in taken} == required | optional
    needed = {field.name for field in taken if field.default is MISSING and field.default_factory is MISSING}
    # Jira Data Center knows the account by the token alone
    assert needed == required - {"email"} if slug == "jira" else needed == required
    wrapped = {field.name for field in taken if "Secret" in str(field.type)}
    assert wrapped == FIELDS[slug][2]


def test_no_entry_is_without_its_fields_here_and_its_connector():
    assert set(manifests()) == set(FIELDS) == set(slugs()), "add its public fields to FIELDS above"


def test_a_connector_is_imported_when_it_is_first_used():
    code = """
import sys
from core.integrations import credentials, manifests, registry
manifests()
assert registry.connector("jira").__name__ == "Jira"
print(*sorted(name.split(".")[2] for name in sys.modules if name.endswith(".connector")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["jira"], "")


def test_what_is_no_python_is_installed_with_the_packages():
    taken = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    others = [
        path
        for folder in ("core", "sandbox")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    assert len(others) > 15
    assert [path for path in others if not any(path.match(pattern) for pattern in taken)] == []
    assert [path for path in others if not path.with_name("__init__.py").exists()] == []


def test_every_entry_says_what_a_stranger_needs():
    for entry in manifests().values():
        assert entry.setup
        assert entry.permissions
        assert entry.docs_url.startswith("https://")
        assert entry.mapping[entry.kind]
        assert entry.limits.batch_items >= 1
        Draft202012Validator.check_schema(entry.config)
        Draft202012Validator.check_schema(entry.record)


def test_every_number_in_limits_has_its_source_above_it():
    for path in HERE.glob("*/manifest.toml"):
        lines = [line for line in path.read_text().splitlines() if line]
        section = lines[lines.index("[limits]") :]
        for above, line in pairwise(section[: section.index("[severity]")]):
            assert line.startswith("#") or above.startswith("#"), f"{path}: {line}"


def test_each_category_exports_its_kind():
    assert KIND_OF == {
        Category.SIEM: Kind.SCAN,
        Category.TICKETING: Kind.CASE,
        Category.COMMUNICATION: Kind.ALERT,
    }


def test_jira_is_looked_for_before_a_second_create():
    assert (get("jira").in_doubt, get("jira").look_up_after_s) == ("look_up", (60, 300, 900))


def test_a_zendesk_ticket_is_sent_again_under_its_key():
    assert (get("zendesk").in_doubt, get("zendesk").look_up_after_s) == ("native_key", ())


@pytest.mark.parametrize(
    ("slug", "values"),
    [
        ("google_secops", {"endpoint_url": "https://chronicle.eu.rep.googleapis.com"}),
        ("google_secops", {"token_url": "https://oauth2.googleapis.com/token"}),
        ("microsoft_sentinel", {"endpoint_url": "https://x-1.westeurope-1.ingest.monitor.azure.com"}),
        ("microsoft_sentinel", {"authority_url": "https://login.microsoftonline.us"}),
        ("zendesk", {"url": "https://acme.zendesk.com"}),
    ],
)
def test_a_cloud_is_only_called_at_its_own_hosts(slug, values):
    for url in values.values():
        Egress().check_url(url, get(slug).pinned_hosts)
        for elsewhere in (url.replace(".com", ".com.evil.example").replace(".us", ".us.evil.example"),):
            with pytest.raises(Misconfigured):
                Egress().check_url(elsewhere, get(slug).pinned_hosts)


def test_only_slacks_own_hosts_get_slack_messages():
    hosts = ("hooks.slack.com", "hooks.slack-gov.com", "slack.com", "slack-gov.com")
    assert get("slack").pinned_hosts == hosts


def test_an_unknown_slug_is_guessed():
    with pytest.raises(NotFound, match='Did you mean "splunk"'):
        get("splnk")


# --- what a person enters -----------------------------------------------------------------------------


def test_a_config_comes_back_typed_and_with_defaults():
    assert check_config(get("splunk"), SPLUNK | {"use_ack": "yes"}) == SPLUNK | {
        "source": "footprintiq",
        "sourcetype": "footprintiq:scan",
        "use_ack": True,
    }
    assert check_config(
        get("jira"), JIRA | {"labels": "a, b,", "extra_fields": '{"customfield_1": {"id": "5"}}'}
    ) == {
        **JIRA,
        "issue_type": "Task",
        "flavor": "cloud",
        "labels": ["a", "b"],
        "extra_fields": {"customfield_1": {"id": "5"}},
    }


def test_a_checked_config_passes_again_unchanged():
    once = check_config(get("jira"), JIRA | {"labels": '["a","b"]'})
    assert check_config(get("jira"), once) == once
    assert json.loads(json.dumps(once)) == once


def test_defaults_are_not_shared_between_connections():
    check_config(get("jira"), JIRA)["labels"].append("leak")
    assert check_config(get("jira"), JIRA)["labels"] == []


def test_spaces_and_line_ends_of_a_paste_are_not_part_of_it():
    pasted = {name: f" {value}\n" for name, value in SPLUNK.items()}
    assert check_config(get("splunk"), pasted).items() >= SPLUNK.items()


def test_a_misspelt_field_is_guessed_and_not_called_missing_too():
    assert wrong("splunk", url=SPLUNK["url"], tokn="x") == {
        "tokn": 'Splunk has no field "tokn". Did you mean "token"?'
    }


def test_a_field_nobody_can_mean_gets_the_list():
    sentence = wrong("slack", colour="red", webhook_url="https://hooks.slack.com/services/x")["colour"]
    assert sentence.startswith('Slack has no field "colour". Its fields are webhook_url, ')


@pytest.mark.parametrize("empty", [{}, {"token": ""}, {"token": None}, {"token": " \n"}])
def test_a_missing_field_is_named(empty):
    assert "token" in wrong("splunk", url=SPLUNK["url"], **empty)


def test_missing_fields_are_named_with_their_titles():
    assert wrong("splunk", url=SPLUNK["url"]) == {"token": 'Splunk needs "token" (HEC token).'}
    assert list(wrong("jira")) == ["url", "email", "api_token", "project_key"]


@pytest.mark.parametrize(
    ("slug", "values", "field", "sentence"),
    [
        ("splunk", {"use_ack": "perhaps"}, "use_ack", "is neither on nor off; write true or false."),
        (
            "splunk",
            {"url": "splunk:8088"},
            "url",
            "does not look right; write it like https://splunk.example.com:8088.",
        ),
        ("splunk", {"url": "https://user:pw@splunk"}, "url", "does not look right"),
        ("splunk", {"url": "https://splunk/?x=1"}, "url", "does not look right"),
        ("splunk", {"url": "https://a\\@b"}, "url", "does not look right"),
        ("splunk", {"url": ["https://splunk"]}, "url", "must be a text."),
        ("splunk", {"url": "https://spl\x00unk"}, "url", "another control character"),
        ("splunk", {"token": "a\r\nX-Evil: 1"}, "token", "another control character"),
        ("splunk", {"index": "Security"}, "index", "does not look right; write it like security."),
        ("splunk", {"source": "x" * 256}, "source", "is longer than 255 characters."),
        ("splunk", {"source": "\ud800"}, "source", "another control character"),
        ("splunk", {"channel": "1"}, "channel", "does not look right"),
        ("splunk", {"tls_fingerprint": "ab"}, "tls_fingerprint", "does not look right"),
        ("aws_security_hub", {"region": "eu-central-1a"}, "region", "write it like eu-central-1."),
        ("aws_security_hub", {"region": "eu-central"}, "region", "does not look right"),
        ("aws_security_hub", {"account_id": "1234-5678-9012"}, "account_id", "write it like 123456789012."),
        ("aws_security_hub", {"access_key_id": "hub"}, "access_key_id", "does not look right"),
        ("aws_security_hub", {"product_arn": "default"}, "product_arn", "does not look right"),
        ("elastic", {"target": "Logs"}, "target", "write it like logs-footprintiq.scan-default."),
        ("elastic", {"api_key": "a b"}, "api_key", "does not look right"),
        ("qradar", {"sec_token": "x"}, "console_url", "give both or neither."),
        ("qradar", {"auth_header": "Content-Type"}, "auth_header", "the hub sets itself"),
        ("qradar", {"auth_header": "a:b"}, "auth_header", "does not look right"),
        ("qradar", {"format": "cef"}, "format", "must be one of json, leef."),
        ("splunk", {"ca_bundle": "my-ca.pem"}, "ca_bundle", "write it like -----BEGIN CERTIFICATE-----."),
        ("jira", {"flavor": "server"}, "flavor", "must be one of cloud, datacenter."),
        ("jira", {"flavor": "clowd"}, "flavor", 'Did you mean "cloud"?'),
        ("jira", {"project_key": "sec"}, "project_key", "does not look right; write it like SEC."),
        ("jira", {"labels": "two words,b"}, "labels", "An entry of"),
        ("jira", {"labels": 5}, "labels", "must be a list; write it like a,b."),
        ("jira", {"labels": '["a"'}, "labels", "is not valid JSON"),
        ("jira", {"labels": ",".join("a" * 21)}, "labels", "must have at most 20 entries."),
        ("jira", {"extra_fields": "a=b"}, "extra_fields", "is not valid JSON"),
        ("jira", {"extra_fields": "[1]"}, "extra_fields", "must be a JSON object; write it like {"),
        ("jira", {"extra_fields": {"a": "\x00"}}, "extra_fields", "cannot keep"),
        ("jira", {"extra_fields": {"a": "\ud800"}}, "extra_fields", "cannot keep"),
        (
            "slack",
            {"webhook_url": "https://hooks.slack.com/workflows/T/A/1"},
            "webhook_url",
            "does not look right",
        ),
        ("slack", {"client_cert": "-----BEGIN CERTIFICATE-----"}, "client_key", "give both or neither."),
        ("google_secops", {"service_account_json": "AIza…"}, "service_account_json", "does not look right"),
        ("google_secops", {"log_type": "my logs"}, "log_type", "write it like FOOTPRINTIQ."),
        ("google_secops", {"location": "EU West"}, "location", "write it like eu."),
        ("microsoft_sentinel", {"dcr_immutable_id": "my-rule"}, "dcr_immutable_id", "write it like dcr-"),
        ("microsoft_sentinel", {"stream_name": "FootprintIQ_CL"}, "stream_name", "write it like Custom-"),
        # the secret's ID in place of its Value
        (
            "microsoft_sentinel",
            {"client_secret": "66666666-7777-8888-9999-000000000000"},
            "client_secret",
            "does not look right",
        ),
        ("servicenow", {"username": "a:b"}, "username", "does not look right"),
        ("servicenow", {"table": "incident?x"}, "table", "write it like incident."),
        ("servicenow", {"assignment_group": "a^ORnameISNOTEMPTY"}, "assignment_group", "does not look right"),
        ("servicenow", {"caller_id": "javascript:gs.getUserID()"}, "caller_id", "does not look right"),
        ("zendesk", {"email": "hub"}, "email", "write it like hub@example.com."),
        ("zendesk", {"tags": "two words"}, "tags", "An entry of"),
        ("zendesk", {"group_id": "Security"}, "group_id", "must be a number"),
    ],
)
def test_a_wrong_value_gets_its_sentence(slug, values, field, sentence):
    base = {
        "splunk": SPLUNK,
        "jira": JIRA,
        "slack": {"webhook_url": "https://hooks.slack.com/services/T/B/x"},
    }.get(slug) or {name: get(slug).config["properties"][name]["examples"][0] for name in FIELDS[slug][0]}
    problems = wrong(slug, **base | values)
    assert list(problems) == [field]
    assert sentence in problems[field]
    assert f'"{field}"' in problems[field]


def test_a_key_pasted_with_its_certificate_is_refused_where_it_would_not_be_sealed():
    both = "-----BEGIN CERTIFICATE-----\nx\n-----BEGIN PRIVATE KEY-----\ny"
    assert "client_cert" in wrong(
        "splunk", **SPLUNK, client_cert=both, client_key="-----BEGIN PRIVATE KEY-----"
    )


_marked = st.text().map(lambda text: f"§{text}§")  # a sign that no sentence of ours has


@unhurried
@given(st.dictionaries(st.sampled_from([*SPLUNK, "use_ack", "index", "ca_bundle", "channel"]), _marked))
def test_no_sentence_repeats_what_was_entered(values):
    try:
        check_config(get("splunk"), values)
    except Invalid as error:
        assert "§" not in error.message  # noqa: PT017 - either outcome is right


_wild = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("slug", sorted(FIELDS))
def test_anything_entered_is_a_valid_config_or_sentences(slug):
    entry = get(slug)
    names = st.sampled_from([*entry.config["properties"], "no_such"]) | st.text()

    @unhurried
    @given(st.dictionaries(names, _wild, max_size=6))
    def check(values):
        try:
            config = check_config(entry, values)
        except Invalid as error:
            assert all(error.fields.values())  # noqa: PT017 - either outcome is right
            return
        Draft202012Validator(entry.config).validate(config)
        assert json.loads(json.dumps(config)) == config

    check()


@pytest.mark.parametrize("slug", sorted(FIELDS))
def test_every_example_of_a_form_is_accepted(slug):
    entry = get(slug)
    planned = integrations.planned_fields(entry)
    asked = {n: field for n, field in entry.config["properties"].items() if n not in planned}
    for name, field in asked.items():
        for example in field["examples"]:
            samples = {n: f["examples"][0] for n, f in asked.items()}
            assert name in check_config(entry, samples | {name: example})


# --- a broken file ------------------------------------------------------------------------------------


def broken(tmp_path, old, new, slug="splunk"):
    """The sentence for the file of `slug` with `old` replaced by `new`."""
    path = tmp_path / slug / "manifest.toml"
    path.parent.mkdir(exist_ok=True)
    text = (HERE / slug / path.name).read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(Unusable) as caught:
        load(path)
    assert caught.value.message.startswith(f"core/integrations/{slug}/manifest.toml: ")
    assert caught.value.message.endswith("Correct the file and start again.")
    return caught.value.message


def test_a_folder_is_read_as_it_is(tmp_path):
    for path in HERE.glob("*/manifest.toml"):
        copied = shutil.copytree(path.parent, tmp_path / path.parent.name)
        assert load(copied / path.name) == get(path.parent.name)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("summary = ", "sumary = ", 'unknown key "sumary". Did you mean "summary"?'),
        ('docs_url = "', 'x = "', 'unknown key "x".'),
        ('provider = "Splunk (Cisco)"', "", 'the key "provider" is missing.'),
        ("[severity]\nlow", "[severity]\nlo", 'unknown key "lo" in [severity]. Did you mean "low"?'),
        ('title = "Address"', 'tittle = "Address"', 'in [config.properties.url]. Did you mean "title"?'),
        ('title = "Address"\n', "", 'the key "title" is missing in [config.properties.url].'),
        (
            'required = ["url", "token"]',
            'required = ["url", "tokn"]',
            'requires "tokn", which is no field of it. Did',
        ),
        ("batch_items = 500", "batch_items = 0", "limits.batch_items: 0 is less than the minimum of 1."),
        ("batch_items = 500", 'batch_items = "500"', "limits.batch_items"),
        ('category = "siem"', 'category = "crm"', "category: 'crm' is not one of"),
        (
            'in_doubt = "may_repeat"',
            'in_doubt = "look_up"',
            '"look_up_after_s" goes with in_doubt = "look_up"',
        ),
        ('slug = "splunk"', 'slug = "splunkk"', 'slug is "splunkk", but its file or folder is named splunk.'),
        ("writeOnly = true", 'writeOnly = true\ndefault = "x"', "is a secret and cannot have a default"),
        ('examples = ["security"]', 'examples = ["Security"]', "does not accept its own example"),
        ("default = false", "default = 0", "does not accept its own example"),
        ("[config.properties.index]", "[config.properties.proxy]", "is a field every entry has"),
        (
            'id = { type = "string", maxLength = 100 }',
            'id = { type = "string", format = "uuid" }',
            '"format" is not',
        ),
        (
            'time = "{created_epoch}"',
            'tme = "{created_epoch}"',
            'names "tme", which the body does not have. Did',
        ),
        ("[limits]", "[limits", "Expected"),
    ],
)
def test_a_broken_file_is_named_with_its_key(tmp_path, old, new, sentence):
    assert sentence in broken(tmp_path, old, new)


def test_an_entry_must_map_what_its_category_exports(tmp_path):
    sentence = "[mapping.case] is missing; entries of this category export cases."
    assert sentence in broken(tmp_path, "[mapping.case]", "[mapping.scan]", slug="jira")


def test_a_tracker_says_where_its_tickets_are(tmp_path):
    place = 'place = ["url", "project_key"]'
    assert '"place" goes with category = "ticketing"' in broken(tmp_path, place, "", slug="jira")
    for field in ("api_token", "project"):
        told = broken(tmp_path, place, f'place = ["url", "{field}"]', slug="jira")
        assert f'place names "{field}", which is no open field of [config].' in told
    told = broken(tmp_path, 'in_doubt = "may_repeat"', 'in_doubt = "may_repeat"\nplace = ["url"]')
    assert '"place" goes with category = "ticketing"' in told


def test_a_group_of_alternatives_is_one_sentence():
    assert wrong("slack")["webhook_url"] == (
        'Slack needs "webhook_url" (Webhook URL), or "bot_token" (Bot token) with "channel" (Channel).'
    )
    bot = {"bot_token": "xoxb-1-x", "channel": "C0123456789"}
    assert check_config(get("slack"), bot) == bot | {"endpoint_url": "https://slack.com/api"}


def test_a_trap_is_a_pattern_and_the_rest_of_a_sentence(tmp_path):
    sentence = broken(tmp_path, "sentence = ", "sentense = ", slug="teams")
    assert (
        'unknown key "sentense" in [config.properties.webhook_url.traps.0]. Did you mean "sentence"?'
        in sentence
    )
