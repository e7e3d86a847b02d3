"""だれが読めるの? Who can read what is said at this desk: an answer made from how the desk is really set up."""

from datetime import datetime

import msgspec

from madoguchi.core.desk import channels
from madoguchi.storage import channels as stored
from madoguchi.storage import suspensions, vault
from madoguchi.storage.db import Tx

# Names that young people know; any other app is called by its kind.
_APPS = {"line": "LINE", "telegram": "Telegram"}


class Reader(msgspec.Struct, frozen=True):
    """Somebody who could be thought to read along. kind: counsellor, keeper, vault, server, push or app; reads: whether
    they can."""

    who: str
    kind: str
    reads: bool


async def list_readers(tx: Tx, at: datetime, *, notices: bool) -> list[Reader]:
    """Who reads and who does not. An app's company reads if a channel of it relays content, still drains, or a case is
    kept on it.

    notices: whether people may have notices in their browser, which its maker's service brings.
    """
    found = [
        Reader("あなたの相談を受ける相談員", "counsellor", True),
        Reader("記録係(引きつぎと保管のために、会話の鍵をあずかります)", "keeper", True),
        Reader("サーバーを管理する人や会社", "server", False),
    ]
    if await vault.get_vault(tx) is not None:
        found.insert(2, Reader("保管庫の鍵を分けて持つ人(決められた人数がそろったときだけ)", "vault", True))
    if notices:
        found.append(Reader("お知らせを運ぶブラウザーの会社(お知らせを入れたときだけ)", "push", False))
    apps: dict[str, bool] = {}
    kept = await suspensions.list_channels_with_kept(tx, at)
    for channel in await stored.list_channels(tx):
        if channels.company_learns(channel, channel.id in kept) != "nothing":
            reads = channels.company_learns(channel, channel.id in kept) == "content"
            apps[channel.kind] = apps.get(channel.kind, False) or reads
    for kind, reads in sorted(apps.items()):
        app = _APPS.get(kind, kind)
        found.append(Reader(f"{app}の会社({app}で相談するとき)", "app", reads))
    return found
