"""The catalog, an entry's page and the Connect form as a person gets them."""

import pytest
from sqlmodel import select
from streamlit.testing.v1 import AppTest

from core import connections, integrations
from core.access import LOCAL
from core.connections import MatchCount
from core.integrations import credentials
from core.platform.errors import Forbidden, Invalid
from core.records import intake
from core.storage import db
from core.storage.models import Category, Connection, Kind, User
from core.web.ui import entry, markup, requests
from core.web.ui.forms import Form
from sandbox import Sandbox
from tests.support import scenes
from tests.support.visits import Visit, ana, connect, own_hub, person, principal, said, shown, visit
from tests.support.workplace import sandbox

__all__ = ["ana", "own_hub", "sandbox", "visit"]


def buttons(page: AppTest) -> list[str]:
    return [button.label for button in page.button]


def alerts(number: int, who: User, **fields: object) -> None:
    row = {"title": "New exposure", "severity": "high", "alert_type": "new_exposure", "user_id": who.id}
    rows = [
        row | {"id": f"alert-{at}", "created_at": "2026-11-20T10:00:00Z"} | fields for at in range(number)
    ]
    intake.store(LOCAL, Kind.ALERT, rows)


# --- the catalog --------------------------------------------------------------------------------------


def test_every_entry_has_a_card_under_its_category(ana: User, visit: Visit) -> None:
    page = visit(ana, "catalog")
    assert not page.exception
    titles = [heading.value for heading in page.subheader]
    for manifest in integrations.manifests().values():
        assert f":material/{manifest.icon}: {manifest.name}" in titles
        assert manifest.summary in [text.value for text in page.text]
    assert [title for title in titles if title in {"SIEM", "Ticketing", "Communication"}] == [
        "SIEM",
        "Ticketing",
        "Communication",
    ]


def test_a_card_says_how_often_its_tool_is_connected(ana: User, visit: Visit) -> None:
    ben = person("ben@example.org")
    with db.session() as session:
        scenes.connect(session, ana.id, "one", "splunk")
        scenes.connect(session, ana.id, "two", "splunk")
        scenes.connect(session, ben.id, "theirs", "slack")
    page = visit(ana, "catalog")
    assert "Connected ×2" in said(page)
    assert said(page).count("Connected") == 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "slack"}, ["Slack"]),
        ({"q": "ATLASSIAN issue"}, ["Jira"]),
        ({"tools": "SIEM"}, ["Splunk"]),
        ({"q": "splunk", "tools": "Ticketing"}, []),
    ],
)
def test_search_and_category_come_from_the_address(
    ana: User, visit: Visit, query: dict[str, str], found: list[str]
) -> None:
    page = visit(ana, "catalog", **query)
    assert set(found) <= set(cards(page))
    assert not ({"Splunk", "Jira", "Slack"} - set(found)) & set(cards(page))
    assert ("No tool matches" in said(page)) == (not cards(page)) == (not found)


def cards(page: AppTest) -> list[str]:
    return [heading.value.split(": ")[1] for heading in page.subheader if ":material/" in heading.value]


def test_an_entry_says_how_to_set_it_up_and_what_is_sent(ana: User, visit: Visit) -> None:
    page = visit(ana, "catalog", entry="jira")
    assert not page.exception
    seen = said(page)
    for words in ("How to set it up", "What is sent", "Known limits", "Browse projects"):
        assert words in seen
    assert '"summary": "Home address of Ines Novak is public"' in page.code[0].value
    assert page.button(key="connect").label == "Connect"


def test_an_unknown_entry_leads_back(ana: User, visit: Visit) -> None:
    page = visit(ana, "catalog", entry="slak")
    assert not page.exception
    assert 'The catalog has no "slak".' in [text.value for text in page.text]
    assert buttons(page) == ["See all tools"]


@pytest.mark.parametrize("slug", list(integrations.manifests()))
def test_every_entry_has_an_example_that_it_could_send(slug: str) -> None:
    assert entry.example(integrations.get(slug)).startswith("{")


def test_a_viewer_is_offered_nothing_to_change(own_hub: None, visit: Visit) -> None:
    viewer = person("vic@example.org", "viewer")
    assert "Connect" not in buttons(visit(viewer, "catalog"))
    assert "Connect" not in buttons(visit(viewer, "catalog", entry="slack"))
    form = visit(viewer, "connect", entry="slack")
    assert not form.text_input
    assert "Ask an admin" in said(form)


# --- the form -----------------------------------------------------------------------------------------


def test_connect_without_a_tool_leads_to_the_catalog(ana: User, visit: Visit) -> None:
    for query in ({}, {"entry": "slak"}):
        page = visit(ana, "connect", **query)
        assert not page.exception
        assert "Which tool?" in [heading.value for heading in page.subheader]


def test_the_form_comes_from_the_manifest(ana: User, visit: Visit) -> None:
    page = visit(ana, "connect", entry="jira")
    assert not page.exception
    labels = {field.label: field for field in page.text_input}
    assert {"Address", "Account e-mail", "API token", "Project key", "Issue type (optional)"} <= set(labels)
    assert labels["API token"].proto.type == labels["API token"].proto.PASSWORD
    assert labels["Address"].placeholder == "e.g. https://example.atlassian.net"
    assert page.selectbox(key="new_jira_flavor").options == ["cloud", "datacenter"]
    assert "JSON" in page.text_area(key="new_jira_extra_fields").help
    assert page.text_area(key="masked_new_jira_client_key").label == "Client key (optional)"


def test_what_is_wrong_is_said_below_its_field(ana: User, visit: Visit) -> None:
    page = visit(ana, "connect", entry="splunk")
    page.text_input(key="new_splunk_url").input("splunk.example.com")
    page.button(key="test").click().run()
    assert not page.exception
    problems = [node.value for node in page.markdown if node.value.startswith(":red[")]
    assert len(problems) == 2
    assert "(Address) does not look right" in shown(problems[0])
    assert 'Splunk needs "token"' in shown(problems[1])


def test_a_tool_is_tested_previewed_and_connected(ana: User, visit: Visit, sandbox: Sandbox) -> None:
    alerts(7, ana)
    page = visit(ana, "connect", entry="slack")
    assert "7 alerts match now. The first sync sends 5." in said(page)
    secret = sandbox.credentials("slack")["webhook_url"]
    page.text_input(key="new_slack_webhook_url").input(secret)
    page.button(key="test").click().run()
    assert not page.exception
    assert "Slack works with these settings" in said(page)
    requests_shown = [code.value for code in page.code]
    assert requests_shown[0] == "POST ••••••"
    assert "New exposure" in requests_shown[1]
    assert len(requests_shown) == 6
    assert sandbox.accepted("slack") == []
    page.text_input(key="new_slack_name").input("Team channel")
    page.button(key="save").click().run()
    assert not page.exception
    (view,) = connections.list_views(principal(ana))
    assert (view.name, view.options["every"], view.shared) == ("Team channel", "5m", False)
    assert "Team channel is connected" in page.toast[0].value
    assert secret not in said(page)


def test_a_secret_the_hub_makes_is_shown_before_it_is_saved(
    ana: User, visit: Visit, sandbox: Sandbox
) -> None:
    given = sandbox.credentials("webhook")
    page = visit(ana, "connect", entry="webhook")
    (shown,) = [code.value for code in page.code]
    assert shown.startswith("whsec_")
    page.text_input(key="new_webhook_url").set_value(given["url"])
    page.button(key="test").click().run()
    page.button(key="save").click().run()
    assert not page.exception
    with db.reading() as session:
        (row,) = session.exec(select(Connection)).all()
        assert credentials.values(row)["signing_secret"] == shown


def test_a_secret_of_ones_own_is_taken(ana: User, visit: Visit, sandbox: Sandbox) -> None:
    page = visit(ana, "connect", entry="webhook")
    page.text_input(key="new_webhook_signing_secret").set_value("whsec_" + "MfKQ" * 8)
    page.button(key="test").click().run()
    assert not page.code


def test_a_failed_stage_is_shown_and_a_connection_can_be_saved_anyway(
    ana: User, visit: Visit, sandbox: Sandbox
) -> None:
    sandbox.fault("slack", "403")
    page = visit(ana, "connect", entry="slack")
    page.text_input(key="new_slack_webhook_url").input(sandbox.credentials("slack")["webhook_url"])
    page.button(key="test").click().run()
    assert "Slack does not work with these settings yet" in said(page)
    stages = ("Network", "Encryption", "Credentials")
    assert [node.value for node in page.markdown if node.value.endswith(stages)] == [
        ":green[:material/check_circle:] Network",
        ":orange[:material/warning:] Encryption",
        ":red[:material/cancel:] Credentials",
    ]
    assert page.button(key="save").label == "Connect anyway"
    page.button(key="save").click().run()
    assert [view.name for view in connections.list_views(principal(ana))] == ["Slack"]


def test_changing_a_field_asks_for_another_test(ana: User, visit: Visit, sandbox: Sandbox) -> None:
    page = visit(ana, "connect", entry="slack")
    page.text_input(key="new_slack_webhook_url").input(sandbox.credentials("slack")["webhook_url"])
    page.button(key="test").click().run()
    assert page.button(key="save").label == "Connect"
    page.text_input(key="new_slack_webhook_url").input(f"{sandbox.url}/slack/services/T/B/other").run()
    assert page.button(key="save").label == "Connect without a test"
    assert "The fields have changed since the last test." in said(page)


def test_a_name_in_use_is_refused_in_a_sentence(ana: User, visit: Visit, sandbox: Sandbox) -> None:
    connect(ana, sandbox, "slack", "Slack")
    page = visit(ana, "connect", entry="slack")
    assert page.text_input(key="new_slack_name").value == "Slack 2"
    page.text_input(key="new_slack_name").input("Slack")
    page.text_input(key="new_slack_webhook_url").input(sandbox.credentials("slack")["webhook_url"])
    page.button(key="save").click().run()
    assert not page.exception
    assert "already a connection called" in shown(page.error[0].value)


def test_the_filters_change_the_number_of_matching_records(ana: User, visit: Visit) -> None:
    alerts(3, ana, severity="low")
    page = visit(ana, "connect", entry="slack")
    assert "3 alerts match now. The first sync sends all of them." in said(page)
    page.selectbox(key="new_slack_severity").select("high").run()
    assert "No alert matches now." in said(page)
    page.segmented_control(key="new_slack_start").select("now").run()
    assert "Only alerts that arrive from now on are sent." in said(page)


def test_an_admin_is_told_whose_records_match_and_has_the_switch(own_hub: None, visit: Visit) -> None:
    admin, ana = person("boss@example.org", "admin"), person("ana@example.org")
    alerts(9, ana)
    page = visit(admin, "connect", entry="slack")
    assert "0 of yours, 9 of others" in said(page)
    page.toggle(key="new_slack_scope").set_value(True).run()
    assert "9 alerts match now" in said(page)
    assert "of others" not in said(page)


def test_an_edit_keeps_the_secret_without_sending_it_to_the_browser(
    ana: User, visit: Visit, sandbox: Sandbox
) -> None:
    ref = connect(ana, sandbox, "splunk", "SOC", every="1h")
    token = sandbox.credentials("splunk")["token"]
    page = visit(ana, "connect", edit=ref)
    assert not page.exception
    assert token not in said(page)
    field = page.text_input(key=f"edit_{ref}_token")
    assert (field.value, field.placeholder) == ("", "Saved. Leave empty to keep it.")
    page.text_input(key=f"edit_{ref}_name").input("SOC east")
    page.text_input(key=f"edit_{ref}_index").input("security")
    page.button(key="test").click().run()
    assert "Splunk works with these settings" in said(page)
    page.button(key="save").click().run()
    assert not page.exception
    view = connections.find(principal(ana), ref)
    assert (view.name, view.config["index"], view.options["every"]) == ("SOC east", "security", "1h")
    assert all(step.ok is not False for step in connections.test(principal(ana), ref))


def test_new_credentials_change_nothing_else(ana: User, visit: Visit, sandbox: Sandbox) -> None:
    ref = connect(ana, sandbox, "splunk", "SOC", every="1h")
    page = visit(ana, "connect", edit=ref, only="secrets")
    assert [field.label for field in page.text_input] == ["HEC token"]
    page.text_input(key=f"edit_{ref}_token").input("00000000-0000-0000-0000-000000000009")
    page.button(key="save").click().run()
    assert not page.exception
    view = connections.find(principal(ana), ref)
    assert (view.name, view.options["every"]) == ("SOC", "1h")
    assert any(step.ok is False for step in connections.test(principal(ana), ref))


def test_what_was_entered_outlives_a_reload_but_for_secrets(ana: User, visit: Visit) -> None:
    page = visit(ana, "connect", entry="splunk")
    assert page.button(key="start_again").disabled
    page.text_input(key="new_splunk_url").input("https://splunk.example.com:8088")
    page.text_input(key="new_splunk_token").input("typed-token")
    page.selectbox(key="new_splunk_severity").select("high").run()
    again = visit(ana, "connect", entry="splunk")
    assert again.text_input(key="new_splunk_url").value == "https://splunk.example.com:8088"
    assert again.selectbox(key="new_splunk_severity").value == "high"
    assert again.text_input(key="new_splunk_token").value == ""
    assert "here again, without its secrets" in said(again)
    again.button(key="start_again").click().run()
    assert again.text_input(key="new_splunk_1_url").value == ""
    assert "here again" not in said(again)
    assert visit(ana, "connect", entry="splunk").text_input(key="new_splunk_url").value == ""


def test_what_one_person_entered_is_not_anothers(ana: User, visit: Visit) -> None:
    page = visit(ana, "connect", entry="splunk")
    page.text_input(key="new_splunk_url").input("https://splunk.example.com:8088").run()
    ben = visit(person("ben@example.org"), "connect", entry="splunk")
    assert ben.text_input(key="new_splunk_url").value == ""


def test_an_edit_that_was_left_keeps_only_what_was_changed(ana: User, visit: Visit, sandbox: Sandbox) -> None:
    ref = connect(ana, sandbox, "splunk", "SOC")
    page = visit(ana, "connect", edit=ref)
    page.text_input(key=f"edit_{ref}_index").input("security").run()
    connections.edit(principal(ana), ref, name="SOC east", values={"source": "hub-2"})
    again = visit(ana, "connect", edit=ref)
    for name, value in {"index": "security", "name": "SOC east", "source": "hub-2"}.items():
        assert again.text_input(key=f"edit_{ref}_{name}").value == value


def test_the_form_of_anothers_connection_is_not_there(ana: User, visit: Visit, sandbox: Sandbox) -> None:
    ben = person("ben@example.org")
    ref = connect(ben, sandbox, "splunk", "canary of ben")
    page = visit(ana, "connect", edit=ref)
    assert not page.exception
    assert not page.text_input
    assert "Not found" in [heading.value for heading in page.subheader]
    assert "canary" not in said(page)


# --- drafts -------------------------------------------------------------------------------------------


def test_a_draft_counts_what_its_options_let_through(ana: User) -> None:
    who = principal(ana)
    alerts(4, ana)
    alerts(2, ana, severity="low", id="x")
    ben = person("ben@example.org")
    count = connections.count_wanted
    assert count(who, "slack", {}) == MatchCount(5, is_all=True)
    assert count(who, "slack", {"min_severity": "high"}).records == 4
    assert count(who, "slack", {"start_from": "now"}).records == 0
    assert count(who, "slack", {"start_from": "2020-01-01"}).records == 5
    assert count(principal(ben), "slack", {}).records == 0
    with pytest.raises(Forbidden):
        count(who, "slack", {"scope": "all"})


def test_a_draft_promises_and_previews_the_events_it_asks_for(ana: User, sandbox: Sandbox) -> None:
    who, breach = principal(ana), "footprintiq.alert.data_breach"
    alerts(3, ana)
    alerts(1, ana, alert_type="data_breach", id="x")
    values = sandbox.credentials("webhook") | {"events": breach}
    (request,) = connections.preview_draft(who, "webhook", values, {}, limit=9)
    assert breach in request.body
    assert connections.count_wanted(who, "webhook", {}, values={"events": breach}).records == 1
    assert connections.count_wanted(who, "webhook", {}).records == 4
    with pytest.raises(Invalid) as refused:
        connections.count_wanted(who, "webhook", {}, values={"events": "breaches"})
    assert set(refused.value.fields) == {"events"}


def test_a_draft_of_an_edit_takes_the_events_that_are_saved_or_given(ana: User, sandbox: Sandbox) -> None:
    who, breach = principal(ana), "footprintiq.alert.data_breach"
    alerts(3, ana)
    alerts(1, ana, alert_type="data_breach", id="x")
    values = sandbox.credentials("webhook") | {"events": breach}
    ref = connections.create(who, "webhook", name="x", values=values, options={})
    for given, number in (({}, 1), ({"events": ""}, 4), ({"events": "footprintiq.alert.other"}, 0)):
        assert len(connections.preview_draft(who, "webhook", given, {}, limit=9, ref=ref)) == number
        assert connections.count_wanted(who, "webhook", {}, ref, given).records == number


def test_the_form_counts_the_events_that_are_in_it(ana: User, visit: Visit) -> None:
    alerts(3, ana)
    alerts(1, ana, alert_type="data_breach", id="x")
    page = visit(ana, "connect", entry="webhook")
    assert "4 alerts match now" in said(page)
    page.text_input(key="new_webhook_events").input("footprintiq.alert.data_breach").run()
    assert "1 alert matches now" in said(page)


def test_a_viewer_cannot_make_the_hub_call_anybody(own_hub: None, sandbox: Sandbox) -> None:
    viewer = principal(person("vic@example.org", "viewer"))
    for verb in (connections.test_draft, lambda *given: connections.preview_draft(*given, {})):
        with pytest.raises(Forbidden):
            verb(viewer, "slack", sandbox.credentials("slack"))


def test_a_draft_of_an_edit_is_for_those_who_may_change_it(ana: User, sandbox: Sandbox) -> None:
    ben = person("ben@example.org")
    ref = connections.create(
        principal(ben), "splunk", name="x", values=sandbox.credentials("splunk"), options={}, shared=True
    )
    with pytest.raises(Exception, match="There is no connection"):
        list(connections.stages_draft(principal(ana), "splunk", {}, ref))
    with pytest.raises(Exception, match="There is no connection"):
        connections.preview_draft(principal(ana), "splunk", {}, {}, ref=ref)


def test_a_wrong_draft_is_refused_before_any_call(ana: User) -> None:
    with pytest.raises(Invalid) as refused:
        connections.preview_draft(principal(ana), "splunk", {"url": "x"}, {})
    assert set(refused.value.fields) == {"url", "token"}


# --- words --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "options", "said_so"),
    [
        (MatchCount(0, True), {}, "No alert matches now. The first that does is sent by itself."),
        (MatchCount(1, True), {}, "1 alert matches now. The first sync sends 1."),
        (MatchCount(12, True), {"drain": True}, "12 alerts match now. The first sync sends all of them."),
        (
            MatchCount(8000, False),
            {},
            "8,000 alerts match now among the newest 10,000. The first sync sends 5.",
        ),
    ],
)
def test_the_number_of_records_is_said_in_words(
    wanted: MatchCount, options: dict[str, object], said_so: str
) -> None:
    chosen = {"start_from": "all", "drain": False, "batch_limit": 5} | options
    assert requests.sentence(integrations.get("slack"), wanted, chosen, is_new=True) == said_so


def test_several_json_documents_are_all_made_readable() -> None:
    assert requests.pretty('{"a":1}\n{"b":[2]}').splitlines() == [
        "{", '  "a": 1', "}", "{", '  "b": [', "    2", "  ]", "}",
    ]  # fmt: skip
    assert requests.pretty("CEF:0|x") == "CEF:0|x"


@pytest.mark.parametrize("text", ["SOC prod", "On-call, Ana's", "Überwachung 7", "Is it (still) on? It is."])
def test_plain_words_are_left_alone(text: str) -> None:
    assert markup.escaped(text) == text


@pytest.mark.parametrize(
    "text",
    ["*a*", "[x](http://y)", ":smile:", "www.evil.example", "a@b.c", "$x$", "`", "1. x", "# x", "> x", "_x_"],
)
def test_marks_are_never_read_as_markdown(text: str) -> None:
    escaped = markup.escaped(text)
    assert shown(escaped) == text
    assert escaped.count("\\") == sum(char in "*[]:.@$`#>_/" for char in text)
    assert escaped.isascii()  # nothing invisible comes along when somebody copies it


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("www.x.example", ["www", r"\.x\.example"]),
        ("see https://x", ["see https", r"\:\/\/x"]),
        ("ana@b.c", ["ana", r"\@b\.c"]),
        (":a:b:", [r"\:a", r"\:b", r"\:"]),
        ("a -> b", [r"a \-", r"\> b"]),
        ("data/hub.key: HUB_KEY", [r"data\/hub\.key\: HUB\_KEY"]),
    ],
)
def test_what_streamlit_reads_twice_is_parted(text: str, parts: list[str]) -> None:
    assert markup.escaped(text).split(markup.PART) == parts


def test_a_form_marks_what_may_stay_empty() -> None:
    form = Form(integrations.get("splunk"), "key")
    assert [form.label(name) for name in ("url", "token", "index")] == [
        "Address",
        "HEC token",
        "Index (optional)",
    ]


def test_every_category_has_its_words() -> None:
    assert set(entry.CATEGORY) == set(Category)
