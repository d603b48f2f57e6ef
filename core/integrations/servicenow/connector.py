"""ServiceNow's Table API: one incident per case, found again by its correlation id."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from core.http.errors import DeliveryError, InDoubt, Misconfigured, Rejected
from core.integrations.answers import json_answer, one_by_one, reached
from core.integrations.base import CaseStatus, Item, Receipt, Step, Ticket, Tracker
from core.integrations.servicenow.faults import explain
from core.integrations.servicenow.text import description, short_description
from core.platform.secret import Secret

KEY = re.compile(r"[A-Za-z0-9:._-]{1,100}")  # correlation_id holds 100
SYS_ID = re.compile(r"[0-9a-f]{32}")
#: state of the default incident model, as people read it
STATES = {
    "1": ("New", CaseStatus.OPEN),
    "2": ("In Progress", CaseStatus.IN_PROGRESS),
    "3": ("On Hold", CaseStatus.IN_PROGRESS),
    "6": ("Resolved", CaseStatus.RESOLVED),
    "7": ("Closed", CaseStatus.CLOSED),
    "8": ("Canceled", CaseStatus.CLOSED),
}
#: what is asked of a ticket; ServiceNow computes its priority from impact and urgency
TICKET = "sys_id,number,state,impact,urgency,correlation_id"
#: fields that hold a reference → the table they refer to
REFERENCES = {"assignment_group": "sys_user_group", "caller_id": "sys_user"}


@dataclass(frozen=True, kw_only=True)
class Config:
    url: str
    username: str
    password: Secret
    table: str = "incident"
    assignment_group: str | None = None
    caller_id: str | None = None
    close_code: str = ""
    webhook_secret: Secret | None = None


class ServiceNow(Tracker[Config]):
    Config = Config

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        return one_by_one(items, self._create)

    def find(self, key: str) -> Ticket | None:
        """By correlation id. Each row is verified: a condition that ServiceNow cannot read matches everything."""
        if not KEY.fullmatch(key):
            raise Misconfigured(f"The key {key[:100]!r} cannot be searched for in ServiceNow.")
        query = f"correlation_id={key}^ORDERBYsys_created_on"
        try:
            rows = self._rows(self.config.table, query, TICKET, 10)
        except Rejected as fault:  # a query says nothing about the record
            raise Misconfigured(
                f"The ticket cannot be looked for: {fault.message}", status=fault.status, body=fault.body
            ) from None
        if any(row.get("correlation_id") != key for row in rows):
            raise Misconfigured(
                f"ServiceNow did not search by correlation_id: the table {self.config.table} has no such field, "
                "or the account may not read it. Choose a table derived from Task, or grant it."
            )
        return self._ticket(rows[0]) if rows else None

    def check(self) -> Iterator[Step]:
        table = self.config.table
        rows = self._rows(table, "", "sys_id,correlation_id", 1)
        yield from reached(self.config.url, "ServiceNow")
        yield Step("credentials", True, f"ServiceNow knows the account {self.config.username}.")
        if rows and "correlation_id" not in rows[0]:
            yield Step(
                "target", False, f"{table} has no field correlation_id, by which the hub finds a ticket."
            )
            return
        yield Step("target", True, f"The account may read {table}.")
        for field in REFERENCES:
            if getattr(self.config, field):
                yield self._check_reference(field, str(getattr(self.config, field)))
        yield Step(
            "permission",
            None,
            f"Whether the account may create in {table} shows the first ticket: it needs the role itil.",
        )

    def _create(self, item: Item) -> Receipt:
        # names of references are looked up only with this; it also reads dates in the account's time zone,
        # so nothing here carries a date
        by_name = any(not SYS_ID.fullmatch(value) for value in self._references().values())
        params = {
            "sysparm_fields": TICKET,
            "sysparm_input_display_value": str(by_name).lower(),
        }
        answer = self._call("POST", self.config.table, params, self._incident(item))
        row = answer.get("result")
        if not isinstance(row, dict) or not row.get("sys_id"):
            raise InDoubt("ServiceNow answered without a sys_id. The ticket may exist; the hub looks for it.")
        told = {name: value for name, value in row.items() if value}  # what it may not read is empty
        return Receipt.of(item.key, self._ticket(item.body["severity"] | told))

    def _incident(self, item: Item) -> dict[str, Any]:
        body = item.body
        return {
            "short_description": short_description(body["short_description"]) or item.key,
            "description": description(body.get("text") or "", body.get("url"), item.key),
            **{name: str(body["severity"][name]) for name in ("impact", "urgency")},
            "correlation_id": item.key,
            "correlation_display": "FootprintIQ",
            **self._references(),
        }

    def _references(self) -> dict[str, str]:
        return {name: value for name in REFERENCES if (value := getattr(self.config, name))}

    def _check_reference(self, field: str, value: str) -> Step:
        column = "sys_id" if SYS_ID.fullmatch(value) else "name"
        try:
            rows = self._rows(REFERENCES[field], f"{column}={value}", "sys_id,name", 2)
        except Misconfigured as fault:
            if fault.status != 403:
                raise
            return Step("target", None, f"The account may not read {REFERENCES[field]}: {field} is unproven.")
        if any(str(row.get(column)).lower() == value.lower() for row in rows):
            return Step("target", True, f'{field} "{value}" is known.')
        return Step("target", False, f'{field} "{value}" was not found in ServiceNow. Enter its sys_id.')

    def _rows(self, table: str, query: str, fields: str, limit: int) -> list[dict[str, Any]]:
        params = {"sysparm_fields": fields, "sysparm_limit": str(limit), "sysparm_display_value": "false"}
        found = self._call("GET", table, ({"sysparm_query": query} if query else {}) | params).get("result")
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    def _call(
        self, method: str, table: str, params: Mapping[str, str], body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {})
        password = self.config.password.reveal()
        try:
            response = self.http.request(
                method,
                f"{self._base}/api/now/table/{quote(table, safe='')}",
                params={**params, "sysparm_exclude_reference_link": "true"},
                content=orjson.dumps(body) if body else None,
                headers=headers,
                auth=httpx.BasicAuth(self.config.username, password),
            )
            return json_answer(response, "ServiceNow")
        except DeliveryError as fault:
            raise explain(fault, table) from None

    def _ticket(self, row: Mapping[str, Any]) -> Ticket:
        state = str(row.get("state") or "")
        number, sys_id = str(row.get("number") or row["sys_id"]), quote(str(row["sys_id"]), safe="")
        url = f"{self._base}/{quote(self.config.table, safe='')}.do?sys_id={sys_id}"
        status, stage = STATES.get(state, (state or None, CaseStatus.OPEN))
        priority = {name: str(row.get(name) or "") for name in ("impact", "urgency")}
        return Ticket(number, url, status, stage, priority if all(priority.values()) else None)

    @property
    def _base(self) -> str:
        return self.config.url.rstrip("/")
