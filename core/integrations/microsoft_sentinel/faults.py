"""Pure: what Microsoft's sign-in and the Logs Ingestion API refuse, in words that name what to correct."""

import re

from core.http.errors import CORRECT_MAPPING, DeliveryError, Misconfigured, Rejected, Stage
from core.integrations.answers import body_of, foreign, is_foreign
from core.platform.text import one_line

#: learn.microsoft.com, Microsoft Entra authentication and authorization error codes
AADSTS = {
    "7000215": "the client secret is wrong; people often paste the secret's ID instead of its Value. "
    "Make a new secret and paste its Value.",
    "7000222": "the client secret has expired. Make a new one under Certificates & secrets.",
    "700016": "the tenant has no app with this client_id. Compare both with the app's Overview page.",
    "90002": "there is no such tenant. Compare tenant_id with the app's Overview page.",
    "900023": "tenant_id is neither an id nor a domain name. Copy it from the app's Overview page.",
    "7000112": "the app is switched off. Enable it under Enterprise applications.",
    "53003": "a Conditional Access policy blocks the app. Ask the tenant's administrator.",
}


def explain_sign_in(fault: DeliveryError) -> DeliveryError:
    """A 4xx of the sign-in is the app's fault, never a record's."""
    if fault.status is None or not 400 <= fault.status < 500 or fault.status in (408, 429):
        return fault
    told = str(body_of(fault).get("error_description") or "")
    code = re.match(r"AADSTS(\d+)", told)
    words = AADSTS.get(code[1]) if code else None
    said = f" (AADSTS{code[1]})" if code else ""
    because = words or f"it refuses the app. {one_line(told, 200)}".strip()
    return Misconfigured(
        f"Microsoft's sign-in answered {fault.status}{said}: {because}",
        status=fault.status,
        body=fault.body,
        stage="credentials",
    )


def explain(fault: DeliveryError, rule: str, stream: str) -> DeliveryError:
    if is_foreign(fault):
        return foreign(fault, "Sentinel")
    error = body_of(fault).get("error")
    error = error if isinstance(error, dict) else {}
    told = one_line(str(error.get("message") or ""), 300)
    if fault.status == 400 and error.get("code") != "InvalidStream":
        sentence = f"Sentinel refused the rows ({told})."
        return Rejected(sentence, CORRECT_MAPPING, status=400, body=fault.body)
    words = {
        401: "Sentinel refused a new token. Check that cloud fits the endpoint.",
        403: f"The app may not write through {rule}. Give it the role Monitoring Metrics Publisher on that data "
        "collection rule; a new role takes up to 30 minutes.",
        400: f"The rule {rule} has no stream {stream}. Copy its name, with Custom- in front, from the JSON view.",
        404: f"Sentinel knows no stream {stream} or no rule {rule} at this endpoint. Copy the immutable id (not "
        "the name) and the stream's name, with Custom- in front, from the rule's JSON view.",
    }.get(fault.status or 0)
    if words is None:
        return fault
    said = f" Microsoft said: {told}" if told else ""
    stage: Stage | None = "target" if fault.status == 400 else None
    return Misconfigured(words + said, status=fault.status, body=fault.body, stage=stage)
