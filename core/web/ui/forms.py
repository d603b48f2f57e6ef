"""A manifest's [config] (JSON Schema) → widgets, and what was entered back as values.

A line sends its text while somebody types (`live`). Otherwise Streamlit 1.67 takes it when the focus leaves the
field, and loses it when it goes by Tab to the button that shows a secret: that one is inside the field.
A secret that is saved is never sent to the browser: its field is empty and says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import streamlit as st

from core.integrations import Manifest, planned_fields, secret_fields
from core.integrations.client import TLS_FIELDS
from core.web.ui import unsaved
from core.web.ui.markup import escaped
from core.web.ui.unsaved import Unsaved

#: a long secret needs many lines, and a password field has one: the browser masks the text area instead
_MASKED = (
    "<style>[class*='st-key-masked_'] textarea:not(:placeholder-shown) {-webkit-text-security: disc}</style>"
)
_KEPT = "Saved. Leave empty to keep it."


@dataclass(frozen=True)
class Form:
    """`key` parts the fields of one form from someone else's; `saved` is what an edited connection has."""

    manifest: Manifest
    key: str
    saved: Mapping[str, Any] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    only_secrets: bool = False
    entered: Unsaved = field(default_factory=Unsaved)

    def draw(self) -> dict[str, Any]:
        """What is in the fields now; an edit holds only what may have changed."""
        schema = self.manifest.config["properties"]
        secrets = secret_fields(self.manifest)
        own = [name for name in schema if name not in (*TLS_FIELDS, *planned_fields(self.manifest))]
        if self.only_secrets:
            return {name: self._field(name) for name in own if name in secrets}
        st.html(_MASKED)
        values = {name: self._field(name) for name in own}
        in_use = any(self.saved.get(name) or name in self.problems for name in TLS_FIELDS)
        with st.expander("Advanced: certificates and proxy", expanded=in_use, icon=":material/tune:"):
            values |= {name: self._field(name) for name in TLS_FIELDS}
        return self._without_kept(values)

    def _without_kept(self, values: dict[str, Any]) -> dict[str, Any]:
        """An empty secret field means: as it was."""
        kept = {name for name in secret_fields(self.manifest) if self.saved.get(name) and not values[name]}
        return {name: value for name, value in values.items() if name not in kept}

    def _field(self, name: str) -> Any:
        schema = self.manifest.config["properties"][name]
        value = _WIDGETS[_kind(schema)](self, name, schema)
        self._note(name, schema, value)
        if name in self.problems:
            st.markdown(f":red[:material/error: {escaped(self.problems[name])}]")
        return value

    def _note(self, name: str, schema: Mapping[str, Any], value: Any) -> None:
        saved = self._saved(name, schema)
        unsaved.note(self._entered(schema), name, value, _as_text(saved) if isinstance(value, str) else saved)

    def _entered(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        return self.entered.secrets if schema.get("writeOnly") else self.entered.config

    def _saved(self, name: str, schema: Mapping[str, Any]) -> Any:
        return None if schema.get("writeOnly") else self.saved.get(name, schema.get("default"))

    def label(self, name: str) -> str:
        title = str(self.manifest.config["properties"][name]["title"])
        return title if self.is_needed(name) else f"{title} (optional)"

    def is_needed(self, name: str) -> bool:
        groups = [group["required"] for group in self.manifest.config.get("anyOf", [])]
        return any(name in group for group in (self.manifest.config["required"], *groups))

    def common(self, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        """What every widget gets."""
        prefix = "masked_" if _kind(schema) == "long_secret" else ""
        return {
            "label": self.label(name),
            "key": f"{prefix}{self.key}_{name}",
            "help": schema["description"],
        }

    def current(self, name: str, schema: Mapping[str, Any]) -> Any:
        """What the field begins with."""
        return self._entered(schema).get(name, self._saved(name, schema))

    def placeholder(self, name: str, schema: Mapping[str, Any]) -> str:
        if schema.get("writeOnly") and self.saved.get(name):
            return _KEPT
        example = schema["examples"][0]
        return f"e.g. {example if isinstance(example, str) else _as_text(example)}"


def _kind(schema: Mapping[str, Any]) -> str:
    is_long = "contentMediaType" in schema or schema["type"] == "object"
    if schema.get("writeOnly"):
        return "long_secret" if is_long else "secret"
    if is_long:
        return "long"
    if "enum" in schema or "enum" in schema.get("items", {}):
        return "choices" if schema["type"] == "array" else "choice"
    return {"boolean": "flag", "integer": "number", "number": "number"}.get(schema["type"], "line")


def _line(form: Form, name: str, schema: Mapping[str, Any]) -> Any:
    value = form.current(name, schema)
    return st.text_input(
        **form.common(name, schema),
        value=_as_text(value),
        placeholder=form.placeholder(name, schema),
        autocomplete="off",
        live="500ms",
    )


def _secret(form: Form, name: str, schema: Mapping[str, Any]) -> Any:
    return st.text_input(
        **form.common(name, schema),
        value=_as_text(form.current(name, schema)),
        type="password",
        placeholder=form.placeholder(name, schema),
        live="0ms",  # it is pasted, mostly: one change
    )


def _long(form: Form, name: str, schema: Mapping[str, Any]) -> Any:
    return st.text_area(
        **form.common(name, schema),
        value=_as_text(form.current(name, schema)),
        placeholder=form.placeholder(name, schema),
    )


def _long_secret(form: Form, name: str, schema: Mapping[str, Any]) -> Any:
    return st.text_area(
        **form.common(name, schema),
        value=_as_text(form.current(name, schema)),
        placeholder=form.placeholder(name, schema),
    )


def _choice(form: Form, name: str, schema: Mapping[str, Any]) -> Any:
    options, current = schema["enum"], form.current(name, schema)
    index = options.index(current) if current in options else None
    return st.selectbox(**form.common(name, schema), options=options, index=index)


def _choices(form: Form, name: str, schema: Mapping[str, Any]) -> Any:
    return st.multiselect(
        **form.common(name, schema),
        options=schema["items"]["enum"],
        default=form.current(name, schema) or [],
    )


def _flag(form: Form, name: str, schema: Mapping[str, Any]) -> Any:
    return st.toggle(**form.common(name, schema), value=bool(form.current(name, schema)))


def _number(form: Form, name: str, schema: Mapping[str, Any]) -> Any:
    number = int if schema["type"] == "integer" else float
    limits: dict[str, Any] = {
        f"{end}_value": number(schema[f"{end}imum"]) for end in ("min", "max") if f"{end}imum" in schema
    }
    current = form.current(name, schema)
    return st.number_input(
        **form.common(name, schema),
        **limits,
        value=None if current is None else number(current),
        step=number(1),
        placeholder=form.placeholder(name, schema),
    )


def _as_text(value: Any) -> str:
    """`a, b` for a list, JSON for an object; an empty one is an empty field."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() if value else ""
    return "" if value is None else str(value)


_WIDGETS = {
    "line": _line,
    "secret": _secret,
    "long": _long,
    "long_secret": _long_secret,
    "choice": _choice,
    "choices": _choices,
    "flag": _flag,
    "number": _number,
}
