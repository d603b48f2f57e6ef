"""Sealed credentials: who opens them, where, and what is said when they do not open."""

import base64
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.platform.errors import Unusable
from core.platform.secret import Secret
from core.platform.vault import Ring, Unreadable, add_key, create_key_file, keep_keys, new_key

PLAIN = '{"token":"CANARY-4d1c"}'
PLACE = {"table": "user_integrations", "row": "r1", "column": "credentials_encrypted", "owner": "ana"}


@dataclass(frozen=True)
class Chosen:
    secret_keys: Secret | None = None
    secret_key_file: Path = Path("absent")


def ring_of(*keys: str) -> Ring:
    return Ring.load(Chosen(secret_keys=Secret(",".join(keys))))


def kid_of(key: str) -> str:
    return hashlib.sha256(base64.urlsafe_b64decode(key)).hexdigest()[:8]


OLD, NEW = new_key(), new_key()


@given(st.text(), st.text(), st.text(), st.text(), st.text())
def test_what_was_sealed_opens_in_its_place(
    plain: str, table: str, row: str, column: str, owner: str
) -> None:
    ring = ring_of(NEW)
    plain = plain.encode("utf-8", "ignore").decode()
    place = {
        name: value.encode("utf-8", "ignore").decode()
        for name, value in (("table", table), ("row", row), ("column", column), ("owner", owner))
    }
    assert ring.open(ring.seal(plain, **place), **place) == plain


def test_a_token_names_its_version_and_key_and_shows_nothing_else() -> None:
    version, kid, wrapped, sealed = ring_of(NEW).seal(PLAIN, **PLACE).split(".")
    assert (version, kid) == ("v1", kid_of(NEW))
    for part in (wrapped, sealed):
        assert b"CANARY" not in base64.urlsafe_b64decode(part + "==")


def test_the_same_secret_is_never_sealed_alike() -> None:
    ring = ring_of(NEW)
    first, second = (ring.seal(PLAIN, **PLACE).split(".") for _ in range(2))
    assert first[2:] != second[2:]
    assert first[2] != second[2]


@pytest.mark.parametrize("moved", PLACE)
def test_a_secret_copied_to_another_place_does_not_open(moved: str) -> None:
    ring = ring_of(NEW)
    token = ring.seal(PLAIN, **PLACE)
    elsewhere = PLACE | {moved: PLACE[moved] + "2"}
    for use in (ring.open, ring_of(OLD, NEW).reseal):
        with pytest.raises(Unreadable, match="does not belong to this row"):
            use(token, **elsewhere)


def test_two_places_are_never_spelt_alike() -> None:
    ring = ring_of(NEW)
    token = ring.seal(PLAIN, table="a|b", row="c", column="d", owner="e")
    with pytest.raises(Unreadable):
        ring.open(token, table="a", row="b|c", column="d", owner="e")


def test_a_data_key_of_one_row_opens_nothing_of_another() -> None:
    ring = ring_of(NEW)
    mine, yours = ring.seal("mine", **PLACE), ring.seal("yours", **PLACE | {"row": "r2"})
    mixed = ".".join([*mine.split(".")[:3], yours.split(".")[3]])
    for row in ("r1", "r2"):
        with pytest.raises(Unreadable):
            ring.open(mixed, **PLACE | {"row": row})


def test_a_missing_key_is_named() -> None:
    token = ring_of(OLD).seal(PLAIN, **PLACE)
    for use in (ring_of(NEW).open, ring_of(NEW).reseal):
        with pytest.raises(Unreadable, match=f"The key {kid_of(OLD)} .* is not in the key ring"):
            use(token, **PLACE)


def test_a_key_under_another_key_s_name_does_not_open() -> None:
    token = ring_of(OLD).seal(PLAIN, **PLACE).replace(kid_of(OLD), kid_of(NEW))
    with pytest.raises(Unreadable):
        ring_of(NEW, OLD).open(token, **PLACE)


@given(st.data())
def test_one_changed_letter_is_enough(data: st.DataObject) -> None:
    ring = ring_of(NEW)
    token = ring.seal(PLAIN, **PLACE)
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.characters(codec="ascii").filter(lambda c: c != token[place]))
    with pytest.raises(Unreadable) as raised:
        ring.open(token[:place] + letter + token[place + 1 :], **PLACE)
    assert "CANARY" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_another_spelling_of_the_same_bytes_is_refused() -> None:
    ring = ring_of(NEW)
    token = ring.seal("x", **PLACE)  # 29 sealed bytes: the last letter has two bits to spare
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    respelt = token[:-1] + letters[letters.index(token[-1]) + 1]
    with pytest.raises(Unreadable, match="not in the form"):
        ring.open(respelt, **PLACE)


@given(
    st.text() | st.from_regex(r"v[01]\.[0-9a-f]{8}\.[A-Za-z0-9_-]{1,99}\.[A-Za-z0-9_-]{1,99}", fullmatch=True)
)
def test_garbage_is_refused(token: str) -> None:
    with pytest.raises(Unreadable):
        ring_of(NEW).open(token, **PLACE)


@pytest.mark.parametrize("prefix", ["v0", "v2", "V1", "", " v1"])
def test_another_version_is_refused(prefix: str) -> None:
    ring = ring_of(NEW)
    with pytest.raises(Unreadable, match="not in the form"):
        ring.open(prefix + ring.seal(PLAIN, **PLACE).removeprefix("v1"), **PLACE)


def test_resealing_moves_a_secret_to_the_newest_key() -> None:
    old = ring_of(OLD).seal(PLAIN, **PLACE)
    both = ring_of(NEW, OLD)
    token = both.reseal(old, **PLACE)
    assert token.split(".")[1] == kid_of(NEW)
    assert ring_of(NEW).open(token, **PLACE) == PLAIN
    assert both.reseal(token, **PLACE) == token


def test_the_first_key_seals_and_every_key_opens() -> None:
    both = ring_of(NEW, OLD)
    assert both.kids == (kid_of(NEW), kid_of(OLD))
    assert both.open(ring_of(OLD).seal(PLAIN, **PLACE), **PLACE) == PLAIN


def test_a_ring_shows_key_ids_only() -> None:
    assert repr(ring_of(NEW)) == f"Ring({kid_of(NEW)})"


# --- where keys come from -------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", "\n", ", ", "\r\n", "\n\n"])
def test_keys_stand_after_commas_or_line_breaks(separator: str) -> None:
    ring = Ring.load(Chosen(secret_keys=Secret(separator.join([NEW, OLD]))))
    assert ring.kids == (kid_of(NEW), kid_of(OLD))


def test_keys_need_no_padding() -> None:
    assert ring_of(NEW.rstrip("=")).kids == (kid_of(NEW),)


@pytest.mark.parametrize(
    "text",
    ["nokey", "CANARY" * 8, NEW[:-4], f"{NEW},short", "ü" * 43, ",", "  "],
    ids=["a word", "no base64", "too short", "a good one and a bad one", "not ascii", "a comma", "blanks"],
)
def test_a_malformed_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(Unusable, match=r"HUB_SECRET_KEYS holds .* 32 bytes in URL-safe base64") as raised:
        Ring.load(Chosen(secret_keys=Secret(text)))
    assert not text.strip(" ,") or text not in str(raised.value)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "hub.key"
    create_key_file(path)
    return path


def test_a_made_key_file_is_private_and_loads(key_file: Path) -> None:
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert len(Ring.load(Chosen(secret_key_file=key_file)).kids) == 1


def test_a_key_file_is_never_overwritten(key_file: Path) -> None:
    before = key_file.read_text()
    with pytest.raises(Unusable, match="exists and is never overwritten"):
        create_key_file(key_file)
    assert key_file.read_text() == before


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "hub.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unusable):
        create_key_file(tmp_path / "hub.key")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_hold_a_key_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unusable, match="HUB_SECRET_KEY_FILE"):
        create_key_file(tmp_path / "file" / "hub.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o644])
def test_a_key_file_that_others_can_read_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(Unusable, match=f"Run: chmod 600 {key_file}"):
        Ring.load(Chosen(secret_key_file=key_file))


def test_a_missing_key_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"does not exist.*`hub init`"):
        Ring.load(Chosen(secret_key_file=tmp_path / "hub.key"))


@pytest.mark.parametrize("content", [b"", b"nokey\n", b"\xff\xfe\x00", b"# comment\n"])
def test_a_damaged_key_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hub.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(Unusable, match=f"The key file {path} "):
        Ring.load(Chosen(secret_key_file=path))


def test_a_folder_in_place_of_the_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="cannot be read"):
        Ring.load(Chosen(secret_key_file=tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_key_file_is_refused(key_file: Path) -> None:
    key_file.chmod(0o200)
    with pytest.raises(Unusable, match="cannot be read"):
        Ring.load(Chosen(secret_key_file=key_file))


def test_rotation_adds_a_key_in_front_and_drops_old_ones_when_told(key_file: Path) -> None:
    chosen = Chosen(secret_key_file=key_file)
    old = Ring.load(chosen)
    token = old.seal(PLAIN, **PLACE)
    kid = add_key(key_file)
    ring = Ring.load(chosen)
    assert ring.kids == (kid, *old.kids)
    token = ring.reseal(token, **PLACE)
    keep_keys(key_file, ())
    assert Ring.load(chosen).kids == (kid,)
    assert Ring.load(chosen).open(token, **PLACE) == PLAIN
    assert [path.name for path in key_file.parent.iterdir()] == ["hub.key"]


def test_keys_still_in_use_are_kept(key_file: Path) -> None:
    first = Ring.load(Chosen(secret_key_file=key_file)).kids[0]
    second, third = add_key(key_file), add_key(key_file)
    keep_keys(key_file, [first])
    assert Ring.load(Chosen(secret_key_file=key_file)).kids == (third, first)
    assert second not in key_file.read_text()
