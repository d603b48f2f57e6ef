"""Pure: what refusals of Google's APIs mean, in words that name what to correct."""

from core.http.errors import CORRECT_MAPPING, DeliveryError, Misconfigured, Rejected, Stage, TooLarge
from core.integrations.answers import body_of, foreign, is_foreign
from core.platform.text import one_line

_SIZE = "payload size exceeds"


def explain(fault: DeliveryError, instance: str, log_type: str | None) -> DeliveryError:
    if is_foreign(fault):
        return foreign(fault, "Google SecOps")
    error = body_of(fault).get("error")
    error = error if isinstance(error, dict) else {}
    told = one_line(str(error.get("message") or ""), 300)
    if fault.status == 400:
        return _of_request(fault, str(error.get("status")), told, log_type)
    words = {
        401: "Google refused a new token of the service account. Make a new key and paste it here.",
        403: f"The service account may not import into {instance}. Grant it the role Chronicle API Editor, or "
        "chronicle.events.import and chronicle.logs.import, and compare project, location and instance.",
        404: f"Google SecOps knows no {instance} at this address. Compare project, location and instance with "
        "SIEM Settings > Profile, and in mode logs the log type.",
    }.get(fault.status or 0)
    if fault.status == 403 and "SERVICE_DISABLED" in fault.body:
        words = "The Chronicle API is switched off in this project. Enable chronicle.googleapis.com there."
    if words is None:
        return fault
    said = f" Google said: {told}" if told else ""
    return Misconfigured(words + said, status=fault.status, body=fault.body)


def _of_request(fault: DeliveryError, status: str, told: str, log_type: str | None) -> DeliveryError:
    """400 is the record's, unless Google names its size, the log type or a setting."""
    kind: type[DeliveryError] = Rejected
    sentence, next_step = f"Google SecOps refused the request ({told}).", CORRECT_MAPPING
    named = told.lower().replace("_", " ")
    if _SIZE in named:
        kind, next_step = TooLarge, ""
        sentence = f"Google SecOps refused the size of the request ({told})."
    elif status == "FAILED_PRECONDITION" or (log_type and ("logtype" in named or "log type" in named)):
        kind, next_step = Misconfigured, ""
        sentence = (
            f"Google SecOps does not take it as it is set up ({told}). Correct the log type or the mode."
        )
    stage: Stage | None = "target" if kind is Misconfigured else None
    return kind(sentence, next_step, status=fault.status, body=fault.body, stage=stage)
