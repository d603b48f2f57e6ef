"""Pure: what Jira's refusals mean, in words that name the field, project or credential to correct."""

from core.http.errors import CORRECT_MAPPING, DeliveryError, Misconfigured, Rejected, TooLarge
from core.integrations.answers import body_of, foreign, is_foreign
from core.platform.text import one_line

#: fields whose value comes from the record; an error in any other one is the connection's fault
OF_RECORD = frozenset({"summary", "description", "priority"})


def field_errors(fault: DeliveryError) -> dict[str, str]:
    """What is wrong, by field; empty where Jira does not say it so."""
    errors = body_of(fault).get("errors")
    return {str(k): str(v) for k, v in errors.items()} if isinstance(errors, dict) else {}


def explain(fault: DeliveryError, project: str, flavor: str) -> DeliveryError:
    if is_foreign(fault):
        return foreign(fault, "Jira")
    errors = field_errors(fault)
    if errors and isinstance(fault, Rejected) and not isinstance(fault, TooLarge):
        return _of_fields(fault, errors, flavor)
    words = {
        401: "Jira refused the credentials. Cloud wants the account's e-mail with an API token, not a "
        "password; Data Center a personal access token and the flavor datacenter.",
        403: f"Jira does not let this account do that in project {project}. "
        "Grant it Browse projects and Create issues, then press Test.",
        404: f"Jira knows no project {project} at this address, or hides it from this account. "
        "Correct the address, the flavor or the project key.",
        410: f'Jira has removed what the flavor "{flavor}" asks for. Choose the other flavor.',
    }.get(fault.status or 0)
    return Misconfigured(words, status=fault.status, body=fault.body) if words else fault


def _of_fields(fault: DeliveryError, errors: dict[str, str], flavor: str) -> DeliveryError:
    told = one_line("; ".join(f"{name}: {text}" for name, text in errors.items()), 500)
    kind: type[DeliveryError] = Misconfigured
    next_step = ""
    if "Atlassian Document" in told:
        sentence = f'Jira wants another form of text ({told}). Choose another flavor than "{flavor}".'
    elif set(errors) <= OF_RECORD:
        kind, next_step = Rejected, CORRECT_MAPPING
        sentence = f"Jira refused the issue ({told})."
    else:
        sentence = f"Jira refused the issue ({told}). Correct the project, issue type or extra_fields."
    return kind(sentence, next_step, status=fault.status, body=fault.body, stage="target")
