"""Secrets are kept out of what is stored, in every spelling and in bounded time, whoever chose them and the answer."""

import base64
import html
import json
import time
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import integrations
from core.http import Egress, Rules, VendorClient
from core.http.errors import DeliveryError, Misconfigured
from core.http.redaction import Redaction
from core.integrations.bearer import Bearer, TokenGrant
from core.integrations.token_cache import NoTokens
from core.platform.errors import Invalid
from core.platform.secret import LONGEST_CHARS, LONGEST_PEM_CHARS, MASK
from tests.support.fault_server import http, json_answer, serving

pytestmark = pytest.mark.security

#: a key of 8,192 `%` took 2.6 s to prepare, twenty backslashes hours to look for; all of this takes two together
BUDGET_S = 10.0
SPECIAL = "%&<>\"'\\/+=-_.: \n\t#;@!{}"
secrets = st.text(st.sampled_from(SPECIAL + "abcn25uxF0é€—"), min_size=4, max_size=20)


def spellings(char: str) -> list[str]:
    """As it is, and as a URL, JSON (also inside JSON) and HTML write it. Letters and digits are never escaped."""
    if char.isascii() and char.isalnum():
        return [char]
    in_json = json.dumps(char)[1:-1]
    return [
        *(char, quote(char, safe=""), quote(char, safe="").lower(), quote_plus(char), html.escape(char)),
        *(in_json, json.dumps(in_json)[1:-1], f"\\u{ord(char):04X}", f"&#{ord(char)};", f"&#00{ord(char)};"),
        *(("\\/", "\\\\/") if char == "/" else ()),
    ]


@given(st.data(), secrets, st.text(max_size=8), st.text(max_size=8))
def test_whatever_way_each_character_is_escaped_the_secret_is_found(
    data: st.DataObject, secret: str, before: str, after: str
) -> None:
    spelt = "".join(data.draw(st.sampled_from(spellings(char))) for char in secret)
    cleaned = Redaction([secret]).clean(f"{before}{spelt}{after}")
    assert MASK in cleaned
    assert spelt not in cleaned.replace(MASK, "\0")


@given(secrets)
@example("%25%25%25%25")
@example("\\\\\\\\n")
def test_a_whole_document_that_echoes_it_is_clean(secret: str) -> None:
    for echo in (
        json.dumps({"a": secret}),
        json.dumps(json.dumps(secret)),
        quote(secret),
        html.escape(secret),
    ):
        assert MASK in Redaction([secret]).clean(f"say {echo} again")
    encoded = base64.b64encode(secret.encode()).decode()
    assert MASK in Redaction([secret]).clean(f"Basic {encoded}")


def test_what_is_no_secret_stays() -> None:
    text = 'a "b" %41 &amp; c\\n+ 7f3a'
    assert Redaction(["canary/7f3a+9b=secret", "%%%%", "&&&&"]).clean(text) == text
    assert Redaction([]).clean(text) == text


@pytest.mark.long
@pytest.mark.parametrize("char", ["%", "\\", "&", "+", "a", "-", "é", "%25", "&amp;", "\\u005c", "a!", "n\\"])
def test_the_most_hostile_secret_and_answer_cost_little(char: str) -> None:
    """The longest secret that may be saved against the longest answer that is kept."""
    secret = (char * LONGEST_CHARS)[: LONGEST_CHARS - 1] + "|"
    text = (char * 262_144)[:262_144]
    began = time.process_time()
    for each in (secret, secret[:-1], char * 20 + "|"):
        cleaned = Redaction([each]).excerpt(text, 65_536)
        assert len(cleaned) <= 65_536
    assert time.process_time() - began < BUDGET_S


@pytest.mark.parametrize("key", ["%" * 60_000, "\\" * 30, "%25" * 100])
def test_a_call_with_a_key_that_was_saved_before_the_bound_is_not_held_up(key: str) -> None:
    began = time.process_time()
    with (
        serving(json_answer(500, json.dumps({"message": key * 3}))) as server,
        VendorClient(vendor="Splunk", rules=Rules(Egress.parse("127.0.0.1")), secrets=[key]) as vendor,
        pytest.raises(DeliveryError) as caught,
    ):
        vendor.post(server.url, content=key.encode())
    assert time.process_time() - began < BUDGET_S
    assert key[:1000] not in f"{caught.value.message}{caught.value.body}{vendor.exchanges}"


# --- how long a secret may be, at every door ------------------------------------------------------------


def given_values(slug: str, name: str, value: str) -> dict[str, Any]:
    """The manifest's own examples of what it needs, and `value`."""
    manifest = integrations.get(slug)
    fields = manifest.config["properties"]
    return {needed: fields[needed]["examples"][0] for needed in manifest.config["required"]} | {name: value}


def test_no_field_takes_a_longer_secret() -> None:
    """`check_config` is the door that pages, API, terminal and files go through."""
    seen = 0
    for slug, manifest in integrations.manifests().items():
        for name, field in manifest.config["properties"].items():
            is_pem = field.get("contentMediaType") == "application/x-pem-file"
            if field.get("writeOnly") or is_pem:
                most = LONGEST_PEM_CHARS if is_pem else LONGEST_CHARS
                assert field["maxLength"] <= most, f"{slug}.{name}"
                with pytest.raises(Invalid) as caught:
                    integrations.check_config(manifest, given_values(slug, name, "%" * (most + 1)))
                assert "is longer than" in caught.value.fields[name]
                seen += 1
    assert seen > 60


def test_a_token_that_a_vendor_gives_is_held_to_the_same_bound() -> None:
    """It goes out in a header, and is then a secret to look for in every answer."""
    told = json.dumps({"access_token": "%" * (LONGEST_CHARS + 1), "expires_in": 3600})
    with (
        serving(http(200, told.encode(), "Content-Type: application/json")) as server,
        VendorClient(vendor="Sentinel", rules=Rules(Egress.parse("127.0.0.1"))) as vendor,
        pytest.raises(Misconfigured, match="no token"),
    ):
        grant = TokenGrant(server.url, {"grant_type": "client_credentials"})
        Bearer(vendor, NoTokens(), "Sentinel", lambda: grant, lambda fault: fault).renew()
