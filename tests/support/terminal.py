"""`hub` in a folder of its own: in this process for speed, or as people run it."""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core import cli
from core.integrations import credentials
from core.platform.errors import HubError
from core.platform.settings import settings
from core.storage import db

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


class Hub:
    """`hub` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HUB_", "COLUMNS"))}
        self.env = kept | {
            "PYTHONPATH": str(ROOT),
            "HUB_DATABASE_URL": f"sqlite:///{folder}/hub.db",
            "HUB_SECRET_KEY_FILE": f"{folder}/hub.key",
            "HUB_BALLAST_MB": "1",
        }

    def __call__(self, *args: str, stdin: str = "", **env: str) -> Ended:
        """In this process, which saves a second per command; the settings and the engine are read again."""
        with pytest.MonkeyPatch.context() as patch, contextlib.chdir(self.folder):
            for name, value in (self.env | env).items():
                patch.setenv(name, value)
            settings.cache_clear()
            credentials.ring.cache_clear()
            with contextlib.suppress(HubError):  # a wrong address is for the command to explain
                db.configure((self.env | env)["HUB_DATABASE_URL"])
            result = CliRunner().invoke(cli.app, list(args), input=stdin)
        settings.cache_clear()
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Ended(result.exit_code, result.stdout, result.stderr)

    def process(self, *args: str, interpreter: tuple[str, ...] = ()) -> Ended:
        """As people run it."""
        command = [sys.executable, *interpreter, "-m", "core.cli", *args]
        ended = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, env=self.env, timeout=60
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def done(self, *args: str, stdin: str = "") -> str:
        """The output of a command that must succeed, and say nothing on stderr that looks like a failure."""
        result = self(*args, stdin=stdin)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def refused(self, *args: str, stdin: str = "", **env: str) -> str:
        """The one sentence of a command that must fail: exit 1, no traceback."""
        result = self(*args, stdin=stdin, **env)
        assert result.returncode == 1, result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        assert "no words for" not in result.stderr, result.stderr
        assert result.stderr.strip()
        return result.stderr

    def write(self, name: str, *lines: object) -> str:
        text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        (self.folder / name).write_text(text + "\n")
        return name
