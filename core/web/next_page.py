"""Where a person wanted to go before signing in: a path of this hub, never another site."""

from urllib.parse import quote, urlencode, urlsplit

HOME, SIGN_IN = "/", "/auth/login"


def sign_in_address(path: str, query: str) -> str:
    wanted = quote(path) + (f"?{query}" if query else "")
    if wanted == HOME:
        return SIGN_IN
    return f"{SIGN_IN}?{urlencode({'next': wanted})}"


def safe_next(wanted: str) -> str:
    """The same path, or the home page. Browsers read `//x`, `/\\x` and tabs inside as another site."""
    is_path = wanted.startswith("/") and not wanted.startswith(("//", "/auth"))
    is_plain = wanted.isascii() and wanted.isprintable() and "\\" not in wanted and len(wanted) <= 2000
    if not (is_path and is_plain):
        return HOME
    parts = urlsplit(wanted)
    return wanted if not parts.scheme and not parts.netloc else HOME
