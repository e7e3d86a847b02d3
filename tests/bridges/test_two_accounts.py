"""Two accounts of one app on one desk: each with its own secrets, door, quota, greeting, mode and ledger."""

from madoguchi_bridges import store
from madoguchi_bridges.outbox import Letter
from tests.bridges.parts import CHANNEL, Bench
from tests.standins.line import LineStandin

CITY = "line-2"


async def test_two_accounts_of_one_app_do_not_get_in_each_other_s_way(bench: Bench) -> None:
    city = LineStandin()
    await bench._insert_channel(
        CITY, "line", "relay", {"channel_secret": city.channel_secret, "access_token": bench.line.access_token + "2"}
    )
    # One stand-in carries for both, and tells by the token by which account something left.
    bench.line.stateless_tokens.append(bench.line.access_token + "2")
    city.connect(bench.listens_at, CITY)
    await bench.pool.execute("UPDATE channels SET settings = $1 WHERE id = $2", '{"greeting": "市です。"}', CITY)
    await bench.channels.read()
    await city.start()
    try:
        mio = bench.line.person()
        # Accounts of one provider see the same person under the same id.
        at_city = city.person(mio.user_id)
        await mio.says("県に書く")
        await at_city.says("市に書く")
        # Signed by the one, brought to the other's door: refused.
        raw = city.body([at_city.said("まちがい")])
        assert await bench.line.deliver_raw(raw, city.signature(raw)) == 403
        bench.tokens._tokens.clear()
        await bench.works()
        people = {person.channel_id: person for person in await store.list_present(bench.pool)}
        assert people.keys() == {CHANNEL, CITY}
        assert len({person.user_id for person in people.values()}) == len(bench.ghosts.rooms) == 2
        for channel_id, text in ((CHANNEL, "県から"), (CITY, "市から")):
            person = people[channel_id]
            assert person.room_id is not None
            room = bench.ghosts.rooms[person.room_id]
            assert room.bodies() == [text[0] + "に書く"]
            await bench.outbox.put(person, person.room_id, f"${channel_id}", Letter(text))
        bench.line.quota = 10
        for channel in bench.channels.all():
            assert await bench.meter.read(channel)
        await bench.works()
        left = {
            request.body["messages"][0]["text"]: request.headers["Authorization"].removeprefix("Bearer ")
            for request in bench.line.requests
            if request.path.endswith("/push")
        }
        assert left == {"県から": bench.line.access_token, "市から": bench.line.access_token + "2"}
        # The one is closed; the other goes on, and greets in its own words.
        await bench.pool.execute("UPDATE channels SET mode = 'closed' WHERE id = $1", CHANNEL)
        await bench.channels.read()
        await at_city.does("follow", follow={"isUnblocked": False})
        await mio.does("follow", follow={"isUnblocked": False})
        await bench.works()
        greetings = sorted(text.split("。")[0] for text in mio.phone[2:] if "https://" in text)
        assert greetings == ["市です", "連絡ありがとうございます"]
        ledgers = {ledger.channel_id: (ledger.received, ledger.missing) for ledger in await bench.ledgers()}
        assert ledgers == {CHANNEL: (2, 0), CITY: (2, 0)}
        rows = await bench.pool.fetch("SELECT channel_id, most FROM bridge_quota ORDER BY channel_id")
        assert [tuple(row) for row in rows] == [(CHANNEL, 10), (CITY, 10)]
    finally:
        await city.stop()
