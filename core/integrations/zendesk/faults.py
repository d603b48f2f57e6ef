"""Pure: what Zendesk's refusals mean, in words that name what to correct."""

from typing import Any

from core.http.errors import CORRECT_MAPPING, DeliveryError, Misconfigured, Rejected, TooLarge
from core.integrations.answers import body_of, foreign, is_foreign
from core.platform.text import one_line

#: fields whose value comes from the record; an error in any other one is the connection's fault
OF_RECORD = frozenset({"subject", "comment", "description", "priority", "external_id"})


class KeyReused(Rejected):
    """Another body was sent under this idempotency key in the last two hours."""


def explain(fault: DeliveryError) -> DeliveryError:
    if is_foreign(fault):
        return foreign(fault, "Zendesk")
    body = body_of(fault)
    if fault.status == 400 and "idempot" in fault.body.lower():
        return KeyReused(fault.said, fault.next_step, status=fault.status, body=fault.body)
    if fault.status in (400, 422) and not isinstance(fault, TooLarge):
        return _of_fields(fault, body)
    words = {
        401: "Zendesk refused the credentials. It wants an agent's e-mail and an API token, not a password, and "
        "token access switched on in Admin Center > Apps and integrations > Zendesk API.",
        403: "The account may not do this in Zendesk. Use an agent or admin account that may create tickets.",
        404: "Zendesk does not know this address, or the group named here. Correct the address or group_id.",
    }.get(fault.status or 0)
    return Misconfigured(words, status=fault.status, body=fault.body) if words else fault


def _of_fields(fault: DeliveryError, body: dict[str, Any]) -> DeliveryError:
    details = body.get("details")
    details = details if isinstance(details, dict) else {}
    told = one_line("; ".join(f"{name}: {_words(found)}" for name, found in details.items()), 500)
    told = told or one_line(str(body.get("description") or body.get("error") or ""), 500)
    if details and not set(details) <= OF_RECORD:
        sentence = (
            f"Zendesk refused the ticket ({told}). Correct requester_email, group_id or tags, or the form."
        )
        return Misconfigured(sentence, status=fault.status, body=fault.body, stage="target")
    sentence = f"Zendesk refused the ticket ({told})."
    return Rejected(sentence, CORRECT_MAPPING, status=fault.status, body=fault.body)


def _words(found: Any) -> str:
    """`[{"description": "Subject: cannot be blank"}]`"""
    entries = found if isinstance(found, list) else [found]
    return ", ".join(str(entry.get("description") if isinstance(entry, dict) else entry) for entry in entries)
