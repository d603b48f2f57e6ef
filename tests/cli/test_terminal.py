"""What makes a terminal pleasant: what to do next, one screen that says how it is, examples, completion."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version

import pytest
import typer.main
from sqlalchemy import select
from typer.testing import CliRunner

from core import cli
from core.cli import child_processes, examples, processes
from core.storage import db
from core.storage.models import Connection, Heartbeat, RunLog, RunStatus, State, User
from tests.cli.test_cli import SPLUNK, TOKEN, bare, hub, made
from tests.support import scenes, sendings
from tests.support.live import until
from tests.support.terminal import Hub

__all__ = ["bare", "hub", "made"]


@pytest.fixture
def soc(hub: Hub) -> Hub:
    hub.done(*SPLUNK, "--secret", f"token={TOKEN}")
    return hub


def the_connection() -> Connection:
    with db.reading() as session:
        return session.execute(select(Connection)).scalar_one()


def run_log(status: RunStatus, ago_s: float = 60, **fields: object) -> int:
    with db.session() as session:
        at = db.now(session) - timedelta(seconds=ago_s)
        row = RunLog(
            user_integration_id=session.execute(select(Connection)).scalar_one().id,
            run_id=os.urandom(8).hex(),
            sync_type="scheduled",
            status=status,
            created_at=at,
            finished_at=at,
            **fields,  # type: ignore[arg-type]
        )
        session.add(row)
        session.flush()
        return row.id or 0


# --- connect, edit --------------------------------------------------------------------------------


def test_connect_prints_the_id_alone_and_what_to_do_next_on_stderr(hub: Hub) -> None:
    made = hub(*SPLUNK, "--secret", f"token={TOKEN}")
    assert made.stdout.strip() == the_connection().id
    for command in ("hub preview SOC", "hub sync SOC", "hub status"):
        assert command in made.stderr
    again = hub(*SPLUNK[:3], "SOC prod", *SPLUNK[4:], "--secret", f"token={TOKEN}")
    assert "hub preview 'SOC prod'" in again.stderr
    quiet = hub(*SPLUNK[:3], "Third", *SPLUNK[4:], "--secret", f"token={TOKEN}", "--json")
    assert (set(json.loads(quiet.stdout)), quiet.stderr) == ({"id"}, "")


def test_an_edit_shares_and_answers_as_json(soc: Hub) -> None:
    changed = json.loads(soc.done("edit", "SOC", "--shared", "--json"))
    assert (changed["name"], changed["shared"]) == ("SOC", True)
    assert json.loads(soc.done("edit", "SOC", "--no-shared", "--name", "SOC 2", "--json"))["name"] == "SOC 2"
    assert the_connection().shared is False
    assert "--shared" in soc.refused("edit", "SOC 2")


# --- how it is ------------------------------------------------------------------------------------


def test_status_says_what_runs_what_needs_you_and_what_waits(soc: Hub) -> None:
    empty = soc.done("status")
    assert "Scheduler" in empty
    assert "has not run yet" in empty
    assert "does not answer" in empty
    with db.session() as session:
        scenes.beat(session, ago_s=2)
        owner = session.execute(select(User)).scalar_one()
        row = session.execute(select(Connection)).scalar_one()
        row.problem = "Splunk answered 403. Enable the token, then press Test."
        record = sendings.scan(session, owner.id, "ines.novak@example.net")
        for _ in range(3):
            sendings.delivery(session, row, record, State.PENDING)
    told = soc.done("status")
    assert "last sign" in told
    assert "does not run" not in told
    assert "SOC" in told
    assert "Splunk answered 403. Enable the token, then run" in " ".join(told.split())
    assert "3 waiting" in told
    shown = json.loads(soc.done("status", "--json"))
    assert shown["connections"] == {"Needs you": 1}
    assert (shown["waiting"], shown["held"], shown["source"], shown["trouble"]) == (3, 0, None, [])
    assert [one["name"] for one in shown["needs_you"]] == ["SOC"]
    assert shown["scheduler"]["heartbeat_age_s"] < 60
    assert shown["dashboard"]["answers"] is False


def test_status_names_a_silent_scheduler_and_the_source(soc: Hub) -> None:
    with db.session() as session:
        scenes.beat(session, ago_s=600)
    soc.env["HUB_SOURCE_URL"] = "postgresql://ana:horse@db.example.org/app"
    told = soc.done("status")
    assert "has been silent for 10 min" in told
    assert "The scheduler has been silent for 10 min" in told
    assert "FootprintIQ (db.example.org:5432/app) has not been read yet." in " ".join(told.split())
    assert "horse" not in told
    with db.session() as session:
        session.delete(session.get_one(Heartbeat, "scheduler"))


def test_a_hub_that_runs_is_not_copied(soc: Hub) -> None:
    with db.session() as session:
        scenes.beat(session)
    assert "Stop the hub first" in soc.refused("copy", "postgresql+psycopg://hub:horse@127.0.0.1:1/hub")


def test_a_hub_with_nothing_wrong_says_so(hub: Hub) -> None:
    hub.done("connections")
    with db.session() as session:
        scenes.beat(session)
    told = hub.done("status")
    assert "Nothing needs you." in told
    assert "hub catalog" in told


def test_the_version_is_one_line(bare: Hub) -> None:
    assert bare.done("--version").strip() == f"hub {version('footprintiq-hub')}"


# --- logs and deliveries --------------------------------------------------------------------------


def test_logs_of_one_status(soc: Hub) -> None:
    for status in (RunStatus.SUCCESS, RunStatus.FAILED, RunStatus.SUCCESS):
        run_log(status)
    runs = json.loads(soc.done("logs", "SOC", "--status", "failed", "--json"))
    assert [run["status"] for run in runs] == ["failed"]
    assert len(json.loads(soc.done("logs", "--status", "success", "--limit", "1", "--json"))) == 1
    assert 'mean "failed"' in soc.refused("logs", "--status", "faild")
    assert "partial" in soc.done("logs", "--status", "partial")


def test_logs_are_followed_until_ctrl_c(soc: Hub) -> None:
    run_log(RunStatus.FAILED, error_message="Splunk answered 503.")
    command = [sys.executable, "-m", "core.cli", "logs", "--follow", "--status", "failed"]
    log = soc.folder / "followed"
    with log.open("w") as out:
        following = subprocess.Popen(command, stdout=out, stderr=out, cwd=soc.folder, env=soc.env)
        try:
            until(lambda: "Splunk answered 503." in log.read_text(), "the newest run is not shown")
            run_log(RunStatus.SUCCESS, 0)
            run_log(RunStatus.FAILED, 0, error_message="Splunk answered 500.")
            until(lambda: "Splunk answered 500." in log.read_text(), "what came later is not shown")
            following.send_signal(signal.SIGINT)
            assert following.wait(20) == 0
        finally:
            following.kill()
            following.wait()
    lines = log.read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["503.", "500."]


def test_a_run_that_goes_on_is_followed_to_its_end(soc: Hub) -> None:
    from core.access import LOCAL
    from core.cli.runs import Followed

    soc.done("connections")
    first = run_log(RunStatus.SUCCESS)
    going = run_log(RunStatus.RUNNING)
    followed = Followed(LOCAL, None, None)
    assert [run.id for run in followed.new()] == [first]
    assert followed.new() == []
    with db.session() as session:
        session.get_one(RunLog, going).status = RunStatus.PARTIAL
    last = run_log(RunStatus.SUCCESS)
    assert [run.id for run in followed.new()] == [going, last]
    assert followed.new() == []


@pytest.mark.parametrize(
    ("since", "number"), [("1h", 1), ("3d", 2), ("2026-01-01", 2), ("2126-01-01T08:00Z", 0)]
)
def test_deliveries_since(soc: Hub, since: str, number: int) -> None:
    with db.session() as session:
        owner = session.execute(select(User)).scalar_one()
        row = session.execute(select(Connection)).scalar_one()
        record = sendings.scan(session, owner.id, "ines.novak@example.net")
        sendings.delivery(session, row, record, ago=timedelta(days=2))
        sendings.delivery(session, row, record, ago=timedelta(minutes=3))
    assert len(json.loads(soc.done("deliveries", "--since", since, "--json"))) == number


def test_a_since_that_is_no_time_is_one_sentence(soc: Hub) -> None:
    assert '"soon" is not a time.' in soc.refused("deliveries", "--since", "soon")


# --- help, completion -----------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, ...]]:
    root = typer.main.get_command(cli.app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        yield from ((name, sub) for sub in inner) if inner else [(name,)]


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_help_has_examples_that_can_be_typed(
    bare: Hub, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examples, "called", lambda: "hub")
    lines = examples.EXAMPLES[" ".join(words)]
    shown = " ".join(bare(*words, "--help").stdout.split())
    assert lines
    for line in lines:
        assert line in shown
        command = line.partition("#")[0].partition("<")[0].partition(">")[0].rpartition("| ")[2]
        name, *given = shlex.split(command)
        assert (name, tuple(given[: len(words)])) == ("hub", words)
        found = typer.main.get_command(cli.app)
        for word in words:
            found = found.get_command(typer.Context(found), word)  # type: ignore[attr-defined,assignment]
        with found.make_context(" ".join(words), given[len(words) :]):
            pass  # raises for a word that the command does not take


def test_examples_are_of_commands_that_there_are() -> None:
    assert set(examples.EXAMPLES) == {" ".join(words) for words in commands()}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("up", "--port", "0"), '"0" is not a whole number from 1 to 65,535.'),
        (("serve", "--port", "x"), '"x" is not a whole number from 1 to 65,535.'),
        (("sandbox", "--smtp-port", "70000"), '"70000" is not a whole number from 1 to 65,535.'),
        (("logs", "--limit", "0"), '"0" is not a whole number from 1 to 500.'),
        (("preview", "x", "--limit", "9999"), "from 1 to 1,000."),
        (("discard", "x", "--delivery", "-1"), '"-1" is not a whole number from 1 up.'),
        (("replays", "--pause", "x"), '"x" is not a whole number from 1 up.'),
        (("token", "create", "a@b.org", "--expires", "0"), '"0" is not a whole number from 1 up.'),
    ],
)
def test_a_number_out_of_range_is_said_in_words(bare: Hub, words: tuple[str, ...], said: str) -> None:
    result = bare(*words)
    assert result.returncode == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_no_help_shows_a_raw_range_or_type(bare: Hub, words: tuple[str, ...]) -> None:
    shown = bare(*words, "--help").stdout
    assert "<=" not in shown
    assert "<int" not in shown


def completed(hub: Hub, *words: str, shell: str = "bash") -> list[str]:
    """What the shell is offered for the last word."""
    given = " ".join(map(shlex.quote, words[:-1])) + " " + words[-1]
    env = {"_HUB_COMPLETE": f"complete_{shell}"}
    if shell == "bash":
        env |= {"COMP_WORDS": given, "COMP_CWORD": str(len(words) - 1)}
    else:
        env |= {"_TYPER_COMPLETE_ARGS": given, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(hub.folder)
        for name, value in (hub.env | env).items():
            patch.setenv(name, value)
        db.configure(hub.env["HUB_DATABASE_URL"])
        return CliRunner().invoke(cli.app, [], prog_name="hub").stdout.strip().splitlines()


def test_tools_and_connections_are_completed(soc: Hub) -> None:
    assert completed(soc, "hub", "connect", "spl") == ["splunk"]
    assert completed(soc, "hub", "catalog", "ser") == ["servicenow"]
    soc.done("edit", "SOC", "--name", "SOC prod")
    for command in (
        "show",
        "edit",
        "test",
        "preview",
        "sync",
        "enable",
        "delete",
        "logs",
        "deliveries",
        "replay",
    ):
        assert completed(soc, "hub", command, "SO") == ["SOC\\ prod"], command
    assert completed(soc, "hub", "sync", "SOC prod", "S") == ["SOC\\ prod"]
    assert completed(soc, "hub", "show", "x") == []
    assert "SOC prod" in completed(soc, "hub", "show", "SO", shell="fish")[0]


def test_a_completion_without_a_database_is_silent(bare: Hub) -> None:
    assert completed(bare, "hub", "show", "SO") == []


# --- the log of `hub up` --------------------------------------------------------------------------


def test_at_a_terminal_log_lines_go_to_a_file_so_that_the_sign_in_stays(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hub.folder)
    monkeypatch.setenv("HUB_SECRET_KEY_FILE", str(hub.folder / "hub.key"))
    assert processes.log_file() is None  # into a pipe, as a service's: they stay where they are
    monkeypatch.setattr(processes, "_is_terminal", lambda: True)
    path = processes.log_file()
    assert path == hub.folder / "run" / "hub.log"
    assert path.stat().st_mode & 0o777 == 0o600
    child = child_processes.start("x", [sys.executable, "-c", "print('a line')"], path)
    child.process.wait(30)
    assert path.read_text() == "a line\n"
    path.write_text("x" * (processes.LOG_BYTES + 1))
    assert processes.log_file() == path
    assert path.read_text() == ""
    assert path.with_name("hub.log.1").exists()


def test_a_preview_of_a_connection_that_nobody_saved_creates_nothing(hub: Hub) -> None:
    scan = {"id": "s-1", "status": "completed", "high_risk_count": 9}
    hub.done("import", "scans", hub.write("scans.ndjson", json.dumps(scan)))
    told = hub.done(*SPLUNK, "--secret", f"token={TOKEN}", "--set", "scope=all", "--preview")
    assert "POST https://" in told
    assert "fiq-scan-" in told
    assert TOKEN not in told
    assert json.loads(hub.done("connections", "--json")) == []
