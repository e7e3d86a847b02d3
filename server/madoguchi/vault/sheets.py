"""A share on paper: one page for each holder, with nobody else's words on it. Imports nothing of the server."""

from html import escape

_STYLE = """
body { font-family: sans-serif; max-width: 42rem; margin: 2rem auto; line-height: 1.6; color: #000; background: #fff }
ol { columns: 3; font: 1.1rem monospace; border: 1px solid #000; padding: 1rem 1rem 1rem 3.5rem }
li { break-inside: avoid }
@media print { body { margin: 0 } }
"""


def page(words: str, number: int, of: int, threshold: int, key_id: str, made_on: str) -> str:
    """The page of one share as HTML without script: which vault, the words in order, how to keep them."""
    grid = "\n".join(f"<li>{escape(word)}</li>" for word in words.split())
    return f"""<!doctype html>
<html lang="ja"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>保管庫 {escape(key_id)} {number}/{of}</title><style>{_STYLE}</style></head><body>
<h1>保管庫の鍵 {number} / {of}</h1>
<p>保管庫 / vault: <strong>{escape(key_id)}</strong>　作成 / made: {escape(made_on)}<br>
開くのに必要な人数 / holders needed: <strong>{threshold}</strong></p>
<ol>
{grid}
</ol>
<h2>保管のしかた</h2>
<ul>
<li>この紙はあなただけのものです。ほかの保管者の紙と同じ場所に置かないでください。</li>
<li>写真にとらない、コピーしない、コンピューターに入力しない。入力するのは、保管庫を開く場だけです。</li>
<li>封筒に入れて封をし、鍵のかかる場所に保管してください。</li>
<li>{threshold}人の紙がそろうと、この窓口のすべての会話が読めます。</li>
<li>なくしたとき、人に見られたとき、役目を離れるときは、すぐに管理者に知らせてください。鍵を取り替えます。</li>
</ul>
<h2>How to keep it</h2>
<p>This sheet is yours alone: no photograph, no copy, never together with another holder's. {threshold} of them open
every conversation of this desk. Tell the administrator at once when it is lost or seen, or when you leave: the key is
then exchanged.</p>
<p>受け取り / received by: ______________________　日付 / date: ______________</p>
</body></html>
"""
