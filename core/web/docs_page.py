"""The API's page: the OpenAPI document as HTML. No script, nothing loaded from anywhere, light and dark."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from html import escape
from string import Template
from typing import Any
from urllib.parse import quote

from core.web.ui.theme import MARK

_ICON = quote(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{MARK}</svg>')
_MARK = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32" aria-hidden="true">{MARK}</svg>'
_STYLE = """
:root {
  --page: #fff; --side: #f7f9fb; --ink: #1b2430; --soft: #5b6778; --line: #e1e6ed; --code: #f4f6f9;
  --link: #1d4ed8; --get: #2b7a4b; --post: #1d4ed8; --patch: #8a5a00; --delete: #b42323;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10161f; --side: #0c1119; --ink: #e4e9f0; --soft: #9aa7b8; --line: #2a3544; --code: #18202b;
    --link: #8ab4ff; --get: #58b881; --post: #7aa7ff; --patch: #d9b44a; --delete: #f0716b;
  }
}
* { box-sizing: border-box; margin: 0; }
html { scroll-padding-top: 16px; }
body {
  display: grid; grid-template-columns: 260px minmax(0, 1fr); min-height: 100vh;
  background: var(--page); color: var(--ink); font: 14.5px/1.55 system-ui, "Segoe UI", Roboto, sans-serif;
}
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 3px; }
nav {
  position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 20px;
  background: var(--side); border-right: 1px solid var(--line);
}
nav .home { display: flex; align-items: center; gap: 10px; font-weight: 650; color: var(--ink); }
nav svg { width: 28px; height: 28px; }
nav h2 { margin: 20px 0 4px; font-size: 12.5px; font-weight: 600; color: var(--soft); }
nav ul { list-style: none; padding: 0; }
nav li { padding: 2px 0; font-size: 13.5px; }
main { max-width: 900px; padding: 32px 40px 80px; }
h1 { font-size: 26px; letter-spacing: -.01em; margin-bottom: 12px; }
h1 small { font-size: 14px; font-weight: 500; color: var(--soft); }
main > p { margin-bottom: 10px; }
main > h2 { font-size: 19px; margin: 40px 0 4px; }
section { padding: 18px 0 22px; border-bottom: 1px solid var(--line); }
h3 { font-size: 15px; font-weight: 600; margin-bottom: 6px; overflow-wrap: anywhere; }
h3 b { display: inline-block; min-width: 58px; font-size: 12.5px; }
h3 i { font-size: 12.5px; font-weight: 500; color: var(--soft); }
.get { color: var(--get); } .post { color: var(--post); }
.patch { color: var(--patch); } .delete { color: var(--delete); }
h4 { margin: 14px 0 4px; font-size: 12.5px; font-weight: 600; color: var(--soft); }
code, pre { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
p code, td code { padding: 1px 4px; background: var(--code); border-radius: 4px; }
pre { padding: 12px 14px; overflow-x: auto; background: var(--code); border-radius: 8px; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 13.5px; }
th, td { padding: 5px 12px 5px 0; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
th { width: 190px; font-weight: 500; white-space: nowrap; }
td { width: 35%; }
td[colspan] { width: auto; }
td + td { color: var(--soft); }
@media (max-width: 760px) {
  body { display: block; }
  nav { position: static; height: auto; border-right: 0; border-bottom: 1px solid var(--line); }
  main { padding: 24px 20px 60px; }
}
"""
_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>API · FootprintIQ Hub</title>
<link rel="icon" href="data:image/svg+xml,$icon">
<style nonce="$nonce">$style</style>
</head>
<body>
<nav aria-label="Routes"><a class="home" href="/">$mark FootprintIQ Hub</a>$menu</nav>
<main>
<h1>API <small>$version</small></h1>
$about
<p>The whole description for programs: <a href="/openapi.json">/openapi.json</a>.</p>
$groups
</main>
</body>
</html>
""")
Schema = Mapping[str, Any]


def docs_page(document: Schema, hub_url: str, nonce: str) -> str:
    groups: dict[str, list[tuple[str, str, Schema]]] = defaultdict(list)
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            groups[route["tags"][0]].append((method.upper(), path, route))
    return _PAGE.substitute(
        icon=_ICON,
        nonce=nonce,
        style=_STYLE,
        mark=_MARK,
        version=escape(document["info"]["version"]),
        about=_paragraphs(document["info"]["description"]),
        menu="".join(_menu(name, routes) for name, routes in groups.items()),
        groups="".join(_group(document, name, routes, hub_url) for name, routes in groups.items()),
    )


def _menu(name: str, routes: list[tuple[str, str, Schema]]) -> str:
    links = "".join(
        f'<li><a href="#{route["operationId"]}">{escape(route["summary"])}</a></li>' for _, _, route in routes
    )
    return f"<h2>{escape(name.title())}</h2><ul>{links}</ul>"


def _group(document: Schema, name: str, routes: list[tuple[str, str, Schema]], hub_url: str) -> str:
    shown = "".join(_route(document, method, path, route, hub_url) for method, path, route in routes)
    return f"<h2>{escape(name.title())}</h2>{shown}"


def _route(document: Schema, method: str, path: str, route: Schema, hub_url: str) -> str:
    body = route.get("requestBody", {}).get("content", {}).get("application/json", {})
    token = "" if route.get("security") else " <i>no token needed</i>"
    return (
        f'<section id="{route["operationId"]}"><h3><b class="{method.lower()}">{method}</b>'
        f" <code>{escape(path)}</code>{token}</h3><p><strong>{escape(route['summary'])}.</strong> "
        f"{_inline(route.get('description', ''))}</p>"
        + _table("Parameters", _parameters(document, route))
        + _table("Body", _fields(document, body.get("schema", {})))
        + f"<h4>Try it</h4><pre>{escape(_curl(document, method, path, body, hub_url, bool(token)))}</pre>"
        + _answers(document, route)
        + "</section>"
    )


def _parameters(document: Schema, route: Schema) -> Iterator[tuple[str, str, str]]:
    for each in route.get("parameters", ()):
        schema = each["schema"]
        words = each.get("description") or schema.get("description", "")
        yield each["name"], f"{each['in']}, {_kind(document, schema)}", words


def _fields(document: Schema, schema: Schema) -> Iterator[tuple[str, str, str]]:
    schema = _resolved(document, schema)
    if schema.get("description") and "properties" not in schema:
        yield "", _kind(document, schema), schema["description"]
    for option in schema.get("anyOf", ()):
        if option.get("type") != "null":
            yield from _fields(document, option)
    for name, field in schema.get("properties", {}).items():
        is_needed = name in schema.get("required", ())
        kind = _kind(document, field) + (", required" if is_needed else "")
        yield name, kind, field.get("description", schema.get("description", "") if name == "id" else "")


def _answers(document: Schema, route: Schema) -> str:
    rows = []
    for status, response in sorted(route["responses"].items()):
        schema = response.get("content", {}).get("application/json", {}).get("schema", {})
        names = ", ".join(_resolved(document, schema).get("properties", {}))
        is_done = status.startswith("2")
        rows.append((status, names or "Done." if is_done else response["description"] + ".", ""))
    return _table("Answers", iter(rows))


def _table(title: str, rows: Iterator[tuple[str, str, str]]) -> str:
    cells = "".join(_row(*row) for row in rows)
    return f'<h4>{title}</h4><div class="wide"><table>{cells}</table></div>' if cells else ""


def _row(name: str, kind: str, words: str) -> str:
    rest = (
        f"<td>{_inline(kind)}</td><td>{_inline(words)}</td>"
        if words
        else f'<td colspan="2">{_inline(kind)}</td>'
    )
    return f"<tr><th><code>{escape(name)}</code></th>{rest}</tr>"


def _curl(document: Schema, method: str, path: str, body: Schema, hub_url: str, is_open: bool) -> str:
    lines = [f"curl {hub_url}{path.replace('{', '').replace('}', '').replace('/id', '/ID')}"]
    lines += [f"-X {method}"] if method != "GET" else []
    lines += [] if is_open else ['-H "Authorization: Bearer $TOKEN"']
    example = body.get("example") or next(iter(_examples(document, body.get("schema", {}))), None)
    if example is not None:
        lines += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(example, indent=2)}'"]
    return " \\\n  ".join(lines)


def _examples(document: Schema, schema: Schema) -> list[Any]:
    schema = _resolved(document, schema)
    found: list[Any] = schema.get("examples", [])
    return found


def _resolved(document: Schema, schema: Schema) -> Schema:
    """The schema behind a `$ref`, and the one that is not null of an optional body."""
    if "$ref" in schema:
        return _resolved(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    return _resolved(document, options[0]) if len(options) == 1 else schema


def _kind(document: Schema, schema: Schema) -> str:
    schema = _resolved(document, schema)
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    kind = str(schema.get("type", "any"))
    return f"{kind} of {_kind(document, schema['items'])}" if kind == "array" and "items" in schema else kind


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in text.split("\n\n"))


def _inline(text: str) -> str:
    """Escaped, and what stands between backquotes as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
