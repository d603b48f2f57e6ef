"""One or two lines of each command that can be typed as they are; shown under its help."""

from core.cli.program_name import called

EXAMPLES: dict[str, tuple[str, ...]] = {
    "init": ("hub init", "hub init --admin ana@example.com"),
    "up": ("hub up", "hub up --demo --port 8502"),
    "serve": ("hub serve --host 127.0.0.1 --port 8501",),
    "scheduler": ("hub scheduler",),
    "worker": ("hub worker", "hub worker --threads 8"),
    "copy": ("hub copy postgresql+psycopg://hub:password@db.example.com/hub",),
    "sandbox": ("hub sandbox --port 8601",),
    "free-space": ("hub free-space",),
    "status": ("hub status", "hub status --json"),
    "user add": ("hub user add ana@example.com --role admin",),
    "user edit": ("hub user edit ana@example.com --external-id 5f0c2f0e-1111-4222-8333-444455556666",),
    "user list": ("hub user list --json",),
    "user password": ("hub user password ana@example.com",),
    "user role": ("hub user role ana@example.com viewer",),
    "user disable": ("hub user disable ana@example.com",),
    "user enable": ("hub user enable ana@example.com",),
    "token create": ("hub token create ana@example.com --name ci --expires 90 > token.txt",),
    "token list": ("hub token list",),
    "token revoke": ("hub token revoke 0b6f7b1e-5a44-4c39-9c1e-3f6d2f0c8a11",),
    "catalog": ("hub catalog", "hub catalog splunk"),
    "connect": (
        'hub connect splunk --name "SOC prod" --set url=https://splunk.example.com:8088 --secret token',
        "hub connect pagerduty --name Duty --set region=eu --secret routing_key --preview",
        "hub connect slack --name Alerts --secret-file webhook_url=url.txt --set min_severity=high --every 1m",
    ),
    "connections": ("hub connections", "hub connections --json"),
    "show": ('hub show "SOC prod"',),
    "edit": (
        'hub edit "SOC prod" --every 10m --set min_severity=high',
        'hub edit "SOC prod" --secret token --shared',
    ),
    "enable": ('hub enable "SOC prod"', 'hub enable "SOC prod" --backlog skip'),
    "disable": ('hub disable "SOC prod" Desk',),
    "delete": ('hub delete "SOC prod" --yes',),
    "test": ('hub test "SOC prod"',),
    "preview": ('hub preview "SOC prod" --limit 10',),
    "sync": ('hub sync "SOC prod" Desk',),
    "logs": ('hub logs "SOC prod" --status failed', "hub logs --follow"),
    "deliveries": ('hub deliveries "SOC prod" --state dead', "hub deliveries --since 2h --json"),
    "replay": (
        'hub replay "SOC prod" --dry-run',
        'hub replay --all --reason "403" --since 2026-11-21',
    ),
    "replays": ("hub replays", "hub replays --pause 4"),
    "release": ("hub release Desk", "hub release Desk --delivery 12"),
    "discard": ("hub discard Desk",),
    "import": (
        "hub import scans data/samples/scans.ndjson",
        "jq -c '.cases[]' all.json | hub import cases -",
    ),
    "pull": ("hub pull",),
    "explain": ("hub explain scan 0b6f7b1e-5a44-4c39-9c1e-3f6d2f0c8a11",),
    "restored": ("hub restored",),
    "bench": ("hub bench --quick", "hub bench siem messages", "hub bench --write docs/performance.md"),
}


def epilog(command: str) -> str | None:
    """The end of a command's help; a blank line parts what stays a line of its own."""
    lines = EXAMPLES.get(command)
    if not lines:
        return None
    shown = [line.replace("hub ", f"{called()} ", 1) for line in lines]
    return "\n\n".join(["Examples:" if len(lines) > 1 else "Example:", *shown])
