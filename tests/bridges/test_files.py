"""Pictures, films, sounds and files, both ways: sealed on their way, patient where the app is slow, and by addresses
that nobody can guess and that come to an end."""

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nio.crypto.attachments import decrypt_attachment, encrypt_attachment

from madoguchi_bridges import attachments, store
from madoguchi_bridges.attachments import attachment_of
from madoguchi_bridges.counsellor import letter_of
from madoguchi_bridges.desk import Unreachable
from madoguchi_bridges.intake import milliseconds
from madoguchi_bridges.media_in import VOICE
from tests.bridges.parts import Bench, Json
from tests.postgres import dump
from tests.standins.line import LineFile

CAT = secrets.token_bytes(3000)


def said(bench: Bench) -> list[Json]:
    return [content for _, kind, content in bench.ghosts.room().said.values() if kind == "m.room.message"]


def opened(bench: Bench, content: Json) -> bytes:
    """As another library opens it."""
    file = content["file"]
    ciphertext = bench.desk.files[file["url"]][2]
    plain: bytes = decrypt_attachment(ciphertext, file["key"]["k"], file["hashes"]["sha256"], file["iv"])
    return plain


# -- from the app into the room


@pytest.mark.parametrize(
    ("type_", "mime", "more", "msgtype", "name"),
    [
        ("image", "image/jpeg", {}, "m.image", "画像.jpg"),
        ("video", "video/mp4", {"duration": 60_000}, "m.video", "動画.mp4"),
        ("audio", "audio/x-m4a", {"duration": 7_000}, "m.audio", "音声.m4a"),
        ("file", "text/plain", {"fileName": "日記.txt", "fileSize": 3000}, "m.file", "日記.txt"),
    ],
)
async def test_what_is_sent_is_an_encrypted_attachment_of_that_room(
    bench: Bench, type_: str, mime: str, more: Json, msgtype: str, name: str
) -> None:
    mio = bench.line.person()
    await mio.sends_file(type_, LineFile(CAT, mime), **more)
    await bench.works()
    (content,) = said(bench)
    assert (content["msgtype"], content["filename"]) == (msgtype, name)
    assert content["info"]["mimetype"] == mime and content["info"]["size"] == len(CAT)
    assert content["info"].get("duration") == more.get("duration")
    assert (VOICE in content) == (type_ == "audio")
    assert opened(bench, content) == CAT
    ((user_id, room_id, ciphertext),) = bench.desk.files.values()
    assert (user_id, room_id) == (bench.ghosts.room().user_id, bench.ghosts.room().room_id)
    assert CAT not in ciphertext
    assert await bench.outcomes() == {"shown": 1}


async def test_a_file_is_opened_by_us_as_by_others(tmp_path: Path) -> None:
    ciphertext, keys = encrypt_attachment(CAT)
    attachment = attachment_of({"msgtype": "m.file", "body": "x", "file": keys | {"url": "mxc://a/b"}})
    assert attachment is not None

    async def pieces(content: bytes) -> Any:
        yield content

    with await attachments.take_in(pieces(ciphertext), attachment, 10**6, tmp_path) as file:
        assert b"".join([piece async for piece in attachments.opened(file, attachment)]) == CAT
        for start, length in ((0, 1), (15, 2), (16, 16), (17, 900), (2999, 1), (2999, 5)):
            part = [piece async for piece in attachments.opened(file, attachment, start, length)]
            assert b"".join(part) == CAT[start : start + length]
    assert os.listdir(tmp_path) == []
    with pytest.raises(attachments.Damaged):
        await attachments.take_in(pieces(ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])), attachment, 10**6, tmp_path)
    with pytest.raises(attachments.TooLarge):
        await attachments.take_in(pieces(ciphertext), attachment, 100, tmp_path)


async def test_while_line_prepares_a_film_the_words_after_it_do_not_wait(bench: Bench) -> None:
    mio = bench.line.person()
    await mio.sends_file("video", LineFile(CAT, "video/mp4", preparing=3))
    await mio.says("これ見て")
    for person in await bench.bridge._list_ready():
        await bench.bridge.work_off(person)
    bodies = [content["body"] for content in said(bench)]
    assert bodies == ["動画（LINEが準備しています。できしだい、ここに届きます）", "これ見て"]
    assert (await bench.ledgers())[0].waiting == 1
    rests = []
    while seqs := await bench.pool.fetch("SELECT seq, next_at FROM bridge_intake WHERE outcome IS NULL"):
        rests.append(seqs[0]["next_at"] - milliseconds())
        await bench.pool.execute("UPDATE bridge_intake SET next_at = 0 WHERE outcome IS NULL")
        await bench.bridge.work_aside(str(seqs[0]["seq"]))
    assert [round(rest / 1000) for rest in rests] == [1, 2, 4]
    assert opened(bench, said(bench)[-1]) == CAT
    assert len(said(bench)) == 3
    assert await bench.outcomes() == {"shown": 2}


async def test_what_breaks_on_the_way_is_fetched_again(bench: Bench) -> None:
    await bench.line.person().sends_file("image", LineFile(CAT, "image/jpeg", breaks_after=1000))
    await bench.works()
    assert opened(bench, said(bench)[-1]) == CAT
    bench.line.fails(1, 503)
    await bench.line.person().sends_file("image", LineFile(CAT, "image/jpeg"))
    await bench.works()
    assert await bench.outcomes() == {"shown": 2}


@pytest.mark.parametrize(
    ("file", "more", "words"),
    [
        (LineFile(CAT, "image/jpeg", state="gone"), {}, "LINEにはもうありません"),
        (LineFile(CAT, "image/jpeg", state="unsent"), {}, "取り消されました"),
        (LineFile(bytes(100_001), "image/jpeg"), {}, "大きすぎて受け取れません"),
        (LineFile(CAT, "image/jpeg"), {"contentProvider": {"type": "external"}}, "ほかの会社のサーバー"),
    ],
)
async def test_what_can_t_be_had_has_its_line(bench: Bench, file: LineFile, more: Json, words: str) -> None:
    await bench.line.person().sends_file("image", file, **more)
    await bench.works()
    (content,) = said(bench)
    assert content["msgtype"] == "m.text" and content["body"].startswith("画像（") and words in content["body"]
    assert await bench.outcomes() == {"placeholder": 1}
    fetched = [request for request in bench.line.requests if request.path.endswith("/content")]
    assert bool(fetched) is (not more)


async def test_a_film_that_line_fails_to_prepare_or_a_huge_file_has_its_line(bench: Bench) -> None:
    mio = bench.line.person()
    await mio.sends_file("video", LineFile(CAT, "video/mp4", state="failed"))
    await mio.sends_file("file", LineFile(CAT, ""), fileName="a.zip", fileSize=10**10)
    await bench.works()
    bodies = [content["body"] for content in said(bench)]
    assert bodies == ["動画（LINEから受け取れませんでした）", "ファイル: a.zip（大きすぎて受け取れません）"]


async def test_what_never_becomes_ready_is_given_up_visibly(bench: Bench) -> None:
    await bench.line.person().sends_file("video", LineFile(CAT, "video/mp4", preparing=10**6))
    for person in await bench.bridge._list_ready():
        await bench.bridge.work_off(person)
    await bench.pool.execute("UPDATE bridge_intake SET received_at = 1, next_at = 0")
    await bench.works()
    assert [content["body"] for content in said(bench)][-1] == "動画（LINEから受け取れませんでした）"
    assert await bench.outcomes() == {"placeholder": 1}


async def test_a_file_taken_back_before_it_came_is_never_shown(bench: Bench) -> None:
    mio = bench.line.person()
    event = await mio.sends_file("video", LineFile(CAT, "video/mp4", preparing=1))
    for person in await bench.bridge._list_ready():
        await bench.bridge.work_off(person)
    await mio.does("unsend", unsend={"messageId": event["message"]["id"]})
    await bench.works()
    assert [content["msgtype"] for content in said(bench)] == ["m.notice", "m.text"]
    assert said(bench)[-1]["body"] == "（取り消された言葉）"
    assert bench.desk.files == {}


async def test_a_crash_after_the_upload_shows_it_once(bench: Bench) -> None:
    class Killed(BaseException):
        pass

    await bench.line.person().sends_file("image", LineFile(CAT, "image/jpeg"))
    bench.desk.troubles = [Unreachable()]
    bench.ghosts.crashes = [Killed()]
    with pytest.raises(Killed):
        await bench.works()
    await bench.works()
    (content,) = said(bench)
    assert opened(bench, content) == CAT
    # The one that was uploaded for nothing goes with the room, too.
    assert {room_id for _, room_id, _ in bench.desk.files.values()} == {bench.ghosts.room().room_id}


async def test_where_nothing_is_carried_nothing_is_fetched(bench: Bench) -> None:
    await bench.sets("notice_only", None)
    await bench.line.person().sends_file("image", LineFile(CAT, "image/jpeg"))
    await bench.works()
    assert not [request for request in bench.line.requests if "/content" in request.path]
    assert bench.desk.files == {}


async def test_a_page_that_calls_itself_a_picture_is_a_file(bench: Bench) -> None:
    await bench.line.person().sends_file("image", LineFile(CAT, "text/html; charset=utf-8"))
    await bench.works()
    (content,) = said(bench)
    assert (content["msgtype"], content["info"]["mimetype"]) == ("m.file", "text/html")


# -- from the room to the app


async def in_conversation(bench: Bench) -> None:
    await bench.line.person().says("眠れない")
    await bench.works()


JPEG = {"info": {"mimetype": "image/jpeg", "size": len(CAT)}}


@contextlib.asynccontextmanager
async def asked(bench: Bench, url: str, method: str = "GET", **headers: str) -> Any:
    url = bench.listens_at + url.removeprefix("https://desk.test")
    async with aiohttp.ClientSession() as http, http.request(method, url, headers=headers) as answer:
        await answer.read()
        yield answer


async def test_a_picture_goes_out_by_an_address_of_our_own(bench: Bench, bridges_database: str) -> None:
    await in_conversation(bench)
    attachment = await bench.counsellor_sends("$1", CAT, caption="うちの猫", **JPEG)
    await bench.works()
    picture, words = bench.line.phones
    assert (picture.type, words.text) == ("image", "うちの猫")
    assert bench.told == [("$1", "accepted")]
    assert picture.url.startswith("https://desk.test/_madoguchi/bridges/files/")
    async with asked(bench, picture.url) as answer:
        assert (answer.status, await answer.read()) == (200, CAT)
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
    async with asked(bench, picture.url, "HEAD") as answer:
        assert (answer.status, answer.headers["Content-Length"], await answer.read()) == (200, str(len(CAT)), b"")
    token = picture.url.rpartition("/")[2]
    written = dump(bridges_database).decode()
    for secret in (token, attachment.key, attachment.mxc, "cat.jpg"):
        assert secret not in written


@pytest.mark.parametrize(
    ("asked_for", "status", "part"),
    [
        ("bytes=0-99", 206, slice(0, 100)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=3000-", 416, None),
        ("lines=1-2", 200, slice(None)),
    ],
)
async def test_a_part_of_it_can_be_asked_for(bench: Bench, asked_for: str, status: int, part: slice | None) -> None:
    await in_conversation(bench)
    await bench.counsellor_sends("$1", CAT, **JPEG)
    await bench.works()
    async with asked(bench, bench.line.phones[0].url, Range=asked_for) as answer:
        assert answer.status == status
        if part is not None:
            assert await answer.read() == CAT[part]


async def test_what_line_does_not_show_goes_as_words_with_the_address(bench: Bench) -> None:
    await in_conversation(bench)
    more = {"msgtype": "m.file", "body": "../しおり.html", "info": {"mimetype": "text/html", "size": len(CAT)}}
    await bench.counsellor_sends("$1", CAT, **more)
    await bench.works()
    (bubble,) = bench.line.phones
    assert bubble.text.startswith("相談員からファイルが届いています（7日間、開けます）。\n")
    assert "しおり" not in bubble.text
    async with asked(bench, bubble.text.split("\n")[1]) as answer:
        assert await answer.read() == CAT
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment; filename*=utf-8''%E3")


async def test_a_voice_goes_out_as_sound(bench: Bench) -> None:
    await in_conversation(bench)
    info = {"mimetype": "audio/mp4", "size": len(CAT), "duration": 4000}
    await bench.counsellor_sends("$1", CAT, msgtype="m.audio", body="voice", info=info)
    await bench.works()
    assert [bubble.type for bubble in bench.line.phones] == ["audio"]


async def test_an_address_ends_with_its_time_its_message_and_the_channel_s_permission(bench: Bench) -> None:
    await in_conversation(bench)
    for event_id in ("$1", "$2", "$3"):
        await bench.counsellor_sends(event_id, CAT, **JPEG)
    await bench.works()
    first, second, third = (bubble.url for bubble in bench.line.phones)
    await store.revoke_links(bench.pool, "$1")
    async with asked(bench, first) as answer:
        assert answer.status == 404
        assert "もう開けません" in await answer.text() and "https://desk.test" in await answer.text()
    await bench.pool.execute("UPDATE bridge_links SET expires_at = $1 WHERE event_key = '$2'", milliseconds() - 1)
    async with asked(bench, second) as answer:
        assert answer.status == 404
    async with asked(bench, third) as answer:
        assert answer.status == 200
    await bench.sets("contact_point", None)
    async with asked(bench, third) as answer:
        assert answer.status == 404
    await bench.sets("relay")
    (mxc,) = [mxc for mxc in bench.desk.files if mxc.endswith("/2")]
    bench.desk.files[mxc] = ("", "", CAT)
    async with asked(bench, third) as answer:
        assert answer.status == 404
    await store.delete_old(bench.pool, milliseconds())
    assert await bench.pool.fetchval("SELECT count(*) FROM bridge_links") == 2


@pytest.mark.parametrize("token", ["x", "A" * 43, "A" * 42 + ".", "..%2F" * 9])
async def test_an_address_that_was_guessed_opens_nothing(bench: Bench, token: str) -> None:
    async with asked(bench, f"https://desk.test/_madoguchi/bridges/files/{token}") as answer:
        assert answer.status == 404


async def test_a_repetition_carries_the_same_address(bench: Bench) -> None:
    await in_conversation(bench)
    bench.line.reply_token_seconds = 0
    await bench.counsellor_sends("$1", CAT, **JPEG)
    bench.line.loses_answers(1)
    await bench.works()
    assert len({bubble.url for bubble in bench.line.phones}) == 1
    assert await bench.pool.fetchval("SELECT count(*) FROM bridge_links") == 1


async def test_what_is_too_large_is_told(bench: Bench) -> None:
    await in_conversation(bench)
    await bench.counsellor_sends("$1", CAT, info={"mimetype": "image/jpeg", "size": 100_001})
    await bench.works()
    assert bench.told == [("$1", "too_large")]
    assert bench.line.phones == []


def test_letters_with_files() -> None:
    _, keys = encrypt_attachment(CAT)
    file = keys | {"url": "mxc://a/b"}

    def letter(**content: Any) -> Any:
        return letter_of({"type": "m.room.message", "content": {"msgtype": "m.image", "file": file} | content})

    assert letter(body="cat.jpg").text == ""
    assert letter(body="うちの猫", filename="cat.jpg").text == "うちの猫"
    assert letter(body="cat.jpg").attachment.name == "cat.jpg"
    # Not sealed, or nothing that could be opened: words must do.
    assert letter(body="cat.jpg", file=None, url="mxc://a/b").refuse == "kind"
    assert letter(body="cat.jpg", file={"url": "https://a/b"}).refuse == "kind"
    relation = {"m.relates_to": {"rel_type": "m.replace", "event_id": "$1"}}
    new = {"msgtype": "m.image", "file": file, "body": "うちの黒猫", "filename": "cat.jpg"}
    corrected = letter(body="* x", **relation, **{"m.new_content": new})
    assert (corrected.text, corrected.attachment) == ("（訂正）うちの黒猫", None)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from(["msgtype", "file", "info", "body", "filename"]),
                       st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text()),
                                 st.dictionaries(st.sampled_from(["url", "key", "iv", "hashes", "mimetype", "size"]),
                                                 st.one_of(st.text(), st.integers(), st.none())))))  # fmt: skip
def test_no_content_makes_the_reading_raise(content: Json) -> None:
    attachment_of(content | {"msgtype": "m.file"})
    letter_of({"type": "m.room.message", "content": content})


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("a\\b\\c.exe", "c.exe"),
        ("x\u202egpj.exe", "xgpj.exe"),
        ("..", ""),
        ("a" * 900, "a" * 200),
    ],
)
def test_names_of_files_lead_nowhere(given_name: str, kept: str) -> None:
    assert attachments.file_name(given_name) == kept
