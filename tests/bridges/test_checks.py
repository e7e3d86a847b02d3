"""The set-up of an account, looked at with the app itself: each step good, or wrong with a word for how to mend it."""

import time

from madoguchi_bridges.checks import Checks
from madoguchi_bridges.web import PATH
from tests.bridges.parts import CHANNEL, Bench, Json

ADDRESS = "https://desk.test" + PATH.format(kind="line", channel_id=CHANNEL)


async def found(bench: Bench, channel_id: str = CHANNEL) -> list[tuple[str, ...]]:
    """Asks for a check, as an administrator does, and gives (step, state, why, value) of each step."""
    await bench.pool.execute(
        """
        INSERT INTO channel_checks (channel_id, asked_at) VALUES ($1, now())
        ON CONFLICT (channel_id) DO UPDATE SET checked_at = NULL
        """,
        channel_id,
    )
    await Checks(bench.pool, bench.config, bench.channels).work_off()
    rows = await bench.pool.fetch(
        """
        SELECT f ->> 'step', f ->> 'state', f ->> 'why', f ->> 'value'
          FROM channel_checks, jsonb_array_elements(findings) WITH ORDINALITY AS each (f, place)
         WHERE channel_id = $1 AND checked_at IS NOT NULL ORDER BY place
        """,
        channel_id,
    )
    return [tuple(row) for row in rows]


def wrong(steps: list[tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(step, why) for step, state, why, _ in steps if state == "wrong"]


async def test_a_line_account_is_set_up_step_by_step(bench: Bench) -> None:
    line = bench.line
    assert wrong(await found(bench)) == [("address", "not_set")]
    line.endpoint = {"endpoint": "https://elsewhere.test/hook?key=k", "active": True}
    elsewhere = await found(bench)
    assert wrong(elsewhere) == [("address", "elsewhere")]
    # Where it leads now may hold somebody's key: only ours is shown.
    assert "key=k" not in str(elsewhere)
    line.endpoint = {"endpoint": ADDRESS, "active": False}
    assert wrong(await found(bench)) == [("active", "inactive")]
    line.endpoint = {"endpoint": ADDRESS, "active": True}
    secret, line.channel_secret = line.channel_secret, "another"
    assert wrong(await found(bench)) == [("test", "signature")]
    line.channel_secret = secret
    assert await found(bench) == [
        ("secrets", "good", "", ""),
        ("token", "good", "", "県の窓口 @123abcde"),
        ("address", "good", "", ADDRESS),
        ("active", "good", "", ""),
        ("test", "good", "", ""),
        ("console", "look", "", ""),
        ("quota", "good", "", "0 / 1000"),
    ]
    line.quota = 0
    assert wrong(await found(bench)) == [("quota", "spent")]
    line.fails(1, status=500)
    assert wrong(await found(bench)) == [("token", "no_answer")]
    line.access_token = "withdrawn"
    assert await found(bench) == [("secrets", "good", "", ""), ("token", "wrong", "unauthorized", "")]
    await bench._insert_channel("line-9", "line", "relay", {"access_token": "t"})
    assert wrong(await found(bench, "line-9")) == [("secrets", "not_opened")]


async def test_an_account_is_looked_at_as_it_has_just_been_mended(bench: Bench) -> None:
    """Not as the bridges have last read it: whoever mends a secret and asks again hears of the new one."""
    line = bench.line
    line.endpoint = {"endpoint": ADDRESS, "active": True}
    assert wrong(await found(bench)) == []
    line.access_token = "made anew"
    assert wrong(await found(bench)) == [("token", "unauthorized")]
    secrets = {"channel_secret": line.channel_secret, "access_token": line.access_token}
    await bench.pool.execute("UPDATE channels SET sealed_secrets = $2 WHERE id = $1", CHANNEL, bench.sealed(secrets))
    assert wrong(await found(bench)) == []
    await bench._insert_channel("line-2", "line", "relay", secrets | {"access_token": "of nobody"})
    assert wrong(await found(bench, "line-2")) == [("token", "unauthorized")]


async def test_a_telegram_bot_is_looked_at_likewise(bench: Bench) -> None:
    channel = await bench.opens_telegram()
    address = "https://desk.test" + PATH.format(kind="telegram", channel_id=channel.id)
    assert wrong(await found(bench, channel.id)) == [("address", "elsewhere")]
    await channel.network.prepare(address)  # type: ignore[attr-defined]
    assert await found(bench, channel.id) == [
        ("secrets", "good", "", ""),
        ("token", "good", "", "@mado_bot"),
        ("address", "good", "", address),
        ("test", "good", "", ""),
        ("groups", "look", "joins", ""),
    ]
    bench.telegram.joins_groups = False
    trouble: Json = {"pending_update_count": 3, "last_error_date": int(time.time()), "last_error_message": "403"}
    bench.telegram.webhook_trouble = trouble
    failing = await found(bench, channel.id)
    assert (wrong(failing), failing[-1]) == ([("test", "failed")], ("groups", "good", "", ""))
    bench.telegram.token = "1:" + "x" * 30
    assert wrong(await found(bench, channel.id)) == [("token", "unauthorized")]
