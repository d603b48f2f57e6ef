"""Makes the sample records beside it: `python data/samples/make.py [FOLDER]`. The same bytes each time.

520 scans as NDJSON, 64 cases as a JSON array, 210 alerts as CSV: one file for each format `hub import` reads.
Nobody in them exists: first and last names are drawn from two lists, addresses end in example.org, .com or
.net (RFC 2606), telephone numbers are from 555-0100 to 555-0199, which are kept for fiction.
"""

import csv
import json
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

SEED, NOW = 20261122, datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SCANS, CASES, ALERTS = 520, 64, 210
DAYS = 90
FIRST = (
    "Ada Amir Ana Bea Bruno Carla Chen Dana Elif Emil Farah Goran Hana Ines Ivo Jana Kofi Lena Luca Mara Mina "
    "Nils Noor Olga Pavel Quinn Rosa Sami Tara Uma Viktor Wanda Yara Zoë"
)
LAST = (
    "Abbott Berg Castro Dvořák Eriksen Fuchs Garcia Haas Ito Jansen Kowal Larsen Moreau Novak Okafor Petrov "
    "Quist Rossi Sato Turner Ueda Varga Weber Xu Yilmaz Zeller"
)
DOMAINS = ("example.org", "example.com", "example.net")
COMPANIES = ("northwind", "alpine", "harbour", "meadow", "copper", "cedar", "lantern", "orchard")
#: who ran the scans: a hub user's e-mail, or FootprintIQ's uuid of them; with how much of the work
OWNERS = (
    ("ana@example.org", 30),
    ("ben@example.org", 25),
    ("soc@example.com", 20),
    ("3f0c6a52-8f5e-4b8a-9d53-0a5f7f3c1e01", 15),
    ("3f0c6a52-8f5e-4b8a-9d53-0a5f7f3c1e02", 10),
)
SCAN_TYPES = ("username", "personal_details", "both", "email", "phone", "domain")
SITES = (
    "a code host",
    "a forum",
    "a paste site",
    "a people search",
    "a photo album",
    "a market place",
    "a blog",
)
LEAKS = ("passwords in plain text", "password hashes", "e-mail addresses", "home addresses", "phone numbers")
CASE_TITLES = (
    "Remove {name} from {site}",
    "Credentials of {name} found on {site}",
    "Impersonation of {name} on {site}",
    "Home address of {name} is public",
    "Leaked access key of {company}",
    "Look-alike domain of {company} registered",
)
ALERT_TITLES = {
    "new_exposure": "{name} appears on {site}",
    "risk_increase": "Risk of {name} rose from {low} to {high}",
    "data_breach": "{name} is in a breach: {leak}",
    "profile_change": "The profile of {name} on {site} has changed",
}


def pick_owner(random: Random) -> str:
    names, weights = zip(*OWNERS, strict=True)
    return str(random.choices(names, weights)[0])


def new_id(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def moment(random: Random, after: datetime, days: float) -> datetime:
    """A time within `days` after `after`, to the millisecond, never later than NOW."""
    passed = timedelta(milliseconds=random.randrange(1, int(days * 86_400_000)))
    return min(after + passed, NOW - timedelta(minutes=1))


def iso(at: datetime | None) -> str | None:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def phone(random: Random) -> str:
    return f"+1-{random.choice((202, 303, 415, 617))}-555-01{random.randrange(100):02d}"


def scan(random: Random) -> dict[str, Any]:
    first, last, domain = random.choice(FIRST.split()), random.choice(LAST.split()), random.choice(DOMAINS)
    handle = f"{first}.{last}".lower().translate(str.maketrans("ëřáö", "erao"))
    kind = random.choice(SCAN_TYPES)
    status = random.choices(("completed", "failed", "processing", "pending"), (90, 4, 3, 3))[0]
    created = moment(random, NOW - timedelta(days=DAYS), DAYS)
    completed = moment(random, created, 0.02) if status == "completed" else None
    is_named = kind in ("personal_details", "both")
    record = {
        "id": new_id(random),
        "user_id": pick_owner(random),
        "scan_type": kind,
        "username": handle.replace(".", "_") if kind in ("username", "both") else None,
        "first_name": first if is_named else None,
        "last_name": last if is_named else None,
        "email": f"{handle}@{domain}" if is_named or kind == "email" else None,
        "phone": phone(random) if kind in ("phone", "both") else None,
        "domain": f"{random.choice(COMPANIES)}.{domain}" if kind == "domain" else None,
        **risks(random, status),
        "status": status,
        "workspace_id": f"ws-{random.randrange(1, 5)}",
        "created_at": iso(created),
        "completed_at": iso(completed),
        "updated_at": iso(completed or created),
    }
    if random.random() < 0.2:  # a field the hub has no column for
        record["tags"] = random.sample(("executive", "contractor", "quarterly", "onboarding"), 2)
    return record


def risks(random: Random, status: str) -> dict[str, int | None]:
    """Most people have few high risks, some have many."""
    if status != "completed":
        return dict.fromkeys(
            (
                "privacy_score",
                "total_sources_found",
                "high_risk_count",
                "medium_risk_count",
                "low_risk_count",
            )
        )
    high = min(int(random.expovariate(1 / 4)), 28)
    medium, low = random.randrange(0, 16), random.randrange(0, 40)
    return {
        "privacy_score": max(3, 100 - 4 * high - 2 * medium - low // 4),
        "total_sources_found": high + medium + low + random.randrange(0, 30),
        "high_risk_count": high,
        "medium_risk_count": medium,
        "low_risk_count": low,
    }


def words(random: Random, of: dict[str, Any]) -> dict[str, Any]:
    """What the titles of a case or an alert about this scan may say."""
    name = " ".join(filter(None, (of["first_name"], of["last_name"])))
    low = random.randrange(5, 50)
    return {
        "name": name or of["username"] or of["email"] or of["phone"] or of["domain"],
        "site": random.choice(SITES),
        "leak": random.choice(LEAKS),
        "company": random.choice(COMPANIES).title(),
        "low": low,
        "high": low + random.randrange(10, 50),
    }


def case(random: Random, of: dict[str, Any]) -> dict[str, Any]:
    known = words(random, of)
    status = random.choices(("open", "in_progress", "resolved", "closed"), (60, 15, 15, 10))[0]
    created = moment(random, datetime.fromisoformat(of["completed_at"]), 5)
    updated = created if status == "open" else moment(random, created, 10)
    steps = [
        f"Found on {known['site']} by scan {of['id']}.",
        f"Exposed: {known['leak']}.",
        "",
        "What to do:",
        "- ask the site to take it down",
        "- change every password that was used there",
    ]
    return {
        "id": new_id(random),
        "user_id": of["user_id"],
        "scan_id": of["id"],
        "title": random.choice(CASE_TITLES).format(**known),
        "description": "\n".join(steps[: random.randrange(1, len(steps) + 1)]).strip(),
        "status": status,
        "priority": random.choices(("low", "medium", "high", "critical"), (15, 35, 35, 15))[0],
        "assigned_to": random.choice((None, "ana@example.org", "ben@example.org", "soc@example.com")),
        "created_at": iso(created),
        "updated_at": iso(updated),
        "closed_at": iso(updated) if status == "closed" else None,
    }


def alert(random: Random, of: dict[str, Any]) -> dict[str, Any]:
    known = words(random, of)
    kind = random.choice(tuple(ALERT_TITLES))
    is_read = random.random() < 0.4
    metadata = {"site": known["site"], "confidence": round(random.uniform(0.5, 0.99), 2)}
    if kind == "risk_increase":
        metadata |= {"score_before": known["low"], "score_after": known["high"]}
    if kind == "data_breach":
        metadata |= {"exposed": known["leak"], "accounts": random.randrange(1, 40) * 1000}
    return {
        "id": new_id(random),
        "user_id": of["user_id"],
        "schedule_id": f"sch-{random.randrange(1, 30):03d}",
        "scan_id": of["id"],
        "alert_type": kind,
        "severity": random.choices(("low", "medium", "high", "critical"), (20, 40, 30, 10))[0],
        "title": ALERT_TITLES[kind].format(**known),
        "description": f'Seen by the scheduled scan of {known["name"]}, "{of["scan_type"]}", on {known["site"]}.',
        "metadata": json.dumps(metadata),
        "is_read": str(is_read).lower(),
        "is_resolved": str(is_read and random.random() < 0.5).lower(),
        "created_at": iso(moment(random, datetime.fromisoformat(of["completed_at"]), 3)),
    }


def main(folder: Path) -> None:
    random = Random(SEED)
    scans = sorted((scan(random) for _ in range(SCANS)), key=lambda record: record["created_at"])
    done = [record for record in scans if record["status"] == "completed"]
    risky = [record for record in done if record["high_risk_count"] >= 3]
    cases = [case(random, of) for of in random.sample(risky, CASES)]
    alerts = [alert(random, of) for of in random.choices(done, k=ALERTS)]
    lines = [json.dumps(record, ensure_ascii=False) for record in scans]
    write(folder / "scans.ndjson", "\n".join(lines) + "\n")
    write(folder / "cases.json", json.dumps(cases, ensure_ascii=False, indent=1) + "\n")
    with (folder / "alerts.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, alerts[0], lineterminator="\n")
        table.writeheader()
        table.writerows(alerts)


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
