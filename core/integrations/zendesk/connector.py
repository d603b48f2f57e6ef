"""Zendesk tickets: created under an idempotency key, found again by their external id."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

import orjson

from core.http.errors import DeliveryError, InDoubt, Misconfigured, Rejected, Unavailable
from core.integrations.answers import json_answer, one_by_one, reached
from core.integrations.base import CaseStatus, Item, Receipt, Step, Ticket, Tracker
from core.integrations.zendesk.faults import KeyReused, explain
from core.platform.secret import Secret
from core.platform.text import cut, cut_bytes, one_line, printable, web_link

SUBJECT_CHARS = 150
COMMENT_BYTES = 60_000  # a comment holds 64 KB; the rest is for the link and the key
OWN_TAG = "fiq"
#: an account may name statuses of its own, each of which belongs to one of these
STAGES = {
    "new": CaseStatus.OPEN,
    "open": CaseStatus.OPEN,
    "pending": CaseStatus.IN_PROGRESS,
    "hold": CaseStatus.IN_PROGRESS,
    "solved": CaseStatus.RESOLVED,
    "closed": CaseStatus.CLOSED,
}
#: {{ticket.requester.email}} and {% … %} are filled in by Zendesk when a comment is saved
_PLACEHOLDER = re.compile(r"\{(?=[{%])")


@dataclass(frozen=True, kw_only=True)
class Config:
    url: str
    email: str
    api_token: Secret
    requester_email: str | None = None
    group_id: int | None = None
    tags: Sequence[str] = ()
    webhook_secret: Secret | None = None


class Zendesk(Tracker[Config]):
    Config = Config
    #: 409: somebody changes the same thing now, or the first request under this key is still running
    faults: ClassVar[Mapping[int, type[DeliveryError]]] = {409: Unavailable}

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        return one_by_one(items, self._create)

    def find(self, key: str) -> Ticket | None:
        """By external id, from the list and not the search, whose index lags. It is not unique: verified."""
        try:
            found = self._call("GET", f"tickets?external_id={quote(key, safe='')}").get("tickets")
        except Rejected as fault:  # a query says nothing about the record
            raise Misconfigured(
                f"The ticket cannot be looked for: {fault.message}", status=fault.status, body=fault.body
            ) from None
        for ticket in found if isinstance(found, list) else []:
            if ticket.get("external_id") == key and ticket.get("id"):
                return self._ticket(ticket)
        return None

    def check(self) -> Iterator[Step]:
        user = self._call("GET", "users/me").get("user")
        yield from reached(self.config.url, "Zendesk")
        user = user if isinstance(user, dict) else {}
        name = one_line(str(user.get("name") or self._email), 100)
        if user.get("id") is None:  # a request without valid credentials is answered 200 as nobody
            yield Step(
                "credentials",
                False,
                "Zendesk took the hub for an anonymous visitor. Compare e-mail and token, and switch token access "
                "on in Admin Center > Apps and integrations > Zendesk API.",
            )
            return
        yield Step("credentials", True, f"Zendesk knows the account as {name}.")
        if user.get("role") not in ("agent", "admin") or user.get("suspended"):
            yield Step(
                "permission",
                False,
                f"{name} is no active agent. Use the e-mail of an agent or admin account.",
            )
            return
        yield Step("permission", True, f"{name} is an {user['role']} and may create tickets.")
        if self.config.group_id is not None:
            group = self._call("GET", f"groups/{self.config.group_id}").get("group") or {}
            yield Step("target", True, f"Tickets go to the group {one_line(str(group.get('name')), 100)}.")

    def _create(self, item: Item) -> Receipt:
        try:
            answer = self._call("POST", "tickets", {"ticket": self._new(item)}, item.key)
        except KeyReused:
            return self._found_or_later(item.key)
        ticket = answer.get("ticket")
        if not isinstance(ticket, dict) or not ticket.get("id"):
            raise InDoubt(
                "Zendesk answered without a ticket's id. The ticket may exist; the hub looks for it."
            )
        return Receipt.of(item.key, self._ticket({"priority": item.body["priority"]} | ticket))

    def _found_or_later(self, key: str) -> Receipt:
        """The connection was changed between two tries of one record, so its body is another one now."""
        ticket = self.find(key)
        if ticket is None:
            raise Unavailable(
                "Zendesk remembers an earlier try of this ticket with other content for two hours.",
                "It waits.",
            )
        return Receipt.of(key, ticket)

    def _new(self, item: Item) -> dict[str, Any]:
        body, config = item.body, self.config
        ticket: dict[str, Any] = {
            "subject": _subject(body["subject"]) or item.key,
            # a public first comment is mailed to the requester
            "comment": {"body": _comment(body.get("text") or "", body.get("url"), item.key), "public": False},
            "type": "incident",
            "priority": body["priority"],
            "external_id": item.key,
            "tags": [OWN_TAG, *(tag for tag in config.tags if tag != OWN_TAG)],
        }
        if config.requester_email:
            ticket["requester"] = {"name": "FootprintIQ", "email": config.requester_email}
        return ticket | ({"group_id": config.group_id} if config.group_id is not None else {})

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> dict[str, Any]:
        token = base64.b64encode(f"{self._email}/token:{self.config.api_token.reveal()}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Accept": "application/json"}
        if body is not None:
            headers |= {"Content-Type": "application/json", "Idempotency-Key": str(key)}
        content = orjson.dumps(body) if body is not None else None
        try:
            url = f"{self._base}/api/v2/{path}"
            return json_answer(self.http.request(method, url, content=content, headers=headers), "Zendesk")
        except DeliveryError as fault:
            raise explain(fault) from None

    def _ticket(self, ticket: Mapping[str, Any]) -> Ticket:
        number, status = str(ticket["id"]), str(ticket.get("status") or "")
        return Ticket(
            number,
            f"{self._base}/agent/tickets/{quote(number, safe='')}",
            status or None,
            STAGES.get(status, CaseStatus.OPEN),
            ticket.get("priority"),
        )

    @property
    def _email(self) -> str:
        # the API wants NAME/token; people paste it with and without
        return self.config.email.removesuffix("/token")

    @property
    def _base(self) -> str:
        return self.config.url.rstrip("/")


def _subject(text: str) -> str:
    # cleaned before it is defused: a character that is taken out must not join what was kept apart
    return cut(_inert(one_line(text, SUBJECT_CHARS * 4)), SUBJECT_CHARS)


def _comment(text: str, url: object, key: str) -> str:
    link = web_link(url)
    tail = f"{link}\n{key}" if link else key
    return f"{cut_bytes(_inert(printable(text)), COMMENT_BYTES)}\n\n{tail}".lstrip()


def _inert(text: str) -> str:
    return _PLACEHOLDER.sub("{\u200b", text)
