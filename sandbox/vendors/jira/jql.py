"""The part of Jira's query language a hub needs: clauses joined by AND, and an order."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

TOKEN = re.compile(
    r'\s*(?:"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'|(<=|>=|!=|[=<>(),])|([^\s=!<>(),"\']+))'
)
WORD_FIELDS = frozenset({"project", "labels", "key", "issuekey", "id", "issuetype", "priority", "status"})
DATE_FIELDS = frozenset({"created", "updated"})
UNIT_S = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
ORDER_MAX = 7
SIGNS = frozenset({"(", ")", ",", "=", "!=", "<", "<=", ">", ">="})

UNBOUNDED = "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."


class JqlError(Exception):
    """Jira's sentence about the query; `reason` adds what only the sandbox says."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.message, self.reason = message, reason


@dataclass(frozen=True, slots=True)
class Clause:
    field: str
    operator: str  # = != in notin < <= > >=
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    clauses: tuple[Clause, ...]
    newest_first: bool

    def values_of(self, field: str) -> set[str]:
        return {value for clause in self.clauses if clause.field == field for value in clause.values}

    def matches(self, words: Mapping[str, frozenset[str]], at: float, now: float) -> bool:
        """Whether an issue with these `words` (field to its values), created at `at`, is found."""
        return all(_holds(clause, words, at, now) for clause in self.clauses)


def parse(text: str) -> Query:
    """The query, or JqlError. A query without a restriction is refused, as Jira's search does."""
    tokens = _tokens(text)
    words = [word.lower() if bare else "" for word, bare in tokens]
    split = next((i for i in range(len(words) - 1) if words[i : i + 2] == ["order", "by"]), len(tokens))
    if not tokens[:split]:
        raise JqlError(UNBOUNDED)
    clauses, rest = [], tokens[:split]
    while rest:
        clause, rest = _clause(rest)
        clauses.append(clause)
        if rest and (rest[0][0].lower() != "and" or len(rest) == 1):
            raise JqlError(
                f"Error in the JQL Query: Expecting either 'OR' or 'AND' but got '{rest[0][0]}'.",
                "the sandbox knows clauses joined by AND",
            )
        rest = rest[1:]
    return Query(tuple(clauses), _newest_first(words[split + 2 :]))


Tokens = list[tuple[str, bool]]  # the word, and whether it stood without quotes


def _tokens(text: str) -> Tokens:
    found: Tokens = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise JqlError(f"Error in the JQL Query: The character at position {at + 1} is not understood.")
        double, single, sign, word = match.groups()
        quoted = double if double is not None else single
        found.append((sign or word, True) if quoted is None else (re.sub(r"\\(.)", r"\1", quoted), False))
        at = match.end()
    return found


def _clause(tokens: Tokens) -> tuple[Clause, Tokens]:
    field = tokens[0][0].lower()
    if field not in WORD_FIELDS | DATE_FIELDS:
        raise JqlError(
            f"Field '{tokens[0][0]}' does not exist or you do not have permission to view it.",
            f"the sandbox knows {', '.join(sorted(WORD_FIELDS | DATE_FIELDS))}",
        )
    operator, rest = _operator(tokens[1:])
    allowed = {"=", "!=", "<", "<=", ">", ">="} if field in DATE_FIELDS else {"=", "!=", "in", "notin"}
    if operator not in allowed:
        raise JqlError(f"The operator '{operator}' is not supported by the '{field}' field.")
    values, rest = _list(rest) if operator in ("in", "notin") else _single(rest)
    if field in DATE_FIELDS:
        _moment(values[0], now=0.0)
    return Clause("key" if field == "issuekey" else field, operator, values), rest


def _operator(tokens: Tokens) -> tuple[str, Tokens]:
    words = [word.lower() for word, bare in tokens[:2] if bare]
    if words == ["not", "in"]:
        return "notin", tokens[2:]
    if words and words[0] in ("=", "!=", "<", "<=", ">", ">=", "in"):
        return words[0], tokens[1:]
    raise JqlError("Error in the JQL Query: Expecting operator.")


def _single(tokens: Tokens) -> tuple[tuple[str, ...], Tokens]:
    if not tokens or (tokens[0][1] and tokens[0][0] in SIGNS):
        raise JqlError("Error in the JQL Query: Expecting a value.")
    return (tokens[0][0],), tokens[1:]


def _list(tokens: Tokens) -> tuple[tuple[str, ...], Tokens]:
    if not tokens or tokens[0] != ("(", True) or (")", True) not in tokens:
        raise JqlError("Error in the JQL Query: Expecting a list in parentheses.")
    end = tokens.index((")", True))
    values = tuple(word for word, bare in tokens[1:end] if not (bare and word == ","))
    if not values:
        raise JqlError("Error in the JQL Query: The list is empty.")
    return values, tokens[end + 1 :]


def _newest_first(words: list[str]) -> bool:
    keys = " ".join(words).split(",")
    if len(keys) > ORDER_MAX:
        raise JqlError(f"The order by clause can contain at most {ORDER_MAX} fields.")
    return keys[0].endswith(" desc") or not words  # without an order Jira shows the newest first


def _holds(clause: Clause, words: Mapping[str, frozenset[str]], at: float, now: float) -> bool:
    if clause.field in DATE_FIELDS:
        return _compare(at, clause.operator, _moment(clause.values[0], now))
    has = words.get(clause.field, frozenset())
    found = any(value in has or value.casefold() in has for value in clause.values)
    return found if clause.operator in ("=", "in") else not found


def _compare(at: float, operator: str, bound: float) -> bool:
    results = {"<": at < bound, "<=": at <= bound, ">": at > bound, ">=": at >= bound, "=": at == bound}
    return results.get(operator, at != bound)


def _moment(text: str, now: float) -> float:
    """A relative `-15m` or an absolute `2026-11-22 10:00`, read in UTC, as epoch seconds."""
    relative = re.fullmatch(r"(-?)(\d{1,6})([mhdw])", text)
    if relative:
        sign, count, unit = relative.groups()
        return now + int(count) * UNIT_S[unit] * (-1 if sign else 1)
    try:
        return datetime.fromisoformat(text.replace("/", "-")).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise JqlError(
            f"Date value '{text}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', 'yyyy-MM-dd HH:mm', "
            "'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. '-5d', '4w 2d'."
        ) from None
