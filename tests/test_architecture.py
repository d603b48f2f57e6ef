"""The map of the house: which floor each module stands on, and who may open which door.

Imports go down, never up or sideways; where two of a floor must work together, the floor above does it.
Modules of one package stand on one floor and may import each other.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS: dict[str, int] = {
    # plain data and pure rules
    "core.secret": 0,
    "core.errors": 0,
    "core.models": 0,
    "core.patience": 0,
    "core.storm": 0,
    "core.settings": 1,
    "core.tokens": 1,
    "core.options": 1,
    # one tool each
    "core.logs": 2,
    "core.mapping": 2,
    "core.rows": 2,
    "core.readers": 3,
    "core.vault": 2,
    "core.http": 1,
    "core.connectors.base": 2,
    "core.histogram": 0,
    "core.settle": 3,
    "core.retry": 2,
    "core.db_errors": 1,
    "core.db": 2,
    "core.space": 3,
    "core.watermark": 3,
    "core.catalog": 3,
    "core.filters": 3,
    "core.verdicts": 3,
    "core.connectors": 3,
    # stores: take a session and leave the commit to the caller (access opens its own)
    "core.access": 4,
    "core.journal": 4,
    "core.sources": 4,
    "core.outbox": 4,
    "core.opening": 4,
    # what the verbs are made of
    "core.feed": 5,
    "core.runs": 5,
    "core.due": 5,
    "core.lessons": 5,
    "core.profile": 5,
    "core.idempotency": 5,
    "core.health": 5,
    "core.metrics": 5,
    # what a connection sends: new records, and what waits
    "core.present": 6,
    "core.retention": 6,
    "core.selection": 6,
    # verbs: one transaction each
    "core.records": 7,
    "core.clock": 6,
    "core.idle": 6,
    "core.trouble": 7,
    "core.people": 7,
    "core.messages": 7,
    "core.exports": 7,
    "core.restored": 7,
    "core.results": 7,
    "core.calls": 7,
    "core.connections": 7,
    "core.deliveries": 8,
    "core.sync": 8,
    # doors
    "core.api": 9,
    "core.sandbox": 9,
    "core.ui": 9,
    "core.server": 10,
    "core.cli": 11,
    "dashboard": 12,
    "pages": 12,
    "scheduler": 12,
}

#: who may import what from outside; a package not named here is free
DOORS: dict[str, tuple[str, ...]] = {
    "cryptography": ("core.vault", "core.http"),  # http parses certificates, it keeps no secret
    "httpx": (
        "core.http",
        "core.connectors",
        "core.connectors.base",
        "core.cli",
    ),  # cli asks /healthz of its child
    "streamlit": ("core.ui", "core.server", "pages", "dashboard"),
    "fastapi": ("core.api", "core.server"),
    "apscheduler": ("scheduler",),
    "sqlalchemy": (
        "core.models",
        "core.db",
        "core.db_errors",
        "core.migrations",
        "core.filters",  # what of a wish the database can judge
        "core.rows",  # reads the columns' names and types off the models
        *(name for name, floor in FLOORS.items() if name.startswith("core.") and 4 <= floor <= 8),
    ),
    "argon2": ("core.access",),
    "google": (
        "core.connectors",
        "core.sandbox",
    ),  # google-auth: signs a key's token request, and verifies it
    "prometheus_client": ("core.metrics",),
    "typer": ("core.cli",),
    "jsonschema": ("core.catalog",),
    "botocore": ("core.connectors", "core.sandbox"),  # its signer; HTTP and retries stay ours
}
DOORS["sqlmodel"] = DOORS["sqlalchemy"]

#: connectors are given what they need; these are out of their reach
KEPT_FROM_CONNECTORS = (
    "core.db",
    "core.settings",
    "core.vault",
    "structlog",
    "logging",
    "time",
    "datetime",
    "random",
)
#: a page draws; it neither queries nor calls
KEPT_FROM_PAGES = (
    "core.db",
    "core.outbox",
    "core.journal",
    "core.sources",
    "core.http",
    "httpx",
    "sqlalchemy",
    "sqlmodel",
)


def _unit(module: str) -> str | None:
    """The entry of the map that `module` belongs to: the longest name that it starts with."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if name in FLOORS), None)


def _modules() -> dict[str, Path]:
    paths = [
        *ROOT.glob("core/**/*.py"),
        *ROOT.glob("pages/*.py"),
        ROOT / "dashboard.py",
        ROOT / "scheduler.py",
    ]
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }
    return {
        name: path
        for name, path in found.items()
        if name != "core" and not name.startswith("core.migrations")
    }


def _imports(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions; `from core import db` counts as core.db."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if _is_module(name) else node.module for name in inside}
    return found


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def _wrong_arrows(modules: dict[str, set[str]]) -> list[str]:
    wrong = []
    for module, imports in modules.items():
        here = _unit(module)
        assert here is not None, f"{module} stands on no floor: add it to the map"
        for target in imports:
            there = _unit(target)
            if there and there != here and FLOORS[there] >= FLOORS[here]:
                wrong.append(f"{module} (floor {FLOORS[here]}) imports {target} (floor {FLOORS[there]})")
    return sorted(wrong)


def _opened_doors(modules: dict[str, set[str]]) -> list[str]:
    return sorted(
        f"{module} opens the door {package}"
        for module, imports in modules.items()
        for package in {name.split(".")[0] for name in imports} & set(DOORS)
        if _unit(module) not in DOORS[package]
    )


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    return {name: _imports(path) for name, path in _modules().items()}


def test_imports_go_down(imported: dict[str, set[str]]) -> None:
    assert _wrong_arrows(imported) == []


def test_a_wrong_arrow_is_found() -> None:
    assert _wrong_arrows({"core.vault": {"core.sync"}, "core.journal": {"core.outbox"}}) == [
        "core.journal (floor 4) imports core.outbox (floor 4)",
        "core.vault (floor 2) imports core.sync (floor 8)",
    ]


def test_each_door_is_opened_by_its_owner_alone(imported: dict[str, set[str]]) -> None:
    assert _opened_doors(imported) == []


def test_an_opened_door_is_found() -> None:
    assert _opened_doors({"core.sync": {"httpx"}}) == ["core.sync opens the door httpx"]


def test_the_environment_is_read_by_settings_alone() -> None:
    readers = [
        name
        for name, path in _modules().items()
        if "os.environ" in path.read_text() or "getenv" in path.read_text()
    ]
    assert [name for name in readers if _unit(name) not in ("core.settings", "core.cli")] == []


def test_connectors_touch_neither_database_nor_clock(imported: dict[str, set[str]]) -> None:
    vendors = {name: names for name, names in imported.items() if name.startswith("core.connectors")}
    reached = {
        name: sorted(set(KEPT_FROM_CONNECTORS) & names)
        for name, names in vendors.items()
        if name != "core.connectors.base"
    }
    assert {name: names for name, names in reached.items() if names} == {}


#: opens a writing transaction, and waits and tries again in its own way
NO_UNITS = {"core.calls.close", "core.cli.people.add"}


def _is_call_of(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == name


def _writers_that_give_up(module: str, source: str) -> set[str]:
    """Functions that write and are not called again when PostgreSQL gave their transaction up."""
    return {
        f"{module}.{function.name}"
        for function in ast.walk(ast.parse(source))
        if isinstance(function, ast.FunctionDef)
        and any(_is_call_of(node, "db.session") for node in ast.walk(function))
        and "db.unit" not in map(ast.unparse, function.decorator_list)
    }


def test_whoever_writes_is_a_unit() -> None:
    modules = _modules().items()
    found = set().union(*(_writers_that_give_up(name, path.read_text()) for name, path in modules))
    assert found <= NO_UNITS


def test_a_writer_that_is_no_unit_is_found() -> None:
    bare = "def f():\n    with db.session():\n        pass\n"
    source = f"{bare}@db.unit\n{bare.replace('f()', 'g()')}"
    assert _writers_that_give_up("core.x", source) == {"core.x.f"}


def test_pages_only_draw(imported: dict[str, set[str]]) -> None:
    pages = {name: names for name, names in imported.items() if _unit(name) in ("pages", "dashboard")}
    assert pages
    assert {
        name: names & set(KEPT_FROM_PAGES) for name, names in pages.items() if names & set(KEPT_FROM_PAGES)
    } == {}


def test_the_sandbox_knows_only_the_catalog(imported: dict[str, set[str]]) -> None:
    known = {
        target
        for name, names in imported.items()
        if name.startswith("core.sandbox")
        for target in names
        if target.startswith("core.") and _unit(target) != "core.sandbox"
    }
    assert known <= {"core.catalog"}


def test_the_map_names_no_module_that_is_gone() -> None:
    assert [name for name in FLOORS if not _is_module(name) and name != "pages"] == []
