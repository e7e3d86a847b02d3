"""What the vault's holders hand over, and how anybody sees that it is what they signed."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from nio.crypto.attachments import encrypt_attachment

from madoguchi.storage.vault import CaseRoom
from madoguchi.vault import bundle, folder, sealing, shares, sheets, signing
from madoguchi.vault.ceremony import Opening, Witness
from madoguchi.vault.cli_opening import verify
from madoguchi.vault.signing import NotGenuine
from madoguchi.vault.transcript import Opened, entries
from tests.core.test_vault import ROOM, Writer

WITNESS = Witness("clerk@desk", "court order 12", ["Abe", "Baba"])
AT = datetime(2026, 4, 1, 3, 0, tzinfo=UTC)
NAMES = {"@mio:x": "相談者"}
PICTURE = b"\x89PNG not really"


async def made(private_key: bytes) -> dict[str, bytes]:
    """A conversation with markup, a picture, a lost picture, a strange file and a lost key; and its side room."""
    mio, lost, ken = Writer(), Writer(), Writer()
    stored, keys = encrypt_attachment(PICTURE)
    store = {"mxc://x/here": stored, "mxc://x/page": stored}

    def file(url: str) -> dict[str, object]:
        return {"url": url, "key": keys["key"], "iv": keys["iv"], "hashes": keys["hashes"]}

    picture = {"msgtype": "m.image", "body": "../../空.png", "info": {"mimetype": "image/png"}}
    events = [
        mio.says({"msgtype": "m.text", "body": "<script>alert(1)</script> 眠れない 🙏"}),
        mio.says({"body": "まだ", "msgtype": "m.text", "m.relates_to": {"m.in_reply_to": {"event_id": "$1"}}}),
        mio.says(picture | {"file": file("mxc://x/here")}),
        mio.says(picture | {"file": file("mxc://x/gone")}),
        mio.says({"msgtype": "m.file", "body": "x.html", "info": {"mimetype": "text/html"}, "file": file("mxc://x/page")}),
        lost.says({"msgtype": "m.text", "body": "c"}) | {"event_id": "$lost"},
    ]  # fmt: skip
    among = [ken.says({"msgtype": "m.text", "body": "様子を見る"})]
    opened, aside = entries(events, Opened([mio.secret()])), entries(among, Opened([ken.secret()]))
    openings = [
        Opening(CaseRoom(ROOM, "case/../1", "@mio:x", "web"), opened, NAMES, 1, 0),
        Opening(CaseRoom("!side:x", "case/../1", "@mio:x", "web", side=True), aside, {}, 0, 0),
    ]

    async def fetch(url: str) -> bytes | None:
        return store.get(url)

    return await bundle.make(openings, "vault-1", private_key, WITNESS, AT, fetch)


@pytest.fixture
def private_key() -> bytes:
    return sealing.make_private_key()


async def test_a_transcript_says_everything_thrice_and_obeys_nothing(private_key: bytes) -> None:
    files = await made(private_key)
    base = "case____1"
    assert set(files) == {"manifest.json", "manifest.sig"} | {
        f"{base}/{name}" for name in (
            "conversation.html", "conversation.pdf", "conversation.jsonl", "conversation-files/0001.png",
            "conversation-files/0003.bin", "side-room.html", "side-room.pdf", "side-room.jsonl",
        )
    }  # fmt: skip
    assert files[f"{base}/conversation-files/0001.png"] == PICTURE
    page = files[f"{base}/conversation.html"].decode()
    assert "&lt;script&gt;" in page and "<script" not in page
    assert "日本時間 (UTC+09:00)" in page and "2023-11-15" in page and "07:13:21" in page
    assert '<a href="#e0">（07:13:21 への返事）</a>' in page
    assert "鍵が保管庫にありません" in page and "保存先にありません" in page
    # What the staff said among themselves stands in no file of the conversation, nor the other way round.
    assert "様子を見る" not in page and "様子を見る" in files[f"{base}/side-room.html"].decode()
    told = [json.loads(line) for line in files[f"{base}/conversation.jsonl"].splitlines()]
    assert [line["at"] for line in told[:1]] == ["2023-11-14T22:13:21.000Z"]
    assert told[1]["about"] == {"event_id": "$1", "relation": "への返事"}
    assert (
        files[f"{base}/conversation.pdf"].startswith(b"%PDF") and b"HeiseiKakuGo" in files[f"{base}/conversation.pdf"]
    )
    manifest = json.loads(files["manifest.json"])
    assert (manifest["reason"], manifest["holders"], manifest["vault"]) == (
        "court order 12",
        ["Abe", "Baba"],
        "vault-1",
    )
    assert [entry.get("event_id") for entry in manifest["rooms"][0]["unreadable"]] == ["$lost", "$4"]


def altered(files: dict[str, bytes]) -> None:
    files["case____1/conversation.jsonl"] += b"{}\n"


def shortened(files: dict[str, bytes]) -> None:
    del files["case____1/side-room.html"]


def lengthened(files: dict[str, bytes]) -> None:
    files["case____1/more.txt"] = b"x"


def reasoned(files: dict[str, bytes]) -> None:
    files["manifest.json"] = files["manifest.json"].replace(b"order 12", b"order 13")


def unsigned(files: dict[str, bytes]) -> None:
    del files["manifest.sig"]


@pytest.mark.parametrize("form", ["case", "case.zip"])
async def test_anybody_with_the_public_key_sees_what_was_changed(private_key: bytes, form: str, tmp_path: Path) -> None:
    files = await made(private_key)
    key = signing.public_half(private_key)
    folder.write(tmp_path / form, files)
    assert folder.read(tmp_path / form) == files
    assert (tmp_path / form).stat().st_mode & 0o077 == 0
    told = CliRunner().invoke(verify, [str(tmp_path / form), "--key", signing.base64.b64encode(key).decode()])
    assert told.exit_code == 0 and "Genuine" in told.output and "Abe, Baba" in told.output
    told = CliRunner().invoke(verify, [str(tmp_path / form), "--key", "x"])
    assert told.exit_code == 1 and "no public key" in told.output
    changes: list[tuple[Callable[[dict[str, bytes]], None], str]] = [
        (altered, "altered: case____1/conversation.jsonl"), (shortened, "missing: case____1/side-room.html"),
        (lengthened, "added: case____1/more.txt"),
        (reasoned, "something was changed"), (unsigned, "manifest.sig missing"),
    ]  # fmt: skip
    for change, word in changes:
        changed = dict(files)
        change(changed)
        with pytest.raises(NotGenuine, match=word):
            signing.verify(changed, key)
    with pytest.raises(NotGenuine, match="not this key's"):
        signing.verify(files, signing.public_half(sealing.make_private_key()))


def test_an_opening_away_from_the_desk_is_proved_by_its_record(private_key: bytes) -> None:
    opening = Opening(CaseRoom(ROOM, "c1", "@mio:x", "web"), [], {}, 0, 0)
    record = bundle.make_record([opening], WITNESS, AT, private_key, b"m" * 32)
    key = signing.public_half(private_key)
    rooms, who, at, manifest, _ = bundle.read_record(record, key)
    assert (rooms, who, at, manifest) == ([opening.opened()], WITNESS, AT, b"m" * 32)
    for wrong in (record.replace(b"Baba", b"Chiba"), b"{}", b"no"):
        with pytest.raises(NotGenuine):
            bundle.read_record(wrong, key)


def test_a_holders_page_has_their_words_and_nobody_elses() -> None:
    one, two = shares.split(sealing.make_private_key(), 2, 2)
    page = sheets.page(one, 1, 2, 2, "vault-1", "2026-04-01")
    assert [word.removeprefix("<li>").removesuffix("</li>") for word in page.splitlines() if word.startswith("<li>") and
            "。" not in word] == one.split()  # fmt: skip
    assert "vault-1" in page and "1 / 2" in page and two not in page and "<script" not in page
