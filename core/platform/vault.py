"""Seals and opens credentials with a key ring.

    v1.<kid>.<wrapped data key>.<nonce + ciphertext>        parts in URL-safe base64 without padding

Each secret has its own data key (AES-256-GCM); the data key is wrapped by a ring key, named by `kid`, the
first 8 hex digits of its SHA-256. Both seals are bound to table, row, column and owner: a secret copied into
another row does not open. The first key of the ring seals, every key opens; `reseal` moves a token to the
first key by wrapping its data key again. The ring signs, too, with keys of their own for each purpose. Plain text
and keys never appear in an error.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, Self

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.platform.errors import HubError, Unusable
from core.platform.secret import Secret

VERSION = "v1"
_KEY_BYTES, _NONCE_BYTES, _TAG_BYTES = 32, 12, 16
_HINT = "A key is 32 bytes in URL-safe base64 (44 characters); several are separated by commas or newlines."


class Unreadable(HubError):
    """A stored secret does not open: its key is missing, or it was damaged or moved. Enter it again."""

    code = "unreadable"


class KeyMissing(Unreadable):
    """The token is whole, but its key `kid` is not in the ring: put it back, and it opens."""

    def __init__(self, kid: str) -> None:
        super().__init__(
            f"The key {kid} that sealed this secret is not in the key ring. "
            "Add it to HUB_SECRET_KEYS or the key file, or enter the secret again."
        )
        self.kid = kid


class _Settings(Protocol):
    @property
    def secret_keys(self) -> Secret | None: ...
    @property
    def secret_key_file(self) -> Path: ...


class Ring:
    """Keys, newest first."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        self._keys = {_kid(key): key for key in keys}
        if not self._keys:
            raise Unusable(f"The key ring is empty. {_HINT}")

    def __repr__(self) -> str:
        return f"Ring({', '.join(self.kids)})"

    @property
    def kids(self) -> tuple[str, ...]:
        """Key ids, the one that seals first."""
        return tuple(self._keys)

    @classmethod
    def load(cls, settings: _Settings) -> Self:
        """From HUB_SECRET_KEYS, else from the key file. Raises Unusable."""
        if settings.secret_keys:
            return cls(_parse(settings.secret_keys.reveal(), "HUB_SECRET_KEYS"))
        path = settings.secret_key_file
        return cls(_parse(_read_private(path), f"The key file {path}"))

    def seal(self, plain: str, *, table: str, row: str, column: str, owner: str) -> str:
        place = _place(table, row, column, owner)
        data_key = AESGCM.generate_key(bit_length=_KEY_BYTES * 8)
        return _token(self._wrap(data_key, place), _encrypt(data_key, plain.encode(), place))

    def open(self, token: str, *, table: str, row: str, column: str, owner: str) -> str:
        """Raises Unreadable."""
        place = _place(table, row, column, owner)
        kid, wrapped, sealed = _parts(token)
        return _decrypt(self._unwrap(kid, wrapped, place), sealed, place).decode()

    def reseal(self, token: str, *, table: str, row: str, column: str, owner: str) -> str:
        """The same secret under the newest key; the token itself where it is already. Raises Unreadable."""
        place = _place(table, row, column, owner)
        kid, wrapped, sealed = _parts(token)
        data_key = self._unwrap(kid, wrapped, place)
        return token if kid == self.kids[0] else _token(self._wrap(data_key, place), sealed)

    def sign(self, text: str, purpose: str) -> str:
        """Sign with the newest key; a signature for one purpose is none for another."""
        return _signature(self._keys[self.kids[0]], text, purpose)

    def is_signed(self, text: str, signature: str, purpose: str) -> bool:
        """Whether one of the keys signed it."""
        made = (_signature(key, text, purpose).encode() for key in self._keys.values())
        return any(hmac.compare_digest(signature.encode(), each) for each in made)

    def _wrap(self, data_key: bytes, place: bytes) -> tuple[str, bytes]:
        kid = self.kids[0]
        return kid, _encrypt(self._keys[kid], data_key, kid.encode() + place)

    def _unwrap(self, kid: str, wrapped: bytes, place: bytes) -> bytes:
        if kid not in self._keys:
            raise KeyMissing(kid)
        return _decrypt(self._keys[kid], wrapped, kid.encode() + place)


def kid_of(token: str) -> str | None:
    """Which key wraps `token`; None for one that is damaged."""
    try:
        return _parts(token)[0]
    except Unreadable:
        return None


def new_key() -> str:
    """A fresh key as the ring reads it."""
    return base64.urlsafe_b64encode(os.urandom(_KEY_BYTES)).decode()


def create_key_file(path: Path) -> None:
    """One new key, readable by this user alone. Raises Unusable when there is a file already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(path, new_key() + "\n")
    except OSError as error:
        if isinstance(error, FileExistsError) and os.path.lexists(path):
            raise Unusable(
                f"The key file {path} exists and is never overwritten, because it opens the stored secrets. "
                "Move it away yourself if you mean to start again."
            ) from None
        raise Unusable(
            f"The key file {path} cannot be written ({error.strerror}). "
            "Make its folder writable, or set HUB_SECRET_KEY_FILE."
        ) from None


def add_key(path: Path) -> str:
    """Put a new key first in the file; returns its id. The keys already there stay readable."""
    old = _read_private(path)
    _parse(old, f"The key file {path}")
    key = new_key()
    _replace(path, f"{key}\n{old.strip()}\n")
    return _kid(_decode_key(key))


def keep_keys(path: Path, kids: Iterable[str]) -> None:
    """Drop every key from the file but the newest and those with these ids."""
    wanted = set(kids)
    keys = _parse(_read_private(path), f"The key file {path}")
    kept = [key for index, key in enumerate(keys) if index == 0 or _kid(key) in wanted]
    _replace(path, "".join(base64.urlsafe_b64encode(key).decode() + "\n" for key in kept))


def _replace(path: Path, text: str) -> None:
    """All or nothing: a crash leaves the old file or the new one, never half a key ring."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    _write_new(draft, text)
    draft.replace(path)


def _write_new(path: Path, text: str) -> None:
    # O_EXCL: of two processes that start at once one makes the key, and a planted link is not followed
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _read_private(path: Path) -> str:
    """The text of a file that only its owner may read. Raises Unusable."""
    try:
        with path.open() as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(100_000)
    except FileNotFoundError:
        raise Unusable(
            f"The key file {path} does not exist. Run `hub init` to make one, or set HUB_SECRET_KEYS; "
            "stored secrets open only with the key they were sealed with."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Unusable(
            f"The key file {path} cannot be read ({reason}). "
            "Let this user read it, or set HUB_SECRET_KEY_FILE."
        ) from None
    if os.name == "posix" and mode & 0o077:
        raise Unusable(
            f"The key file {path} can be read by other users (mode {mode:o}). Run: chmod 600 {path}"
        )
    return text


def _parse(text: str, source: str) -> list[bytes]:
    words = [word for word in re.split(r"[,\s]+", text) if word]
    if not words:
        raise Unusable(f"{source} holds no key. {_HINT}")
    try:
        return [_decode_key(word) for word in words]
    except ValueError:
        raise Unusable(f"{source} holds something that is not a key. {_HINT}") from None


def _decode_key(word: str) -> bytes:
    key = _decode(word)
    if len(key) != _KEY_BYTES:
        raise ValueError
    return key


def _kid(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:8]


def _place(table: str, row: str, column: str, owner: str) -> bytes:
    # a JSON list, because "a|b" + "c" and "a" + "b|c" must not be the same place
    return orjson.dumps([VERSION, table, row, column, owner])


def _encrypt(key: bytes, plain: bytes, place: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, place)


def _decrypt(key: bytes, sealed: bytes, place: bytes) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
    except InvalidTag:
        raise Unreadable(
            "The stored secret does not belong to this row or was damaged. Enter the secret again."
        ) from None


def _signature(key: bytes, text: str, purpose: str) -> str:
    """By a key of the purpose's own: the ring's keys wrap, and do nothing else."""
    own = hmac.digest(key, f"{VERSION}.sign.{purpose}".encode(), "sha256")
    return _encode(hmac.digest(own, text.encode(), "sha256"))


def _token(wrapped: tuple[str, bytes], sealed: bytes) -> str:
    kid, data_key = wrapped
    return ".".join((VERSION, kid, _encode(data_key), _encode(sealed)))


def _parts(token: str) -> tuple[str, bytes, bytes]:
    found = re.fullmatch(rf"{VERSION}\.([0-9a-f]{{8}})\.([\w-]+)\.([\w-]+)", token, re.ASCII)
    try:
        if found:
            kid, wrapped, sealed = found[1], _decode(found[2]), _decode(found[3])
            long_enough = min(len(wrapped), len(sealed)) >= _NONCE_BYTES + _TAG_BYTES
            # base64 has several spellings of the same bytes; only the one we write is ours
            if long_enough and _token((kid, wrapped), sealed) == token:
                return kid, wrapped, sealed
    except ValueError:
        pass  # not base64: told below like every other damage
    raise Unreadable("The stored secret is not in the form this version writes. Enter the secret again.")


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    """URL-safe base64, padded or not. Raises ValueError."""
    try:
        bare = text.rstrip("=")
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError from None
