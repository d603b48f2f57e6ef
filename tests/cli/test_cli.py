"""The command line: its output, its exit codes, and one sentence for everything that goes wrong."""

import json
import os
import pty
import re
import shlex
import signal
import sqlite3
import stat
import subprocess
import sys
import termios
import threading
from html import unescape
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from core import access
from core.cli import demo
from core.cli.output import Guarded
from core.cli.program_name import called, runnable
from core.cli.try_out import step_line
from core.integrations.base import Step
from core.integrations.options import WORDS
from core.platform.secret import Secret
from sandbox import Sandbox
from sandbox.contract import Vendor
from tests.support.live import until
from tests.support.terminal import Hub

SCAN = {
    "id": "0b0e7c3e-0000-4000-8000-000000000001",
    "user_id": "ana@example.com",
    "scan_type": "email",
    "email": "jo@example.com",
    "high_risk_count": 7,
    "status": "completed",
    "created_at": "2026-11-01T10:00:00Z",
}
SPLUNK = ("connect", "splunk", "--name", "SOC", "--set", "url=https://splunk.example.com:8088", "--no-test")
TOKEN = "00000000-1111-2222-3333-444444444444"


OTHERS = (
    "Of 1 scan, 1 is left out: 1 belongs to somebody else (scope is mine). Set scope=all to send everybody's."
)


def at_terminal(hub: Hub, *args: str, typed: str, columns: int = 120) -> str:
    """What a person sees who runs the command at a terminal and types."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, columns))
    command = [sys.executable, "-m", "core.cli", *args]
    running = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=hub.folder, env=hub.env
    )
    patience = threading.Timer(30, running.kill)  # it may ask for more than is typed
    patience.start()
    os.write(ours, typed.encode())
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65_536):
            shown += chunk
    except OSError:
        pass  # Linux's way to say that nobody writes any more
    running.wait()
    patience.cancel()
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()).replace("\r\n", "\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after `hub init`: copied for each test, because making one takes a second."""
    folder = tmp_path_factory.mktemp("made")
    assert Hub(folder).process("init").returncode == 0  # a process of its own leaves no write-ahead log open
    return folder


@pytest.fixture
def hub(tmp_path: Path, made: Path) -> Hub:
    for name in ("hub.db", "hub.key"):
        (tmp_path / name).write_bytes((made / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    return Hub(tmp_path)


@pytest.fixture
def bare(tmp_path: Path) -> Hub:
    """A folder in which nothing was ever done."""
    return Hub(tmp_path)


def test_help_comes_at_once_because_it_loads_nothing_heavy(bare: Hub) -> None:
    asked = bare.process("--help", interpreter=("-X", "importtime"))
    assert asked.returncode == 0
    loaded = {line.rpartition("|")[2].strip() for line in asked.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {
        "sqlalchemy",
        "pydantic",
        "httpx",
        "streamlit",
        "cryptography",
        "core.storage.db",
        "core.delivery.sync",
    }


def test_help_shows_no_type_for_a_switch_and_explains_every_option(bare: Hub) -> None:
    for words in ((), ("connect",), ("user", "add"), ("import",)):
        assert "<bool>" not in bare(*words, "--help").stdout
    shown = bare("connect", "--help").stdout
    assert all(name in shown for name in WORDS)
    assert "docs/records.md" in bare("import", "--help").stdout


def test_a_printed_command_is_called_as_it_can_be_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = tmp_path / ".venv" / "bin" / "hub", tmp_path / "other" / "hub"
    for file in (mine, other):
        file.parent.mkdir(parents=True)
        file.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [".venv/bin/hub"])
    monkeypatch.setenv("PATH", str(other.parent))
    assert called() == ".venv/bin/hub"
    assert runnable("Run `hub init`, then `hub up`.") == "Run `.venv/bin/hub init`, then `.venv/bin/hub up`."
    monkeypatch.setenv("PATH", str(mine.parent))
    assert called() == "hub"


# --- init -----------------------------------------------------------------------------------------


def test_init_tells_the_first_password_once_and_keeps_everything_the_second_time(bare: Hub) -> None:
    first = json.loads(bare.done("init", "--json"))
    key = (bare.folder / "hub.key").read_bytes()
    assert first["admin"] == "admin@hub.local"
    assert len(first["password"]) >= 12
    assert stat.S_IMODE((bare.folder / "hub.key").stat().st_mode) == 0o600

    second = bare.done("init")
    assert first["password"] not in second
    assert "hub user password admin@hub.local" in second
    assert (bare.folder / "hub.key").read_bytes() == key


def test_init_gives_the_first_admin_the_password_and_address_it_is_told(bare: Hub) -> None:
    bare.env["HUB_ADMIN_PASSWORD"] = "correct horse battery"
    told = json.loads(bare.done("init", "--admin", "sec@example.com", "--json"))
    assert (told["admin"], told["password"]) == ("sec@example.com", None)
    assert access.sign_in("sec@example.com", Secret("correct horse battery"), "127.0.0.1")


def test_init_prints_no_password_that_it_was_given(bare: Hub) -> None:
    bare.env["HUB_ADMIN_PASSWORD"] = "correct horse battery"
    said = bare.done("init")
    assert "correct horse battery" not in said
    assert "Sign in as admin@hub.local with the password in HUB_ADMIN_PASSWORD." in said


def test_a_given_password_that_is_easily_guessed_is_refused_by_its_variable(bare: Hub) -> None:
    bare.env["HUB_ADMIN_PASSWORD"] = "password1234"
    said = bare.refused("init")
    assert "HUB_ADMIN_PASSWORD" in said
    assert "easily guessed" in said
    assert "password1234" not in said


def test_init_names_the_oldest_admin_who_may_sign_in(bare: Hub) -> None:
    bare.done("init")
    for email in ("aaa@example.com", "zzz@example.com"):
        bare.done("user", "add", email, "--role", "admin")
    assert "Sign in as admin@hub.local" in bare.done("init", "--admin", "other@example.com")
    bare.done("user", "disable", "aaa@example.com")
    bare.done("user", "disable", "admin@hub.local")
    assert "Sign in as zzz@example.com" in bare.done("init")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("oracle://x", "HUB_DATABASE_URL"),
        ("not a url", "HUB_DATABASE_URL"),
        ("postgresql+psycopg://hub:hunter22@127.0.0.1:1/hub", "127.0.0.1:1"),
        ("sqlite:////proc/none/hub.db", "/proc/none/hub.db"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_and_leaves_no_key_behind(
    bare: Hub, url: str, words: str
) -> None:
    said = bare.refused("init", HUB_DATABASE_URL=url)
    assert words in said
    assert "hunter22" not in said
    assert not (bare.folder / "hub.key").exists()


def test_a_file_that_is_not_a_database_is_said_to_be_none(bare: Hub) -> None:
    (bare.folder / "hub.db").write_text("a shopping list, long enough to have a header\n" * 50)
    assert "not a SQLite database" in bare.refused("init")


def test_without_a_database_a_command_names_the_first_step(bare: Hub) -> None:
    assert "hub init" in bare.refused("connections")
    assert not (bare.folder / "hub.db").exists()


def test_a_key_file_that_others_may_read_is_refused(hub: Hub) -> None:
    (hub.folder / "hub.key").chmod(0o644)
    assert "chmod 600" in hub.refused("init")
    assert "chmod 600" in hub.refused(*SPLUNK, "--secret", f"token={TOKEN}")


def test_a_missing_key_file_is_not_replaced_while_connections_are_sealed_with_it(hub: Hub) -> None:
    hub.done(*SPLUNK, "--secret", f"token={TOKEN}")
    (hub.folder / "hub.key").unlink()
    for words in (("init",), ("sync", "SOC"), ("test", "SOC"), ("edit", "SOC", "--every", "1m")):
        said = hub.refused(*words)
        assert "1 connection is sealed" in said
        assert "Put it back from the backup" in said
        assert "init" not in said
    assert not (hub.folder / "hub.key").exists()


def test_a_setting_that_cannot_be_read_is_named(bare: Hub) -> None:
    assert "HUB_PORT" in bare.refused("init", HUB_PORT="many")


@pytest.mark.parametrize("command", ["up", "serve", "scheduler"])
def test_nothing_starts_with_outgoing_rules_that_cannot_be_read(hub: Hub, command: str) -> None:
    hub.env["HUB_EGRESS_ALLOW"] = "10.0.0.0/99"
    refused = hub.process(command)  # one that starts after all must not take the place of the tests
    assert refused.returncode == 1
    assert "HUB_EGRESS_ALLOW" in refused.stderr


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "HUB_EXECUTOR is local: the scheduler runs what is due in its own threads."),
        ({"HUB_EXECUTOR": "procrastinate"}, "HUB_DATABASE_URL names none"),
    ],
)
def test_on_sqlite_a_worker_says_what_it_needs(hub: Hub, environment: dict[str, str], words: str) -> None:
    said = hub.refused("worker", **environment)
    assert words in said
    assert "PostgreSQL" in said or "postgresql+psycopg://" in said


# --- people and tokens ----------------------------------------------------------------------------


def test_people_are_added_listed_and_given_a_new_password(hub: Hub) -> None:
    hub.done(
        "user", "add", "Ana@Example.com", "--role", "member", "--password-stdin", stdin="long enough 1\n"
    )
    hub.done("user", "password", "ana@example.com", "--password-stdin", stdin="long enough 2\n")
    people = json.loads(hub.done("user", "list", "--json"))
    assert [(p["email"], p["role"]) for p in people] == [
        ("admin@hub.local", "admin"),
        ("ana@example.com", "member"),
    ]
    assert all("password_hash" not in person for person in people)


def test_a_person_gets_the_records_of_their_external_id(hub: Hub, tmp_path: Path) -> None:
    cases = tmp_path / "cases.csv"
    cases.write_text("id,user_id,title\n1,u-7,one\n2,u-7,two\n3,u-8,three\n")
    hub.done("import", "cases", str(cases))
    added = hub.done("user", "add", "ana@example.com", "--external-id", "u-8")
    assert "1 record that came before is theirs" in added
    edited = hub.done("user", "edit", "ana@example.com", "--external-id", "u-7")
    assert "has the external id u-7 now; 2 records that came before are theirs" in edited
    assert "has no external id now" in hub.done("user", "edit", "ana@example.com", "--external-id", "")
    hub.done("user", "edit", "admin@hub.local", "--external-id", "u-7")
    refused = hub.refused("user", "edit", "ana@example.com", "--external-id", "U-7")
    assert "belongs to another user" in refused


def test_a_misspelt_role_a_short_password_and_a_taken_address_are_refused(hub: Hub) -> None:
    assert 'mean "member"' in hub.refused("user", "add", "a@example.com", "--role", "membr")
    hub.refused("user", "add", "a@example.com", "--password-stdin", stdin="short\n")
    hub.refused("user", "add", "admin@hub.local")
    assert len(json.loads(hub.done("user", "list", "--json"))) == 1


def test_a_token_is_alone_on_stdout_and_can_be_revoked(hub: Hub) -> None:
    token = hub.done("token", "create", "admin@hub.local", "--name", "ci", "--expires", "30").strip()
    assert re.fullmatch(r"hub_[\w-]{40,}", token)
    [listed] = json.loads(hub.done("token", "list", "--json"))
    assert (listed["name"], listed["email"]) == ("ci", "admin@hub.local")
    assert token not in json.dumps(listed)

    hub.done("token", "revoke", listed["id"])
    assert json.loads(hub.done("token", "list", "--json"))[0]["revoked_at"]


def test_a_token_for_nobody_names_the_nearest_person(hub: Hub) -> None:
    assert 'mean "admin@hub.local"' in hub.refused("token", "create", "admin@hub.locl")
    hub.refused("token", "revoke", "no-such-id")


def test_a_person_is_looked_up_before_a_password_is_asked_for(hub: Hub) -> None:
    asked = at_terminal(hub, "user", "password", "admin@hub.locl", typed="")
    assert 'mean "admin@hub.local"' in asked
    assert "Password" not in at_terminal(hub, "user", "add", "admin@hub.local", typed="")


# --- connections ----------------------------------------------------------------------------------


def test_a_connection_is_made_shown_without_its_secret_edited_and_deleted(hub: Hub) -> None:
    made = hub.done(
        *SPLUNK, "--secret", f"token={TOKEN}", "--every", "10m", "--set", "batch_limit=50"
    ).strip()
    shown = json.loads(hub.done("show", "SOC", "--json"))
    assert shown["id"] == made
    assert (shown["options"]["every"], shown["options"]["batch_limit"]) == ("10m", 50)
    assert TOKEN not in hub.done("show", made) + json.dumps(shown)

    hub.done("edit", "SOC", "--name", "SOC prod", "--every", "1h", "--set", "index=security")
    hub.done("disable", "SOC prod")
    [view] = json.loads(hub.done("connections", "--json"))
    assert (view["name"], view["options"]["every"], view["config"]["index"]) == ("SOC prod", "1h", "security")
    assert not view["is_active"]

    hub.done("enable", "SOC prod")
    hub.done("delete", "SOC prod", "--yes")
    assert json.loads(hub.done("connections", "--json")) == []
    assert "hub catalog" in hub.done("connections")


def test_a_secret_can_come_from_a_file_or_from_stdin(hub: Hub) -> None:
    (hub.folder / "token.txt").write_text(TOKEN + "\n")
    hub.done(*SPLUNK, "--secret-file", "token=token.txt")
    hub.done("edit", "SOC", "--secret", "token=-", stdin=TOKEN + "\n")
    assert "token.nope" in hub.refused("edit", "SOC", "--secret-file", "token=token.nope")
    assert "stdin" in hub.refused("edit", "SOC", "--secret", "token=-")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--set", "indx=security"), 'mean "index"'),
        (("--set", "batch_limt=5"), 'mean "batch_limit"'),
        (("--every", "5 parsecs"), "5 parsecs"),
        (("--every", "1s"), "10s"),
        (("--set", "index"), "name=value"),
        (("--set", "batch_limit=many"), "batch_limit"),
        (("--owner", "nobody@example.com"), "nobody@example.com"),
        (("--set", "retry=often"), "retry"),
        (("--set", "zzz=1"), "batch_limit"),
        (("--set", f"token={TOKEN}"), "--secret token"),
        (("--secret", "indx=security"), 'mean "index"'),
        (("--secret", "scope=all"), "scope"),
    ],
)
def test_a_wrong_field_or_option_is_named_and_nothing_is_saved(
    hub: Hub, words: tuple[str, ...], said: str
) -> None:
    assert said in hub.refused(*SPLUNK, "--secret", f"token={TOKEN}", *words)
    assert json.loads(hub.done("connections", "--json")) == []


def test_a_missing_field_a_misspelt_tool_and_a_taken_name_are_refused(hub: Hub) -> None:
    assert "token" in hub.refused(*SPLUNK)
    assert 'mean "splunk"' in hub.refused("connect", "splnuk", "--name", "x")
    hub.done(*SPLUNK, "--secret", f"token={TOKEN}")
    assert "SOC" in hub.refused(*SPLUNK, "--secret", f"token={TOKEN}")


def test_a_connection_that_fails_its_test_is_not_saved(hub: Hub) -> None:
    words = (
        "connect",
        "splunk",
        "--name",
        "In",
        "--set",
        "url=https://127.0.0.1:9",
        "--secret",
        f"token={TOKEN}",
    )
    network, sentence = hub.refused(*words).splitlines()
    assert "127.0.0.1" in network
    assert "127.0.0.1" not in sentence
    assert json.loads(hub.done("connections", "--json")) == []


def test_a_secret_the_hub_makes_is_shown_once_and_never_again(hub: Hub) -> None:
    words = ("connect", "webhook", "--name", "Hook", "--set", "url=https://h.example.com/x", "--no-test")
    made = hub(*words)
    assert made.returncode == 0
    (secret,) = re.findall(r"signing_secret: (whsec_\S{44})\n", made.stderr)
    assert "whsec_" not in made.stdout
    assert secret not in hub.done("show", "Hook", "--json")
    again = json.loads(hub.done(*(word.replace("Hook", "Other") for word in words), "--json"))
    assert again["signing_secret"] != secret
    own = hub(*(word.replace("Hook", "Own") for word in words), "--secret", f"signing_secret={secret}")
    assert (own.returncode, "whsec_" in own.stderr) == (0, False)


@pytest.mark.parametrize(
    "words",
    [
        ("--set", "batch_limit=0"),
        ("--owner", "nobody@example.com"),
        ("--name", "SOC"),
        ("--name", "\t"),
        ("--set", "index=No Such"),
    ],
)
def test_what_is_cheap_to_see_is_said_before_the_tool_is_asked(hub: Hub, words: tuple[str, ...]) -> None:
    hub.done(*SPLUNK, "--secret", f"token={TOKEN}")
    given = ("--name", "In", "--set", "url=https://127.0.0.1:9", "--secret", f"token={TOKEN}")
    said = hub.refused("connect", "splunk", *given, *words)
    assert "network" not in said
    assert "127.0.0.1" not in said


def test_a_stage_has_its_mark() -> None:
    marks = [(True, False), (False, False), (None, False), (None, True)]
    lines = [step_line(Step("tls", ok, "Well.", warning)) for ok, warning in marks]
    assert [line.split() for line in lines] == [[mark, "tls", "Well."] for mark in "✓✗?!"]


def test_connect_without_a_tool_lists_the_tools(hub: Hub) -> None:
    said = hub.done("connect")
    assert "splunk" in said
    assert "--name NAME" in said


def test_a_tool_is_listed_with_the_options_of_every_connection(hub: Hub) -> None:
    said = hub.done("catalog", "splunk")
    assert all(name in said for name in WORDS)


def test_a_planned_field_is_no_choice_and_refused_with_the_reason(hub: Hub) -> None:
    table, _, planned = hub.done("catalog", "jira").partition("Planned")
    assert "webhook_secret" not in table
    assert "done_transition, reopen_transition, webhook_secret" in planned
    assert "Planned" not in hub.done("catalog", "splunk")
    jira = ("connect", "jira", "--name", "J", "--no-test", "--secret", "api_token=t")
    jira += (
        "--set",
        "url=https://x.atlassian.net",
        "--set",
        "email=a@example.com",
        "--set",
        "project_key=SEC",
    )
    given = ("--set=done_transition=Done", "--secret=webhook_secret=x", "--set=webhook_secret=x")
    for extra in (*given, "--set=two_way=both", "--set=monthly_budget=5"):
        refused = hub(*jira, extra)
        assert refused.returncode == 1
        assert "is planned" in refused.stderr
    hub.done(*jira)
    for extra in given:
        assert "is planned" in hub("edit", "J", extra).stderr


def test_an_unusable_mapping_is_refused_at_the_terminal(hub: Hub) -> None:
    unusable = ("--set", 'mapping={"evnt": {}}')
    assert 'Did you mean "event"' in hub.refused(*SPLUNK, "--secret", f"token={TOKEN}", *unusable)
    hub.done(*SPLUNK, "--secret", f"token={TOKEN}")
    assert 'Did you mean "event"' in hub.refused("edit", "SOC", *unusable)


def test_a_changed_field_asks_for_a_test_and_a_changed_option_does_not(hub: Hub) -> None:
    hub.done(*SPLUNK, "--secret", f"token={TOKEN}")
    assert 'test "SOC"`' in hub.done("edit", "SOC", "--set", "index=other")
    assert 'test "SOC"`' in hub.done("edit", "SOC", "--secret", f"token={TOKEN}")
    assert "test" not in hub.done("edit", "SOC", "--every", "1h")


def test_a_connection_is_not_deleted_unless_somebody_says_yes(hub: Hub) -> None:
    hub.done(*SPLUNK, "--secret", f"token={TOKEN}")
    assert "--yes" in hub.refused("delete", "SOC")
    assert "--yes" in hub.refused("delete", "SOC", stdin="y\n")
    assert "stays" in at_terminal(hub, "delete", "SOC", typed="n\n")
    assert len(json.loads(hub.done("connections", "--json"))) == 1
    assert "is deleted" in at_terminal(hub, "delete", "SOC", typed="y\n")
    assert json.loads(hub.done("connections", "--json")) == []


def test_a_connection_is_shown_with_its_problem_and_why_it_sends_nothing(hub: Hub) -> None:
    hub.done("import", "scans", hub.write("scans.ndjson", SCAN))
    hub.done(*SPLUNK, "--secret", f"token={TOKEN}")
    shown = hub.done("show", "SOC")
    assert re.search("(?m)^standing +Not run yet. It has not run since it was made.", shown)
    assert OTHERS in shown
    hub.done("disable", "SOC")
    assert "Paused" in hub.done("show", "SOC")


@pytest.mark.parametrize(
    "words",
    [
        *(("show",), ("edit", "--every", "1m"), ("enable",), ("disable",), ("delete", "--yes")),
        *(("test",), ("preview",), ("sync",), ("logs",), ("deliveries",)),
    ],
)
def test_a_connection_that_does_not_exist_is_answered_with_the_nearest(
    hub: Hub, words: tuple[str, ...]
) -> None:
    hub.done(*SPLUNK, "--secret", f"token={TOKEN}")
    assert 'mean "SOC"' in hub.refused(words[0], "SOCC", *words[1:])


# --- records --------------------------------------------------------------------------------------


def test_an_import_is_counted_and_safe_to_repeat(hub: Hub) -> None:
    file = hub.write("scans.ndjson", SCAN, SCAN | {"id": "0b0e7c3e-0000-4000-8000-000000000002"})
    first = json.loads(hub.done("import", "scans", file, "--json"))
    assert (first["total"], first["new"], first["bad"]) == (2, 2, [])
    second = json.loads(hub.done("import", "scans", file, "--json"))
    assert (second["new"], second["same"]) == (0, 2)


def test_bad_lines_are_named_with_their_number_and_the_good_ones_are_taken(hub: Hub) -> None:
    bad = ["{broken"] * 25
    result = hub("import", "scans", hub.write("scans.ndjson", SCAN, *bad))
    assert result.returncode == 1
    assert "1 new" in result.stdout
    assert "Line 2:" in result.stderr
    assert "Line 21:" in result.stderr
    assert "Line 22:" not in result.stderr
    assert "5 more" in result.stderr


def test_what_was_changed_to_be_stored_is_told_and_no_failure(hub: Hub) -> None:
    result = hub("import", "scans", hub.write("scans.ndjson", SCAN | {"username": "a\0b"}))
    assert (result.returncode, "1 new" in result.stdout) == (0, True)
    assert "Line 1: username held a NUL character; U+FFFD stands in its place" in result.stderr
    assert "1 of 1 could not be stored as they came" in result.stderr


def test_records_come_from_stdin(hub: Hub) -> None:
    assert "1 new" in hub.done("import", "scans", "-", stdin=json.dumps(SCAN))


def test_a_file_that_is_missing_or_of_another_kind_is_refused(hub: Hub) -> None:
    assert "nowhere.ndjson" in hub.refused("import", "scans", "nowhere.ndjson")
    (hub.folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    hub.refused("import", "scans", "picture.png")
    assert 'mean "scans"' in hub.refused("import", "scnas", "picture.png")
    hub.refused("import", "scans", ".")


def test_an_empty_file_is_a_failure_that_says_so(hub: Hub) -> None:
    (hub.folder / "empty.csv").write_text("id,status\n")
    assert "No record was read: empty.csv" in hub.refused("import", "scans", "empty.csv")
    assert "stdin" in hub.refused("import", "scans", "-")


SAMPLES = Path(__file__).parents[2] / "data" / "samples"


@pytest.mark.parametrize(
    ("kind", "name", "count"),
    [
        ("cases", "scans.ndjson", 520),
        ("alerts", "scans.ndjson", 520),
        ("scans", "cases.json", 64),
        ("scans", "alerts.csv", 210),
    ],
)
def test_a_file_of_another_kind_is_one_sentence(hub: Hub, kind: str, name: str, count: int) -> None:
    said = hub("import", kind, str(SAMPLES / name))
    (line,) = said.stderr.splitlines()
    assert (said.returncode, said.stdout) == (1, "")
    assert line.startswith(f"None of {count} records was taken: it looks like a")
    assert f"hub import {name.partition('.')[0]}`" in line


def test_an_import_that_is_stopped_says_how_much_was_taken(hub: Hub) -> None:
    hub.done("init")
    rows = "\n".join(json.dumps(SCAN | {"id": f"scan-{number}"}) for number in range(1_500))
    command = [sys.executable, "-m", "core.cli", "import", "scans", "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=hub.folder, env=hub.env, stdin=pipe, stdout=pipe, stderr=pipe
    ) as process:
        assert process.stdin is not None
        process.stdin.write(rows.encode())
        process.stdin.flush()
        until(lambda: taken(hub) == 1_000, "the first part is stored, and it waits for more of the second")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.decode().splitlines() == [
        "Stopped: 1,000 records were taken (1,000 new, 0 changed, 0 already there) and stay. "
        "Import it again for the rest."
    ]


def taken(hub: Hub) -> int:
    with sqlite3.connect(hub.folder / "hub.db") as link:
        return int(link.execute("SELECT count(*) FROM scans").fetchone()[0])


@pytest.mark.parametrize("name", ["scans.ndjson", "cases.json", "alerts.csv"])
def test_a_sample_is_taken_whole_and_nothing_is_said_on_stderr(hub: Hub, name: str) -> None:
    sample = Path(__file__).parents[2] / "data" / "samples" / name
    taken = hub.process("import", sample.stem, str(sample))
    assert (taken.returncode, taken.stderr) == (0, "")


def test_records_of_others_are_named_where_nothing_would_be_sent(hub: Hub) -> None:
    hub.done("import", "scans", hub.write("scans.ndjson", SCAN))
    assert OTHERS in hub(*SPLUNK, "--secret", f"token={TOKEN}").stderr
    assert OTHERS in hub.done("preview", "SOC")
    assert OTHERS in hub.done("sync", "SOC")
    assert OTHERS in hub.done("deliveries", "SOC")
    assert f"SOC: {OTHERS}" in hub.done("deliveries")
    hub.done("edit", "SOC", "--set", "scope=all")
    assert "1 of 1 record" in hub.done("preview", "SOC")
    assert "left out" not in hub.done("deliveries", "SOC")


def test_pull_without_a_source_says_which_setting_is_missing(hub: Hub) -> None:
    assert "HUB_SOURCE_URL" in hub.refused("pull")


def test_the_story_of_a_record_names_where_it_waits(hub: Hub) -> None:
    hub.done("import", "scans", hub.write("scans.ndjson", SCAN))
    hub.done(*SPLUNK, "--secret", f"token={TOKEN}", "--set", "scope=all")
    assert "SOC" in hub.done("explain", "scan", SCAN["id"])
    assert json.loads(hub.done("explain", "scan", SCAN["id"], "--json"))
    assert "no-such-scan" in hub.refused("explain", "scan", "no-such-scan")


def test_a_preview_shows_the_request_without_the_secret_and_changes_nothing(hub: Hub) -> None:
    hub.done("import", "scans", hub.write("scans.ndjson", SCAN))
    hub.done(*SPLUNK, "--secret", f"token={TOKEN}", "--set", "scope=all")
    shown = hub.done("preview", "SOC")
    assert "POST https://splunk.example.com:8088/services/collector" in shown
    assert SCAN["id"] in shown
    assert TOKEN not in shown
    assert "1 of 1 record that" in shown
    assert len(json.loads(hub.done("preview", "SOC", "--json"))) == 1
    assert json.loads(hub.done("deliveries", "SOC", "--json")) == []


def test_a_preview_says_how_many_records_it_leaves_out(hub: Hub) -> None:
    hub.done("import", "scans", hub.write("scans.ndjson", *(SCAN | {"id": str(n)} for n in range(7))))
    hub.done(*SPLUNK, "--secret", f"token={TOKEN}", "--set", "scope=all")
    assert "3 of 7 records" in hub.done("preview", "SOC")
    assert "7 of 7 records" in hub.done("preview", "SOC", "--limit", "9")


def test_a_delivery_is_explained_by_the_id_that_is_listed_and_by_its_key(hub: Hub) -> None:
    hub.done("import", "scans", hub.write("scans.ndjson", SCAN))
    with Sandbox() as sandbox:
        hub.env["HUB_EGRESS_ALLOW"] = sandbox.url.removeprefix("http://")
        (url, token) = sandbox.credentials("splunk").values()
        options = ("--set", f"url={url}", "--set", "scope=all", "--secret", f"token={token}")
        hub.done("connect", "splunk", "--name", "SOC", *options)
        assert "1 delivered" in hub.done("sync", "SOC")
    [row] = json.loads(hub.done("deliveries", "--json"))
    listed = hub.done("deliveries")
    assert f"scan {SCAN['id']} " in listed
    assert row["key"] not in listed
    by_id = hub.done("explain", "scan", str(SCAN["id"]))
    assert "SOC: Delivered" in by_id
    by_key = hub.done("explain", "scan", row["key"])
    assert re.sub(r"now|\d+ s ago", "", by_key) == re.sub(r"now|\d+ s ago", "", by_id)
    hub.refused("explain", "case", row["key"])
    assert "--json` has the keys" in hub.refused("explain", "scan", "fiq-scan-nothing")


def test_the_lines_on_the_sandboxs_page_work_inside_the_demo(hub: Hub) -> None:
    with Sandbox(smtp_port=0, exports=" HUB_PORT=8502") as sandbox:
        page = httpx.get(sandbox.url, trust_env=False).text
        first, *lines = unescape(page.partition("<pre>")[2].partition("</pre>")[0]).splitlines()
        told = dict(word.split("=", 1) for word in shlex.split(first)[1:])
        assert told.pop("HUB_PORT") == "8502"
        hub.env |= told
        for vendor in demo.wanted().values():  # what the demo has connected already
            given = [f"{name}={value}" for name, value in sandbox.credentials(vendor.slug).items()]
            fields = [word for pair in given for word in (_switch(vendor, pair), pair)]
            hub.done("connect", vendor.slug, "--name", f"Sandbox {vendor.name}", *fields, "--no-test")
        for line in lines:
            if re.match("hub connect (splunk|jira|slack|email) ", line):
                hub.done(*shlex.split(line)[1:])
    assert len(json.loads(hub.done("connections", "--json"))) == len(demo.SHOWN) + 4


def _switch(vendor: Vendor, pair: str) -> str:
    return "--secret" if pair.partition("=")[0] in vendor.secrets else "--set"


# --- every command --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        *(("catalog",), ("catalog", "jira"), ("connections",), ("logs",), ("deliveries",)),
        *(("user", "list"), ("token", "list"), ("deliveries", "--state", "dead")),
    ],
)
def test_what_is_printed_for_people_can_be_had_as_json(hub: Hub, words: tuple[str, ...]) -> None:
    assert hub.done(*words).strip()
    json.loads(hub.done(*words, "--json"))


def test_a_misspelt_state_names_the_nearest(hub: Hub) -> None:
    assert 'mean "dead"' in hub.refused("deliveries", "--state", "daed")


@pytest.mark.parametrize(
    "words",
    [
        ("frobnicate",),
        ("connect", "splunk"),
        ("connect", "--name", "x"),
        ("logs", "--limit", "0"),
        ("up", "--port", "x"),
    ],
)
def test_wrong_usage_exits_with_2(bare: Hub, words: tuple[str, ...]) -> None:
    result = bare.process(*words)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_a_wide_table_folds_to_the_terminal(hub: Hub) -> None:
    hub.done(*SPLUNK, "--secret", f"token={TOKEN}")
    hub.done("edit", "SOC", "--name", "x" * 99)
    shown = at_terminal(hub, "connections", typed="", columns=60)
    assert shown.count("x") >= 99
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 60


def test_a_damaged_database_is_one_sentence(hub: Hub) -> None:
    with (hub.folder / "hub.db").open("r+b") as file:  # the header and the schema stay, the rest is garbage
        file.seek(65_536)
        file.write(b"\xff" * 500_000)
    result = hub.process("connections")
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1


def test_what_the_hub_has_no_words_for_goes_to_a_log_and_not_to_the_terminal(tmp_path: Path) -> None:
    app = typer.Typer(cls=Guarded)

    @app.command("go")
    def go() -> None:
        raise RuntimeError("a fault of our own")

    @app.command("stay")
    def stay() -> None: ...

    result = CliRunner().invoke(app, ["go"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "a fault of our own" not in result.stderr
    assert f"{tmp_path}/run/errors.log" in result.stderr
    assert "RuntimeError: a fault of our own" in (tmp_path / "run" / "errors.log").read_text()
