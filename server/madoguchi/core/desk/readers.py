"""だれが読めるの? Who can read what is said at this desk: an answer made from how the desk is really set up."""

import msgspec

from madoguchi.context import Context
from madoguchi.core.chat import registrations
from madoguchi.core.desk import channels
from madoguchi.storage import channels as stored
from madoguchi.storage import vault
from madoguchi.storage.db import Tx

# Names that young people know; any other app is called by its kind.
_APPS = {"line": "LINE", "telegram": "Telegram"}
OTHERS = "ほかのアプリとつなぐプログラムと、その会社(そのアプリで相談するとき)"


class Reader(msgspec.Struct, frozen=True):
    """Somebody who could be thought to read along. kind: counsellor, keeper, vault, server, push or app; reads: whether
    they can."""

    who: str
    kind: str
    reads: bool


async def list_readers(ctx: Context, tx: Tx) -> list[Reader]:
    """Who reads and who does not. An app's company reads if a channel of it relays content, still drains, or a case is
    kept on it; so does whoever runs a bridge that is not the desk's own."""
    found = [
        Reader("あなたの相談を受ける相談員", "counsellor", True),
        Reader("記録係(引きつぎと保管のために、会話の鍵をあずかります)", "keeper", True),
        Reader("サーバーを管理する人や会社", "server", False),
    ]
    if await vault.get_vault(tx) is not None:
        found.insert(2, Reader("保管庫の鍵を分けて持つ人(決められた人数がそろったときだけ)", "vault", True))
    if ctx.web_push is not None:
        # By its maker's service.
        found.append(Reader("お知らせを運ぶブラウザーの会社(お知らせを入れたときだけ)", "push", False))
    apps: dict[str, bool] = {}
    crossed = await channels.list_crossed(ctx, tx)
    for channel in await stored.list_channels(tx):
        if channels.company_learns(channel, channel.id in crossed) != "nothing":
            reads = channels.company_learns(channel, channel.id in crossed) == "content"
            apps[channel.kind] = apps.get(channel.kind, False) or reads
    for kind, reads in sorted(apps.items()):
        app = _APPS.get(kind, kind)
        found.append(Reader(f"{app}の会社({app}で相談するとき)", "app", reads))
    if registrations.of_others(ctx.appservices):
        found.append(Reader(OTHERS, "app", True))
    return found
