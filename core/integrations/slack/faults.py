"""Slack's own words for what went wrong, by webhook and by bot, and what a person does about each."""

import re

from core.http.errors import (
    CORRECT_MAPPING,
    DeliveryError,
    Gone,
    InDoubt,
    Misconfigured,
    Rejected,
    Stage,
    Throttled,
    Unavailable,
)
from core.integrations.answers import foreign, is_foreign

_NEW_HOOK = "Make a new webhook in Slack and enter its address."
_COPY_AGAIN = "Copy the Bot User OAuth Token (xoxb-…) from the app's page in Slack again."
Words = dict[str, tuple[type[DeliveryError], str]]

#: words that mean the same for both
_BOTH: Words = {
    "invalid_payload": (Rejected, "the message could not be read."),
    "invalid_blocks": (Rejected, "the message's blocks are not valid."),
    "too_many_attachments": (Rejected, "the message has too many parts."),
    "msg_too_long": (Rejected, "the message is too long."),
    "no_text": (Rejected, "the message has no text."),
    "rate_limited": (Throttled, "too many messages."),
    "ratelimited": (Throttled, "too many messages."),
    "team_disabled": (Misconfigured, "the workspace is switched off. Ask its owner."),
}
#: api.slack.com changelog 2016-05-17, and words met since
OF_HOOK: Words = _BOTH | {
    "no_service": (Misconfigured, f"the webhook was removed. {_NEW_HOOK}"),
    "no_service_id": (Misconfigured, f"the address is not complete. {_NEW_HOOK}"),
    "no_active_hooks": (Misconfigured, f"the webhook is switched off. {_NEW_HOOK}"),
    "no_team": (Misconfigured, f"the workspace does not exist. {_NEW_HOOK}"),
    "invalid_token": (Misconfigured, f"the address is not valid (any more). {_NEW_HOOK}"),
    "invalid_auth": (Misconfigured, f"the address is not accepted. {_NEW_HOOK}"),
    "channel_not_found": (Misconfigured, f"the channel does not exist (any more). {_NEW_HOOK}"),
    "channel_is_archived": (Gone, "the channel is archived. Unarchive it, or make a new webhook."),
    "action_prohibited": (Misconfigured, "an admin forbids this. Ask the workspace's admin to allow it."),
    "posting_to_general_channel_denied": (Misconfigured, "this webhook may not write there. " + _NEW_HOOK),
    "user_not_found": (Misconfigured, f"the person written to does not exist. {_NEW_HOOK}"),
}
#: docs.slack.dev, chat.postMessage and auth.test
OF_BOT: Words = _BOTH | {
    "not_in_channel": (Misconfigured, "the bot is not in the channel. Write /invite @NAME-OF-THE-BOT there."),
    "channel_not_found": (
        Misconfigured,
        "no such channel, or a private one without the bot. Enter its id (C…), and invite the bot.",
    ),
    "is_archived": (Gone, "the channel is archived. Unarchive it, or enter another."),
    "restricted_action": (Misconfigured, "an admin forbids this. Ask the workspace's admin to allow it."),
    "missing_scope": (
        Misconfigured,
        "the bot lacks the scope chat:write. Add it in Slack, and install again.",
    ),
    "not_authed": (Misconfigured, f"no token arrived. {_COPY_AGAIN}"),
    "invalid_auth": (Misconfigured, f"the token is not valid. {_COPY_AGAIN}"),
    "account_inactive": (Misconfigured, f"the bot's account is gone. {_COPY_AGAIN}"),
    "token_revoked": (Misconfigured, f"the token was revoked. {_COPY_AGAIN}"),
    "token_expired": (Misconfigured, f"the token has expired. {_COPY_AGAIN}"),
    "not_allowed_token_type": (Misconfigured, f"this is not a bot token. {_COPY_AGAIN}"),
    "service_unavailable": (Unavailable, "Slack is busy."),
    # "some aspect of the operation may have succeeded" (docs.slack.dev)
    "fatal_error": (InDoubt, "Slack failed; the message may have been posted."),
    "internal_error": (InDoubt, "Slack failed; the message may have been posted."),
}


#: what fails in a connection test by it, where the status of the answer does not say so
_STAGES: dict[str, Stage] = {
    **dict.fromkeys(
        ("not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired"), "credentials"
    ),
    **dict.fromkeys(("not_allowed_token_type", "invalid_token"), "credentials"),
    **dict.fromkeys(("missing_scope", "restricted_action", "action_prohibited"), "permission"),
    "posting_to_general_channel_denied": "permission",
    **dict.fromkeys(("channel_not_found", "is_archived", "not_in_channel", "team_disabled"), "target"),
    **dict.fromkeys(("channel_is_archived", "user_not_found", "no_team"), "target"),
    **dict.fromkeys(("ratelimited", "rate_limited", "service_unavailable", "fatal_error"), "answer"),
}
_NEXT: dict[type[DeliveryError], str] = {
    Rejected: CORRECT_MAPPING,
    Throttled: "They wait.",
    Unavailable: "It is tried again.",
}


def explain_hook(fault: DeliveryError) -> DeliveryError:
    """The same fault by Slack's own word, where the answer is one."""
    if is_foreign(fault):
        return foreign(fault, "Slack")
    found = OF_HOOK.get(fault.body.strip()[:100])
    if found is None:
        return fault
    kind, words = found
    word = fault.body.strip()
    return kind(
        f"Slack answered {fault.status} ({word}): {words}",
        _NEXT.get(kind, ""),
        status=fault.status,
        body=fault.body,
        retry_after_s=fault.retry_after_s,
        stage=_STAGES.get(word),
    )


def refusal(said: object) -> DeliveryError:
    """The fault behind `{"ok": false, "error": said}`; a word nobody knows is the record's fault."""
    # an answer with 200 passes unredacted: what is no word of Slack's may be the token
    word = said if isinstance(said, str) and re.fullmatch("[a-z0-9_]{1,60}", said) else "no word of its own"
    if word not in OF_BOT:
        refused = f"Slack answered {word}: the message was refused."
        return Rejected(
            refused, "Look the word up in Slack's reference.", status=200, body=word, stage="answer"
        )
    kind, words = OF_BOT[word]
    said = f"Slack answered {word}: {words}"
    return kind(said, _NEXT.get(kind, ""), status=200, body=word, stage=_STAGES.get(word, "answer"))
