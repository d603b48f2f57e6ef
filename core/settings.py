"""Environment → one frozen Settings, read once."""

from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import Unusable
from core.secret import Secret


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="HUB_", frozen=True, extra="ignore", arbitrary_types_allowed=True
    )

    database_url: str = "sqlite:///data/hub.db"
    secret_keys: Secret | None = None
    secret_key_file: Path = Path("data/hub.key")
    host: str = "127.0.0.1"
    port: int = 8501
    public_url: str = ""
    egress_allow: str = ""
    ca_bundle: Path | None = None
    proxy: str | None = None
    source_url: Secret | None = None
    admin_password: Secret | None = None
    executor: Literal["local", "procrastinate"] = "local"
    retention_days: int = 90
    log_format: Literal["", "console", "json"] = ""

    @field_validator("secret_keys", "source_url", "admin_password", mode="before")
    @classmethod
    def _wrap(cls, value: object) -> object:
        return Secret(value) if isinstance(value, str) and value else value or None

    @field_validator("ca_bundle", "proxy", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("port")
    @classmethod
    def _is_port(cls, value: int) -> int:
        if not 0 < value < 65536:
            raise ValueError("is not a port; choose a number from 1 to 65535")
        return value

    @field_validator("retention_days")
    @classmethod
    def _is_positive(cls, value: int) -> int:
        if value < 1:
            raise ValueError("is less than one day; choose a number from 1 up")
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
        first = error.errors()[0]
        name = "HUB_" + "_".join(str(part) for part in first["loc"]).upper()
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise Unusable(f"{name} {reason}. Correct it in the environment and start again.") from None
