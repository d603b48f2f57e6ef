"""Pure: a Google service account key → the signed request for an access token, and why Google may refuse it."""

from collections.abc import Mapping
from typing import Any

import orjson

from core.http.errors import DeliveryError, Misconfigured
from core.integrations.answers import body_of
from core.integrations.bearer import TokenGrant
from core.platform.text import one_line

#: a key file names a `token_uri` of its own; whoever can change the file could have tokens sent elsewhere
TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LASTS_S = 3600  # the most that Google allows (developers.google.com, OAuth 2.0 for server to server)
NEEDED = ("client_email", "private_key", "private_key_id")

_ANOTHER = "Make a new key (IAM & Admin > Service accounts > Keys) and paste the whole file."
#: starts of Google's `error_description`, lower case
WORDS = {
    "invalid jwt signature": f"the key was deleted or does not belong to this account. {_ANOTHER}",
    "invalid grant: account not found": f"the service account does not exist (any more). {_ANOTHER}",
    "invalid jwt: token must be a short-lived token": "this machine's clock is wrong. Set it, then press Test.",
    "account has been deleted": f"the service account was deleted. {_ANOTHER}",
}


def read_key(text: str) -> dict[str, str]:
    """The fields that sign. Raises Misconfigured; no sentence repeats what is in the file."""
    try:
        key = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _unusable("is not JSON") from None
    if not isinstance(key, dict) or key.get("type") != "service_account":
        raise Misconfigured(
            f"This JSON is not a service account key: its type is not service_account. {_ANOTHER}",
            stage="credentials",
        )
    missing = [name for name in NEEDED if not isinstance(key.get(name), str)]
    if missing:
        raise _unusable(f"lacks {' and '.join(missing)}")
    return {name: key[name] for name in NEEDED}


def _unusable(flaw: str) -> Misconfigured:
    return Misconfigured(f"The service account key {flaw}. {_ANOTHER}", stage="credentials")


def sign_in(key: Mapping[str, str], token_url: str, now_s: int) -> TokenGrant:
    """RFC 7523: who asks, for what, where and until when, signed with the key."""
    # here, because it takes longer to load than all other connectors together
    from google.auth import crypt, jwt

    claims: dict[str, Any] = {
        "iss": key["client_email"],
        "scope": SCOPE,
        "aud": token_url,
        "iat": now_s,
        "exp": now_s + LASTS_S,
    }
    try:
        signer = crypt.RSASigner.from_string(key["private_key"], key["private_key_id"])
    except ValueError:
        raise Misconfigured(
            f"The private key in the service account key cannot be read. {_ANOTHER}", stage="credentials"
        ) from None
    return TokenGrant(token_url, {"grant_type": GRANT, "assertion": jwt.encode(signer, claims).decode()})


def explain_sign_in(fault: DeliveryError) -> DeliveryError:
    """A 4xx of the token endpoint is the key's fault, never a record's."""
    if fault.status is None or not 400 <= fault.status < 500 or fault.status in (408, 429):
        return fault
    told = one_line(str(body_of(fault).get("error_description") or body_of(fault).get("error") or ""), 200)
    words = next((words for start, words in WORDS.items() if told.lower().startswith(start)), None)
    because = words or f"it refuses the service account key. {_ANOTHER}"
    said = f" ({told})" if told else ""
    return Misconfigured(
        f"Google's sign-in answered {fault.status}{said}: {because}",
        status=fault.status,
        body=fault.body,
        stage="credentials",
    )
