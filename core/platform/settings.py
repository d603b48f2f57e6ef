"""Environment → one frozen Settings, read once. An empty variable is as good as none."""

import ipaddress
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.platform import durations
from core.platform.errors import Unusable
from core.platform.secret import Secret

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: scheme, host and no user name; what follows is the caller's
_WEB = re.compile(r"https?://[^\s/?#@\\]+(/[^\s?#\\]*)?", re.ASCII)
OFF = "off"
LOCAL: Literal["local"] = "local"
PROCRASTINATE: Literal["procrastinate"] = "procrastinate"
AUDIT_KEPT_DAYS = 30  # the trigger of migration 0013 has the same number
SOURCE_EVERY_S = range(10, 7 * durations.DAY_S + 1)
_PROXY = re.compile(r"http://([^\s/?#@\\]+@)?[^\s/?#@\\]+/?", re.ASCII)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="HUB_",
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        arbitrary_types_allowed=True,
    )

    database_url: str = "sqlite:///data/hub.db"
    secret_keys: Secret | None = None
    secret_key_file: Path = Path("data/hub.key")
    host: str = "127.0.0.1"
    port: int = 8501
    public_url: str = ""
    trusted_proxies: str = ""
    egress_allow: str = ""
    ca_bundle: Path | None = None
    proxy: str | None = None
    source_url: Secret | None = None
    source_every: str = "1m"
    admin_password: Secret | None = None
    executor: Literal["local", "procrastinate"] = LOCAL
    retention_days: int = 90
    audit_days: int = 400
    record_days: int | None = None
    min_free_mb: int = 256
    ballast_mb: int = 64
    log_format: Literal["", "console", "json"] = ""

    @property
    def run_folder(self) -> Path:
        """Beside the key file: lock, error log, the sandbox's journal, and what was sent from this machine."""
        return self.secret_key_file.parent / "run"

    @property
    def source_every_s(self) -> int | None:
        """How often the source is pulled; None: by hand only."""
        return None if self.source_every == OFF else durations.parse_whole(self.source_every)

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        """Of `trusted_proxies`; a single address is a network of one."""
        return tuple(map(ipaddress.ip_network, self.trusted_proxies.replace(",", " ").split()))

    @field_validator("secret_keys", "source_url", "admin_password", mode="before")
    @classmethod
    def _wrap(cls, value: object) -> object:
        return Secret(value) if isinstance(value, str) and value else value or None

    @field_validator("executor")
    @classmethod
    def _has_its_database(cls, value: str, info: ValidationInfo) -> str:
        if value == PROCRASTINATE and not str(info.data.get("database_url", "")).startswith("postgres"):
            raise ValueError(
                f"is {PROCRASTINATE}, whose workers share a PostgreSQL database, and HUB_DATABASE_URL names none"
            )
        return value

    @field_validator("port")
    @classmethod
    def _is_port(cls, value: int) -> int:
        if not 0 < value < 65536:
            raise ValueError("is not a port from 1 to 65535")
        return value

    @field_validator("retention_days", "audit_days", "record_days")
    @classmethod
    def _is_positive(cls, value: int | None) -> int | None:
        if value is not None and value < 1:
            raise ValueError("is less than one day")
        return value

    @field_validator("audit_days")
    @classmethod
    def _is_kept(cls, value: int) -> int:
        if value < AUDIT_KEPT_DAYS:
            raise ValueError(
                f"is less than the {AUDIT_KEPT_DAYS} days for which the database keeps the audit log"
            )
        return value

    @field_validator("source_every")
    @classmethod
    def _is_interval(cls, value: str) -> str:
        seconds = durations.parse_whole(value)
        if value != OFF and seconds not in SOURCE_EVERY_S:
            raise ValueError("is not an interval from 10s to 7d like 30s, 5m or 2h, nor off")
        return value

    @field_validator("min_free_mb", "ballast_mb")
    @classmethod
    def _is_no_debt(cls, value: int) -> int:
        if value < 0:
            raise ValueError("is less than nothing")
        return value

    @field_validator("ca_bundle")
    @classmethod
    def _is_readable(cls, value: Path | None) -> Path | None:
        try:
            if value is not None:
                value.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise ValueError(f"names a file that cannot be read, {value} ({reason})") from None
        return value

    @field_validator("proxy")
    @classmethod
    def _is_proxy(cls, value: str | None) -> str | None:
        if value is not None and not _PROXY.fullmatch(value):
            raise ValueError("is not the address of a proxy like http://proxy.example.com:3128")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for part in value.replace(",", " ").split():
            try:
                ipaddress.ip_network(part)
            except ValueError:
                raise ValueError(
                    f'holds "{part}", which is neither an address nor a network like 10.0.0.0/24'
                ) from None
        return value

    @field_validator("public_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        if value and not _WEB.fullmatch(value):
            raise ValueError("is not a web address like https://hub.example.com")
        return value

    @model_validator(mode="after")
    def _default_public_url(self) -> Self:
        address = self.public_url or f"http://{self.host}:{self.port}"
        object.__setattr__(self, "public_url", address.rstrip("/"))
        return self


@cache
def settings() -> Settings:
    """The settings of this process. Raises Unusable with the variable's name when one cannot be read."""
    try:
        return Settings()
    except ValidationError as error:
        raise Unusable(_sentence(error.errors()[0])) from None


def _sentence(fault: Any) -> str:
    field = str(fault["loc"][0])
    default = Settings.model_fields[field].default
    or_empty = f" for {default}" if default else ""
    return (
        f"HUB_{field.upper()} {_reason(fault)}; correct it in the environment, or leave it empty{or_empty}."
    )


def _reason(fault: Any) -> str:
    """pydantic's fault in our words."""
    if fault["type"].startswith("int_"):
        return "is not a whole number"
    if fault["type"] == "literal_error":
        return f"is not {' or '.join(re.findall(r'[a-z]+', fault['ctx']['expected'].replace(' or ', ' ')))}"
    return str(fault["msg"]).removeprefix("Value error, ")
