"""What this program is called at this terminal, so that a command it prints can be pasted as it is."""

import shlex
import shutil
import sys
from pathlib import Path


def called() -> str:
    """`hub` where that finds this installation on PATH, else its path, as in `.venv/bin/hub`."""
    started = Path(sys.argv[0])
    mine = started if started.name == "hub" else Path(sys.executable).with_name("hub")
    on_path = shutil.which("hub")
    if not mine.exists() or (on_path and Path(on_path).resolve() == mine.resolve()):
        return "hub"
    shown, here = mine.absolute(), Path.cwd()
    return shlex.quote(str(shown.relative_to(here) if shown.is_relative_to(here) else shown))


def runnable(text: str) -> str:
    """`text` with each command in backquotes as it is called here."""
    return text.replace("`hub ", f"`{called()} ") if "`hub " in text else text
