"""Pure: what ServiceNow's refusals mean, in words that name what to correct."""

from core.http.errors import CORRECT_MAPPING, DeliveryError, Misconfigured, Rejected, TooLarge
from core.integrations.answers import body_of, foreign, is_foreign
from core.platform.text import one_line

_SLEEPS = (
    "ServiceNow answered with a web page, not the API: the instance may be hibernating (wake a developer instance "
    "at developer.servicenow.com), or the address is not the instance's root. Correct it, then press Test."
)


def explain(fault: DeliveryError, table: str) -> DeliveryError:
    if isinstance(fault, Misconfigured) and fault.status is not None and fault.status < 300:
        return Misconfigured(_SLEEPS, status=fault.status, body=fault.body)
    if is_foreign(fault):
        return foreign(fault, "ServiceNow")
    error = body_of(fault).get("error")
    error = error if isinstance(error, dict) else {}
    message, detail = str(error.get("message") or ""), str(error.get("detail") or "")
    told = one_line(": ".join(part for part in (message, detail) if part), 400)
    if fault.status == 400 and not isinstance(fault, TooLarge):
        return _of_request(fault, table, told)
    words = {
        401: "ServiceNow refused the user name or password, or the account may not use the API.",
        403: _forbidden(table, told),
        404: f"ServiceNow has no table {table} at this address. Correct the table or the address.",
    }.get(fault.status or 0)
    if words is None:
        return fault
    said = f" ServiceNow said: {told}" if told else ""
    return Misconfigured(words + said, status=fault.status, body=fault.body)


def _forbidden(table: str, told: str) -> str:
    if "data policy" in told.lower() or "mandatory" in told.lower():
        return f"ServiceNow demands fields in {table} that the hub does not give. Give them defaults there."
    if "business rule" in told.lower():
        return f"A business rule of {table} stops the ticket. Ask the ServiceNow administrator."
    return f"The account may not do this in {table}. Give it the role itil, or an ACL that allows create and read."


def _of_request(fault: DeliveryError, table: str, told: str) -> DeliveryError:
    if "invalid table" in told.lower():
        sentence = f"ServiceNow has no table {table} ({told}). Correct the table."
        return Misconfigured(sentence, status=fault.status, body=fault.body, stage="target")
    sentence = f"ServiceNow refused the ticket ({told})."
    return Rejected(sentence, CORRECT_MAPPING, status=fault.status, body=fault.body)
