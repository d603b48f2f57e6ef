"""The map of the house: which floor each room stands on, and who may open which door.

Imports go down, never up or sideways; where two rooms of one floor must work together, the floor above does it.
Inside a room modules may import each other; its `__init__` is what it shows to others.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS: dict[str, int] = {
    "core.platform": 1,
    "core.storage": 2,
    "core.http": 2,
    "core.access": 3,
    "core.integrations": 3,
    "core.records": 4,
    "core.delivery": 5,
    "core.health": 6,
    "core.connections": 7,
    "core.web": 8,
    "core.cli": 9,
    "dashboard": 10,
    "pages": 10,
    "scheduler": 10,
    "sandbox": 0,  # a second program, which knows nothing of the first
}

#: who may import the stand-ins: whoever starts them, and prints what to enter
KNOWS_THE_SANDBOX = ("core.cli",)

#: who may import what from outside; a package not named here is free
DOORS: dict[str, tuple[str, ...]] = {
    "cryptography": ("core.platform.vault", "core.http.tls"),  # http reads certificates, it keeps no secret
    "httpx": ("core.http", "core.integrations", "core.cli"),  # cli asks /healthz of its child
    "streamlit": ("core.web.ui", "core.web.app", "core.web.middleware", "pages", "dashboard"),
    "fastapi": ("core.web",),
    "apscheduler": ("scheduler",),
    "procrastinate": ("core.delivery.work_queue",),
    "sqlalchemy": (
        "core.storage",
        "core.access",
        "core.integrations.credentials",  # which connections a lost key has locked
        "core.records",
        "core.delivery",
        "core.health",
        "core.connections",
        "core.web.api.idempotency",
    ),
    "argon2": ("core.access.passwords",),
    "zxcvbn": ("core.access.passwords",),
    # google-auth: signs a key's token request, and verifies it
    "google": ("core.integrations.google_secops", "sandbox"),
    "prometheus_client": ("core.health.metrics",),
    "typer": ("core.cli",),
    "jsonschema": ("core.integrations",),
    "fastjsonschema": ("core.integrations.mapping.schema",),  # runs what it makes of a schema
    # its signer; HTTP and retries stay ours
    "botocore": ("core.integrations.aws_security_hub", "sandbox"),
}
DOORS["sqlmodel"] = DOORS["sqlalchemy"]

#: connectors are given what they need; these are out of their reach
KEPT_FROM_CONNECTORS = (
    "core.storage",
    "core.platform.settings",
    "core.platform.vault",
    "structlog",
    "logging",
    "time",
    "datetime",
    "random",
)
#: a page draws; it neither queries nor calls
KEPT_FROM_PAGES = (
    "core.storage.db",
    "core.delivery.outbox",
    "core.delivery.journal",
    "core.records",
    "core.http",
    "httpx",
    "sqlalchemy",
    "sqlmodel",
)


def _room(module: str) -> str | None:
    """The entry of the map that `module` belongs to."""
    first = ".".join(module.split(".")[: 2 if module.startswith("core.") else 1])
    return first if first in FLOORS else None


def _within(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def _modules() -> dict[str, Path]:
    paths = [
        *ROOT.glob("core/**/*.py"),
        *ROOT.glob("sandbox/**/*.py"),
        *ROOT.glob("pages/*.py"),
        ROOT / "dashboard.py",
        ROOT / "scheduler.py",
    ]
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }
    return {name: path for name, path in found.items() if name != "core"}


def _imports(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions; `from core import db` counts as core.storage.db."""
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
        here = _room(module)
        assert here is not None, f"{module} stands on no floor: add it to the map"
        for target in imports:
            there = _room(target)
            if there in (None, here):
                continue
            is_open = (
                _within(module, KNOWS_THE_SANDBOX) if there == "sandbox" else FLOORS[there] < FLOORS[here]
            )
            if not is_open:
                wrong.append(f"{module} (floor {FLOORS[here]}) imports {target} (floor {FLOORS[there]})")
    return sorted(wrong)


def _opened_doors(modules: dict[str, set[str]]) -> list[str]:
    return sorted(
        f"{module} opens the door {package}"
        for module, imports in modules.items()
        for package in {name.split(".")[0] for name in imports} & set(DOORS)
        if not _within(module, DOORS[package])
    )


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    return {name: _imports(path) for name, path in _modules().items()}


def test_imports_go_down(imported: dict[str, set[str]]) -> None:
    assert _wrong_arrows(imported) == []


def test_a_wrong_arrow_is_found() -> None:
    assert _wrong_arrows(
        {
            "core.access.tokens": {"core.integrations.base", "core.storage.db"},
            "core.delivery.export": {"core.delivery.outbox", "sandbox"},
            "core.platform.vault": {"core.delivery.sync"},
            "core.cli.demo": {"sandbox"},
            "sandbox.state": {"core.platform.errors"},
        }
    ) == [
        "core.access.tokens (floor 3) imports core.integrations.base (floor 3)",
        "core.delivery.export (floor 5) imports sandbox (floor 0)",
        "core.platform.vault (floor 1) imports core.delivery.sync (floor 5)",
        "sandbox.state (floor 0) imports core.platform.errors (floor 1)",
    ]


def test_each_door_is_opened_by_its_owner_alone(imported: dict[str, set[str]]) -> None:
    assert _opened_doors(imported) == []


def test_an_opened_door_is_found() -> None:
    assert _opened_doors({"core.delivery.sync": {"httpx"}}) == ["core.delivery.sync opens the door httpx"]


def test_the_environment_is_read_by_settings_alone() -> None:
    readers = [
        name
        for name, path in _modules().items()
        if "os.environ" in path.read_text() or "getenv" in path.read_text()
    ]
    owners = ("core.platform.settings", "core.cli", "sandbox")
    assert [name for name in readers if not _within(name, owners)] == []


def _vendors(imported: dict[str, set[str]]) -> dict[str, set[str]]:
    """Modules in a vendor's folder, and the contract."""
    folders = {path.parent.name for path in ROOT.glob("core/integrations/*/connector.py")}
    assert len(folders) >= 15
    names = (*(f"core.integrations.{folder}" for folder in folders), "core.integrations.base")
    return {name: targets for name, targets in imported.items() if _within(name, names)}


def test_connectors_touch_neither_database_nor_clock(imported: dict[str, set[str]]) -> None:
    reached = {
        name: sorted(target for target in targets if _within(target, KEPT_FROM_CONNECTORS))
        for name, targets in _vendors(imported).items()
        if name != "core.integrations.base"
    }
    assert {name: targets for name, targets in reached.items() if targets} == {}


#: opens a writing transaction, and waits and tries again in its own way
NO_UNITS = {"core.delivery.send.close"}


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
    assert found == NO_UNITS


def test_a_writer_that_is_no_unit_is_found() -> None:
    bare = "def f():\n    with db.session():\n        pass\n"
    source = f"{bare}@db.unit\n{bare.replace('f()', 'g()')}"
    assert _writers_that_give_up("core.x", source) == {"core.x.f"}


def test_pages_only_draw(imported: dict[str, set[str]]) -> None:
    pages = {name: names for name, names in imported.items() if _room(name) in ("pages", "dashboard")}
    assert pages
    assert {
        name: names & set(KEPT_FROM_PAGES) for name, names in pages.items() if names & set(KEPT_FROM_PAGES)
    } == {}


def _module_variables(source: str) -> set[str]:
    """Names that a module gives a value when it runs, constants left out."""
    targets = [
        target
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.With | ast.For | ast.If)
        for target in ast.walk(node)
    ]
    names = {node.id for node in targets if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return {name for name in names if not name.isupper()}


def test_a_page_hands_on_who_asks() -> None:
    """No function of a page reads a variable of the script, such as who looks: it is given what it needs."""
    found = {path.name: _module_variables(path.read_text()) for path in ROOT.glob("pages/*.py")}
    assert len(found) >= 7
    assert {name: names for name, names in found.items() if names} == {}


def test_a_variable_of_a_page_is_found() -> None:
    assert _module_variables("ROWS = 25\nif True:\n    who = 1\n") == {"who"}


def kept_people(source: str) -> list[str]:
    """Dialogs, fragments and callbacks that are handed who acts: their tab may be open for days."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            marks = {ast.unparse(mark).partition("(")[0] for mark in node.decorator_list}
            takes = any(argument.arg == "who" for argument in node.args.args)
            if takes and marks & {"st.dialog", "st.fragment"} and "acting" not in marks:
                found.append(node.name)
        if isinstance(node, ast.keyword) and node.arg in ("args", "kwargs", "on_click", "on_change"):
            found += [
                f"{node.arg}={name.id}" for name in ast.walk(node.value) if getattr(name, "id", "") == "who"
            ]
    return found


def test_nobody_acts_as_who_they_were_when_the_page_was_drawn() -> None:
    pages = [*(ROOT / "pages").glob("*.py"), *(ROOT / "core" / "web" / "ui").glob("*.py")]
    assert {page.name: found for page in pages if (found := kept_people(page.read_text()))} == {}


def test_a_callback_that_keeps_who_acts_is_found() -> None:
    source = """
st.button("Go", on_click=act, args=(who, 1))

@st.dialog("Sure?")
@guarded()
def dialog(who): ...

@st.dialog("Sure?")
@acting
def asked(who): ...
"""
    assert sorted(kept_people(source)) == ["args=who", "dialog"]


def test_the_map_names_no_module_that_is_gone() -> None:
    assert [name for name in FLOORS if not _is_module(name) and name != "pages"] == []


#: who writes when a connection is due; any other room asks `due_times` for it
WRITES_DUE_TIMES = (
    "core.storage.due_times",
    "core.delivery.runs",
    "core.delivery.idle",
    "core.delivery.clock",
)
_DUE_TIMES = {"next_wake_at", "next_sync_at"}


def _writes_due_times(source: str) -> bool:
    """Whether code assigns one of the times, or gives it to `.values(…)`."""
    for node in ast.walk(ast.parse(source)):
        targets = node.targets if isinstance(node, ast.Assign) else []
        is_values = isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "values"
        given = {keyword.arg for keyword in node.keywords} if is_values else set()  # type: ignore[attr-defined]
        if given & _DUE_TIMES or any(getattr(target, "attr", "") in _DUE_TIMES for target in targets):
            return True
    return False


def test_due_times_have_few_writers() -> None:
    found = {name for name, path in _modules().items() if _writes_due_times(path.read_text())}
    assert {name for name in found if ".migrations." not in name} == set(WRITES_DUE_TIMES)


def test_a_writer_of_due_times_is_found() -> None:
    assert _writes_due_times("row.updated_at = row.next_wake_at = now")
    assert _writes_due_times("update(table).values(next_sync_at=now)")
    assert not _writes_due_times("wait = row.next_wake_at")


#: who writes a delivery's state
WRITES_STATE = ("core.delivery.outbox",)


def _writes_state(source: str) -> bool:
    """Whether code gives `state` to a statement of deliveries, or assigns it to one."""
    return any(
        isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "values"
        and any(keyword.arg == "state" for keyword in node.keywords)
        and "Delivery" in ast.unparse(node)
        for node in ast.walk(ast.parse(source))
    )


def test_the_outbox_alone_writes_states() -> None:
    found = {name for name, path in _modules().items() if _writes_state(path.read_text())}
    assert found
    assert {name for name in found if not _within(name, WRITES_STATE)} == set()


def _hidden_modules(package: str, source: str) -> set[str]:
    """Modules that a face hides behind a name of their own: `package.name` would be one or the other."""
    return {
        node.module
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{package}.")
        for alias in node.names
        if alias.name == node.module.rpartition(".")[2]
    }


def test_no_face_hides_a_module() -> None:
    faces = {name: path for name, path in _modules().items() if path.name == "__init__.py"}
    assert set().union(*(_hidden_modules(name, path.read_text()) for name, path in faces.items())) == set()


def test_a_hidden_module_is_found() -> None:
    assert _hidden_modules("core.x", "from core.x.claim import Claim, claim") == {"core.x.claim"}


def _named_modules(page: str) -> set[str]:
    """`delivery/sync`, `core/web` and their like, as the page writes them."""
    rooms = {name.removeprefix("core.") for name in FLOORS if name.startswith("core.")}
    words = set(re.findall(r"`([a-z_/]+)`", page))
    return {word.removeprefix("core/") for word in words if word.removeprefix("core/").split("/")[0] in rooms}


def test_the_page_about_the_house_names_what_is_there() -> None:
    named = _named_modules((ROOT / "docs/architecture.md").read_text())
    assert len(named) > 25
    there = {name.replace(".", "/").removeprefix("core/") for name in _modules()}
    assert {name for name in named if name not in there and not (ROOT / "core" / name).is_dir()} == set()
