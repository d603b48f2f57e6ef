"""A room's face whose names are read when they are first asked for: what is behind them may be slow to import."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def face(room: str, names: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """The `__getattr__` of the package `room`; `names` are its names, by the module of the room that has them."""
    module_of = {name: module for module, some in names.items() for name in some}

    def look_up(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(f"{room}.{module_of[name]}"), name)

    return look_up
