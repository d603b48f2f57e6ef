"""`--set name=value` sorted into the vendor's fields and the hub's own options."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from core.platform.errors import Invalid, did_you_mean

if TYPE_CHECKING:
    from core.integrations import Manifest

#: options that are written as a JSON object
TABLES = ("mapping", "retry")


class WithOptions(TyperCommand):
    """A command whose help ends with the options; they are loaded when somebody asks for that help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        lines = [f"{name}: {words}" for name, words in option_words().items()]
        title = "--set takes the tool's fields (`hub catalog SLUG`) and the options of every connection:"
        words = "\n".join([title, "", "\b", *lines])  # \b: these lines stay as they are
        self.epilog = "\n\n".join(filter(None, [self.epilog, words]))
        super().format_help(ctx, formatter)


def split(manifest: "Manifest", given: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the tool's fields, options) of `--set`. Raises Invalid for an unknown name and for a secret."""
    from core.integrations import planned_fields, secret_fields
    from core.integrations.options import PLANNED

    values: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, text in given.items():
        if name in secret_fields(manifest) and name not in planned_fields(manifest):
            raise Invalid(
                f'"{name}" is a secret: give it with --secret {name}, which asks for it. Nothing was changed.'
            )
        if name in manifest.config["properties"]:
            values[name] = text
        elif name in option_words() or name in PLANNED:  # the hub says what is planned
            options[name] = _table(name, text) if name in TABLES else text
        else:
            raise _unknown(manifest, name)
    return values, options


def secret_values(manifest: "Manifest", given: Mapping[str, str]) -> dict[str, str]:
    """`--secret` and `--secret-file`. Any field may come this way; an option may not."""
    for name in given:
        if name not in manifest.config["properties"]:
            raise _unknown(manifest, name)
    return dict(given)


def option_words() -> dict[str, str]:
    """Each option of every connection in a sentence."""
    from core.integrations.options import WORDS

    return WORDS


def _unknown(manifest: "Manifest", name: str) -> Invalid:
    fields, options = manifest.config["properties"], option_words()
    guess = did_you_mean(name, [*fields, *options])
    known = f" {manifest.name} has {', '.join(fields)}; every connection has {', '.join(options)}."
    return Invalid(f'There is no field or option "{name}".{guess or known} Nothing was changed.')


def _table(name: str, text: str) -> Any:
    import orjson

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Invalid(
            f'{name} is not a JSON object. Write it like {name}={{"name": "value"}}, quoted.'
        ) from None
