"""The files in deploy/: as hardened as they say, and their entry points run as plain processes.

No container engine is needed. The Compose Specification's own schema comes with `check-jsonschema`.
"""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from core.integrations import credentials
from core.platform.settings import settings
from core.storage import db
from tests.support.live import ROOT, reserved_port, until

DEPLOY = ROOT / "deploy"
SECRETS = {
    "POSTGRES_PASSWORD": "horse",
    "HUB_SECRET_KEYS": "A" * 43 + "=",
    "HUB_ADMIN_PASSWORD": "correct horse 9",
}
OURS = ("init", "serve", "scheduler", "worker")


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def instructions() -> list[tuple[str, str]]:
    """(word, the rest), of the image that is run: after the last FROM."""
    text = re.sub(r"\\\n\s*", " ", (DEPLOY / "Containerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    last = max(place for place, line in enumerate(lines) if line.startswith("FROM"))
    return [(word, rest) for word, _, rest in (line.strip().partition(" ") for line in lines[last:])]


def unit(name: str) -> list[str]:
    return [line for line in (DEPLOY / name).read_text().splitlines() if line and not line.startswith("#")]


def test_compose_is_what_the_specification_has() -> None:
    vendored = resources.files("check_jsonschema.builtin_schemas.vendor")
    schema = json.loads((vendored / "compose-spec.json").read_text())
    check = jsonschema.validators.validator_for(schema)(schema)
    check.validate(compose())
    with pytest.raises(jsonschema.ValidationError):
        broken = compose()
        broken["services"]["serve"]["read_onyl"] = True
        check.validate(broken)


def test_compose_has_a_database_one_serve_one_scheduler_and_two_workers() -> None:
    services = compose()["services"]
    assert set(services) == {"database", *OURS}
    assert {name: services[name].get("deploy", {}).get("replicas", 1) for name in OURS} == {
        "init": 1,
        "serve": 1,
        "scheduler": 1,
        "worker": 2,
    }
    assert services["init"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    for name in OURS[1:]:
        assert services[name]["depends_on"] == {"init": {"condition": "service_completed_successfully"}}


@pytest.mark.parametrize("name", OURS)
def test_each_container_is_hardened(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_image_runs_as_nobody_in_particular_and_is_asked_how_it_is() -> None:
    found = instructions()
    users = [rest for word, rest in found if word == "USER"]
    assert users == ["10001:10001"]
    place = [word for word, _ in found].index("USER")
    assert {word for word, _ in found[place:]}.isdisjoint({"RUN", "COPY", "ADD"})
    assert "/healthz" in dict(found)["HEALTHCHECK"]
    assert dict(found)["ENTRYPOINT"] == '["hub"]'
    assert "tests" in (ROOT / ".dockerignore").read_text().split()
    assert "data/*.key" in (ROOT / ".dockerignore").read_text().split()


def test_the_units_are_hardened_alike() -> None:
    own = ("Description=", "ExecStart=", "Environment=HUB_DATABASE_URL=")

    def shared(name: str) -> list[str]:
        return [line for line in unit(name) if not line.startswith(own)]

    assert shared("hub-worker@.service") == shared("hub-scheduler.service")
    assert "ExecStart=/opt/footprintiq-hub/.venv/bin/hub worker" in unit("hub-worker@.service")
    assert set(shared("hub-scheduler.service")) <= set(unit("hub-serve.service"))


def filled(text: str) -> str:
    """As compose fills `${NAME:-default}` and `${NAME:?why}` from deploy/.env."""
    return re.sub(
        r"\$\{(\w+):([-?])([^}]*)\}", lambda m: SECRETS.get(m[1], m[3] if m[2] == "-" else "missing"), text
    )


def environment(name: str, database: str, folder: Path, port: int) -> dict[str, str]:
    """A container's, but for its database's address, its volume and its port."""
    image = dict(pair.partition("=")[::2] for pair in dict(instructions())["ENV"].split())
    given = {key: filled(value) for key, value in compose()["services"][name]["environment"].items()}
    assert given["HUB_DATABASE_URL"] == "postgresql+psycopg://hub:horse@database/hub"
    own = {
        "HUB_DATABASE_URL": database,
        "HUB_SECRET_KEY_FILE": str(folder / "hub.key"),
        "HUB_HOST": "127.0.0.1",
        "HUB_PORT": str(port),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
    }
    return image | given | own


def start(name: str, folder: Path, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    command = compose()["services"][name]["command"]
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "core.cli", *command], cwd=folder, env=variables, stdout=log, stderr=log
        )


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_the_entry_points_run_with_their_environment(database: str, tmp_path: Path) -> None:
    port = reserved_port()
    settings.cache_clear()
    credentials.ring.cache_clear()

    def variables(name: str) -> dict[str, str]:
        return environment(name, database, tmp_path, port)

    def figures() -> str:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
        except httpx.TransportError:
            return ""

    made = start("init", tmp_path, variables("init"))
    assert made.wait(90) == 0, (tmp_path / "init.log").read_text()
    workers = ["worker"] * compose()["services"]["worker"]["deploy"]["replicas"]
    with ExitStack() as stack:
        running = []
        for name in ("serve", "scheduler", *workers):
            running.append(start(name, tmp_path, variables(name)))
            stack.callback(running[-1].kill)
        until(lambda: "hub_workers 2.0" in figures(), "two workers are not known", 120)
        ready = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False)
        assert ready.json()["checks"] == {"database": "ok", "scheduler": "ok", "disk": "ok", "keys": "ok"}
        check = json.loads(dict(instructions())["HEALTHCHECK"].partition("CMD ")[2])
        asked = [part.replace(":8501/", f":{port}/") for part in check]
        subprocess.run([sys.executable, *asked[1:]], check=True, timeout=30)
        for process in running:
            process.send_signal(signal.SIGTERM)
        serve, *others = [process.wait(30) for process in running]
        assert (serve in (0, -signal.SIGTERM), others) == (
            True,
            [0, 0, 0],
        )  # uvicorn ends by the signal it was sent
    assert not (tmp_path / "hub.key").exists()  # the keys came by the environment
    with db.reading() as session:
        assert session.get_bind().dialect.name == "postgresql"
