"""Jira issues: Cloud by REST v3, Data Center by v2; each carries a label by which it is found again."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote

import orjson

from core.http.errors import DeliveryError, InDoubt, Misconfigured, Rejected, Unavailable
from core.integrations.answers import READS_ONLY, json_answer, one_by_one, reached
from core.integrations.base import CaseStatus, Item, Receipt, Step, Ticket, Tracker
from core.integrations.jira import adf
from core.integrations.jira.faults import OF_RECORD, explain, field_errors
from core.platform.errors import did_you_mean
from core.platform.secret import Secret
from core.platform.text import cut, one_line

SUMMARY_CHARS = LABEL_CHARS = 255  # "Summary can't exceed 255 characters."
OWN_LABEL = "fiq"
FILLED = OF_RECORD | {"project", "issuetype", "labels"}
#: of an issue that is looked for
FOUND = ["labels", "status", "priority"]
#: statuses are named by the site, their categories are Jira's own
STAGES = {
    "new": CaseStatus.OPEN,
    "indeterminate": CaseStatus.IN_PROGRESS,
    "done": CaseStatus.RESOLVED,
}
PERMISSIONS = {"BROWSE_PROJECTS": "Browse projects", "CREATE_ISSUES": "Create issues"}


@dataclass(frozen=True, kw_only=True)
class Config:
    url: str
    email: str = ""
    api_token: Secret
    project_key: str
    issue_type: str = "Task"
    flavor: str = "cloud"
    labels: Sequence[str] = ()
    extra_fields: Mapping[str, Any] = field(default_factory=dict)
    done_transition: str = ""
    reopen_transition: str = ""
    webhook_secret: Secret | None = None


class Jira(Tracker[Config]):
    Config = Config
    #: 409: somebody changes the same thing now. 410: Cloud's removed search, asked with the wrong flavor
    faults: ClassVar[Mapping[int, type[DeliveryError]]] = {409: Unavailable, 410: Misconfigured}

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        return one_by_one(items, self._create)

    def find(self, key: str) -> Ticket | None:
        """By label; what Jira returns is believed only if it really bears it."""
        project = self.config.project_key
        jql = f"project = {jql_text(project)} AND labels = {jql_text(key)} ORDER BY created ASC"
        asked = {"jql": jql, "fields": FOUND, "maxResults": 10}
        try:
            if self._is_cloud:
                answer = self._call("POST", "search/jql", asked, extensions=READS_ONLY)
            else:
                answer = self._call("GET", "search", params=asked | {"fields": ",".join(FOUND)})
        except Rejected as fault:  # a query says nothing about the record
            raise Misconfigured(fault.message, status=fault.status, body=fault.body) from None
        for issue in answer.get("issues") or []:
            fields = issue.get("fields") or {}
            if key in (fields.get("labels") or []) and issue.get("key"):
                return self._found(issue["key"], fields)
        return None

    def check(self) -> Iterator[Step]:
        me = self._call("GET", "myself")
        yield from reached(self.config.url, "Jira")
        name = me.get("displayName") or me.get("name") or self.config.email
        yield Step("credentials", True, f"Jira knows the account as {name}.")
        yield self._check_permissions()
        yield from self._check_issue_type()

    def _create(self, item: Item) -> Receipt:
        issue = self._issue(item)
        try:
            answer = self._call("POST", "issue", issue)
        except Rejected as fault:
            refused = set(field_errors(fault)) == {"priority"}
            # not on the project's screen, or renamed there: an issue without priority beats none
            if not (refused and issue["fields"].pop("priority", None)):
                raise
            answer = self._call("POST", "issue", issue)
        key = answer.get("key")
        if not isinstance(key, str) or not key:
            raise InDoubt("Jira answered without an issue key. The issue may exist; the hub looks for it.")
        return Receipt.of(
            item.key, Ticket(key, self._link(key), priority=_named(issue["fields"], "priority"))
        )

    def _found(self, key: str, fields: Mapping[str, Any]) -> Ticket:
        category = ((fields.get("status") or {}).get("statusCategory") or {}).get("key")
        return Ticket(
            key,
            self._link(key),
            _named(fields, "status"),
            STAGES.get(str(category), CaseStatus.OPEN),
            _named(fields, "priority"),
        )

    def _issue(self, item: Item) -> dict[str, Any]:
        body, config = item.body, self.config
        describe = adf.document if self._is_cloud else adf.wiki
        fields = {
            "project": {"key": config.project_key},
            "issuetype": {"id" if config.issue_type.isdecimal() else "name": config.issue_type},
            "summary": one_line(body["summary"], SUMMARY_CHARS) or item.key,
            "description": describe(body.get("text", ""), body.get("url"), item.key),
        }
        if body.get("priority"):
            fields["priority"] = {"name": body["priority"]}
        fields |= config.extra_fields
        # last, and joined: without its label an issue is never found again
        fields["labels"] = self._labels(item.key, config.extra_fields.get("labels") or [])
        case = {"case_id": body.get("case_id"), "key": item.key}
        return {"fields": fields, "properties": [{"key": "fiq.case", "value": case}]}

    def _labels(self, key: str, extra: Sequence[str]) -> list[str]:
        own = [
            cut(re.sub(r"\s+", "-", label.strip()), LABEL_CHARS) for label in [*self.config.labels, *extra]
        ]
        return list(dict.fromkeys([OWN_LABEL, key, *filter(None, own)]))

    def _check_permissions(self) -> Step:
        params = {"projectKey": self.config.project_key, "permissions": ",".join(PERMISSIONS)}
        granted = self._call("GET", "mypermissions", params=params).get("permissions", {})
        missing = [words for name, words in PERMISSIONS.items() if not _has(granted, name)]
        where = f"in project {self.config.project_key}"
        if missing:
            return Step(
                "permission", False, f"The account lacks {' and '.join(missing)} {where}. Grant it in Jira."
            )
        return Step("permission", True, f"The account may browse and create issues {where}.")

    def _check_issue_type(self) -> Iterator[Step]:
        project, wanted = self.config.project_key, self.config.issue_type
        path = f"issue/createmeta/{quote(project, safe='')}/issuetypes"
        types = _page(self._call("GET", path, params={"maxResults": 200}), "issueTypes")
        found = next((t for t in types if wanted in (t.get("name"), t.get("id"))), None)
        if found is None:
            names = [str(t.get("name")) for t in types]
            hint = did_you_mean(wanted, names)
            text = f'Project {project} has no issue type "{wanted}".{hint} It has: {", ".join(names)}.'
            yield Step("target", False, text)
            return
        fields = _page(self._call("GET", f"{path}/{found['id']}", params={"maxResults": 200}), "fields")
        yield self._check_fields(f"Issues of type {found.get('name')} in {project}", fields)

    def _check_fields(self, what: str, fields: list[dict[str, Any]]) -> Step:
        known = {str(f.get("fieldId") or f.get("key")): f for f in fields}
        given = FILLED | set(self.config.extra_fields)
        missing = [
            f"{f.get('name')} ({name})"
            for name, f in known.items()
            if f.get("required") and not f.get("hasDefaultValue") and name not in given
        ]
        if missing:
            return Step(
                "target", False, f"{what} also need {', '.join(missing)}. Give them under extra_fields."
            )
        if known and "labels" not in known:
            return Step(
                "target", False, f"{what} have no Labels on their screen; add it, the hub finds issues by it."
            )
        return Step("target", True, f"{what} need nothing that the hub does not give.")

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        extensions: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        url = f"{self._base}/rest/api/{3 if self._is_cloud else 2}/{path}"
        headers = {"Authorization": self._authorization(), "Accept": "application/json"}
        content = None
        if body is not None:
            headers["Content-Type"], content = "application/json", orjson.dumps(body)
        try:
            response = self.http.request(
                method, url, content=content, params=params, headers=headers, extensions=extensions
            )
        except DeliveryError as fault:
            raise explain(fault, self.config.project_key, self.config.flavor) from None
        return json_answer(response, "Jira")

    def _authorization(self) -> str:
        token = self.config.api_token.reveal()
        if not self._is_cloud:
            return f"Bearer {token}"
        return "Basic " + base64.b64encode(f"{self.config.email}:{token}".encode()).decode()

    @property
    def _is_cloud(self) -> bool:
        return self.config.flavor == "cloud"

    @property
    def _base(self) -> str:
        return self.config.url.rstrip("/")

    def _link(self, key: str) -> str:
        return f"{self._base}/browse/{quote(key, safe='')}"


def jql_text(value: str) -> str:
    """A JQL string that holds `value` and nothing else, whatever is in it."""
    escaped = re.sub(r'(["\\])', r"\\\1", value)
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda c: f"\\u{ord(c[0]):04x}", escaped) + '"'


def _named(fields: Mapping[str, Any], field: str) -> str | None:
    """The name of a field that holds one thing of a list; None where it is empty or given by its id."""
    value = fields.get(field)
    return value.get("name") if isinstance(value, dict) else None


def _has(granted: Mapping[str, Any], name: str) -> bool:
    return bool((granted.get(name) or {}).get("havePermission"))


def _page(answer: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Cloud names the list by what it holds, Data Center calls it `values`."""
    return list(answer.get(name) or answer.get("values") or [])
