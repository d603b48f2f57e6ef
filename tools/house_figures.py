"""Prints the figures of the house: rooms and arrows between them, functions, modules, names with two meanings.

    python tools/house_figures.py                 of this checkout
    python tools/house_figures.py --arrows        and which room imports which
    python tools/house_figures.py --trace         and what one sync of one scan walks through, against the sandbox
    python tools/house_figures.py --root FOLDER   of another checkout, also one from before the rooms

An entry of `core/` is a folder or a module there. The stand-ins and the migrations themselves are not counted.
"""

import argparse
import ast
import contextlib
import importlib
import importlib.util
import json
import math
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

LONG_LINES = 50
SCAN = {
    "scan_type": "email",
    "email": "jo@example.com",
    "high_risk_count": 7,
    "status": "completed",
    "created_at": "2026-11-01T10:00:00Z",
}
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    name: str  # core.delivery.sync
    path: Path
    tree: ast.Module
    lines: int

    @property
    def entry(self) -> str | None:
        """What it belongs to in `core/`; None outside."""
        parts = self.name.split(".")
        return parts[1] if parts[0] == "core" and len(parts) > 1 else None


def modules(root: Path) -> list[Module]:
    """All of core, the pages and the two programs beside them."""
    paths = [*root.glob("core/**/*.py"), *root.glob("pages/*.py"), *root.glob("*.py")]
    return [_read(root, path) for path in sorted(paths) if not {"sandbox", "versions"} & set(path.parts)]


def _read(root: Path, path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    return Module(name, path, ast.parse(text), len(text.splitlines()))


# --- what is counted ----------------------------------------------------------------------------------


def entries(found: Sequence[Module]) -> list[str]:
    return sorted({module.entry for module in found if module.entry})


def arrows(found: Sequence[Module]) -> Counter[tuple[str, str]]:
    """(entry, entry it imports) → how many imports."""
    names = {module.name for module in found}
    return Counter(
        (module.entry, target.split(".")[1])
        for module in found
        for target, _ in _own_imports(module, names)
        if module.entry and target.count(".") and target.split(".")[1] != module.entry
    )


def aliases(found: Sequence[Module]) -> list[str]:
    """Modules of the project that another one calls by a name that is not theirs."""
    names = {module.name for module in found}
    return [
        f"{module.name}: {target} as {alias}"
        for module in found
        for target, alias in _own_imports(module, names)
        if alias not in (None, target.rsplit(".", 1)[-1])
    ]


def _own_imports(module: Module, names: set[str]) -> Iterator[tuple[str, str | None]]:
    """(module of core that is imported or imported from, the name it is given itself), also inside functions."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((each.name, each.asname) for each in node.names if each.name.startswith("core."))
        elif isinstance(node, ast.ImportFrom) and not node.level and _is_own(node.module):
            for each in node.names:
                whole = f"{node.module}.{each.name}"
                yield (whole, each.asname) if whole in names else (str(node.module), None)


def _is_own(name: str | None) -> bool:
    return name == "core" or str(name).startswith("core.")


def functions(found: Sequence[Module]) -> list[tuple[int, str]]:
    """(lines, where) of every function, the longest first."""
    sizes = [(_lines(node), f"{module.name}.{node.name}") for module, node in _functions(found)]
    return sorted(sizes, reverse=True)


def parcels(found: Sequence[Module]) -> list[str]:
    """Functions that answer dict[str, Any], where it is not a vendor's body."""
    vendors = {module.path.parent for module in found if module.path.name == "connector.py"}
    return [
        f"{module.name}.{node.name}"
        for module, node in _functions(found)
        if node.returns is not None
        and ast.unparse(node.returns) == "dict[str, Any]"
        and not {"connectors", "mapping"} & set(module.name.split("."))
        and module.path.parent not in vendors
    ]


def _functions(found: Sequence[Module]) -> Iterator[tuple[Module, Function]]:
    for module in found:
        for node in ast.walk(module.tree):
            if isinstance(node, Function):
                yield module, node


def _lines(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def double_names(found: Sequence[Module]) -> dict[str, list[str]]:
    """Class names with more than one meaning, and where they are. A connector's Config is meant to be one."""
    where: dict[str, list[str]] = {}
    for module in found:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and node.name != "Config":
                where.setdefault(node.name, []).append(module.name)
    return {name: places for name, places in sorted(where.items()) if len(places) > 1}


def share(sizes: Sequence[int], part: float) -> int:
    """The smallest size that so large a part of them does not exceed."""
    return sorted(sizes)[math.ceil(len(sizes) * part) - 1]


# --- what one sync walks through ----------------------------------------------------------------------


@dataclass
class Walk:
    """Everything of core that was called, once each."""

    root: Path
    functions: set[tuple[str, str]] = field(default_factory=set)
    arrows: set[tuple[str, str]] = field(default_factory=set)

    @property
    def files(self) -> set[str]:
        return {file for file, _ in self.functions}

    @property
    def entries(self) -> set[str]:
        return {_entry(file) for file in self.files}

    def note(self, frame: FrameType, event: str, argument: Any) -> None:
        here = self._file(frame)
        if event != "call" or here is None or frame.f_code.co_name == "<module>":
            return
        self.functions.add((here, frame.f_code.co_qualname))
        caller = frame.f_back
        while caller is not None and (there := self._file(caller)) is None:
            caller = caller.f_back
        if caller is not None and there and _entry(there) != _entry(here):
            self.arrows.add((_entry(there), _entry(here)))

    def _file(self, frame: FrameType) -> str | None:
        with contextlib.suppress(ValueError):
            file = Path(frame.f_code.co_filename).relative_to(self.root / "core").as_posix()
            return None if file.startswith("sandbox/") else file
        return None


def _entry(file: str) -> str:
    return file.split("/")[0].removesuffix(".py")


def walk(root: Path) -> Walk:
    """Connect Splunk's stand-in, send one scan, and note what the sync of a second one calls."""
    with tempfile.TemporaryDirectory() as folder:
        _point_to(root, Path(folder))
        where = "sandbox" if importlib.util.find_spec("sandbox") else "core.sandbox"
        flow = importlib.import_module(
            "core.delivery.sync" if (root / "core/delivery/sync.py").exists() else "core.sync"
        )
        found, run = Walk(root), flow.run
        with importlib.import_module(where).Sandbox() as stand_in:
            given = stand_in.credentials("splunk").items()
            _hub("init")
            _hub("connect", "splunk", "--name=s", "--no-test", *(f"--secret={n}={v}" for n, v in given))
            for number in (1, 2):  # the first one imports what it needs
                flow.run = _noted(run, found) if number == 2 else run
                _hub("import", "scans", _scan_file(Path(folder), number))
                _hub("sync", "s")
    return found


def _noted(run: Callable[..., Any], found: Walk) -> Callable[..., Any]:
    def noted(*arguments: Any, **named: Any) -> Any:
        sys.setprofile(found.note)
        try:
            return run(*arguments, **named)
        finally:
            sys.setprofile(None)

    return noted


def _point_to(root: Path, folder: Path) -> None:
    """This process belongs to the checkout at `root` from here on, with a database of its own."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(root))
    os.environ |= {
        "HUB_DATABASE_URL": f"sqlite:///{folder}/hub.db",
        "HUB_SECRET_KEY_FILE": f"{folder}/hub.key",
        "HUB_EGRESS_ALLOW": "127.0.0.1",
        "HUB_BALLAST_MB": "0",
        "HUB_LOG_FORMAT": "json",
    }


def _scan_file(folder: Path, number: int) -> str:
    path = folder / f"{number}.ndjson"
    path.write_text(json.dumps(SCAN | {"id": f"0b0e7c3e-0000-4000-8000-00000000000{number}"}))
    return str(path)


def _hub(*arguments: str) -> None:
    from typer.testing import CliRunner

    ended = CliRunner().invoke(importlib.import_module("core.cli").app, list(arguments))
    if ended.exit_code:
        sys.exit(f"hub {' '.join(arguments)}: {ended.output}")


# --- what is printed ----------------------------------------------------------------------------------


def figures(found: Sequence[Module]) -> list[tuple[str, object]]:
    """(name, figure) of everything that is read and not run."""
    sizes, long = [lines for lines, _ in functions(found)], functions(found)[0]
    between, lengths = arrows(found), [module.lines for module in found]
    doubles = double_names(found)
    return [
        ("entries of core/", f"{len(entries(found))}: {', '.join(entries(found))}"),
        ("arrows between entries", f"{len(between)} ({sum(between.values())} imports)"),
        ("functions", f"{len(sizes)}, median {share(sizes, 0.5)} lines, p90 {share(sizes, 0.9)}"),
        ("longest function", f"{long[0]} lines: {long[1]}"),
        (f"functions over {LONG_LINES} lines", sum(lines > LONG_LINES for lines in sizes)),
        ("answering dict[str, Any], not a vendor's body", len(parcels(found))),
        ("class names defined more than once", f"{len(doubles)}: {', '.join(doubles) or 'none'}"),
        ("modules", f"{len(lengths)}, median {share(lengths, 0.5)} lines, p90 {share(lengths, 0.9)}"),
        ("modules imported under another name", len(aliases(found))),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="The figures of the house.")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="the checkout")
    parser.add_argument("--arrows", action="store_true", help="list which entry imports which")
    parser.add_argument("--trace", action="store_true", help="run one sync and list what it walks through")
    wanted = parser.parse_args()
    root = wanted.root.resolve()
    found = modules(root)
    lines = figures(found)
    if wanted.arrows:
        lines += [(f"  {a} → {b}", number) for (a, b), number in sorted(arrows(found).items())]
    if wanted.trace:
        seen = walk(root)
        lines += [
            ("one sync: entries crossed", f"{len(seen.entries)}: {', '.join(sorted(seen.entries))}"),
            ("one sync: arrows between entries", len(seen.arrows)),
            ("one sync: files, functions", f"{len(seen.files)}, {len(seen.functions)}"),
        ]
    print("\n".join(f"{name:<46} {figure}" for name, figure in lines))


if __name__ == "__main__":
    main()
