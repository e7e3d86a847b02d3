"""The report of a drill: one HTML page that needs nothing else, for printing and for an assembly."""

from datetime import datetime
from html import escape

from madoguchi.drill.people import Assumptions
from madoguchi.drill.play import Result

_WIDTH, _HEIGHT, _MARGIN = 640, 240, 36
_NAMES = {
    "asked": "知らせを送っている",
    "notified": "知らせが届いた",
    "opened": "ページを開いた",
    "declined": "アプリのまま希望",
    "unreachable": "届かない",
    "none": "まだ知らせていない",
    "kept": "アプリで続ける",
    "moved": "引っ越した",
}
_STYLE = """
body { max-width: 44rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.7 system-ui, sans-serif; color: #1c2b28; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; } th, td { padding: .25rem .75rem .25rem 0; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; } .big { font-size: 1.5rem; font-weight: 700; }
"""


def page(result: Result, assumptions: Assumptions, seed: int, at: datetime) -> str:
    """The whole page."""
    last = result.samples[-1]
    moved = last.counts.get("moved", 0)
    when = f"{result.moved_95:.0f}分後" if result.moved_95 is not None else "最後まで届かず"
    middle, highest = result.entered_s
    closing = (
        "行き先のない人がいたため、閉鎖は拒まれました。"
        + ("二人の管理者の署名で閉じました。" if result.closed_by_two else "二人の署名でも閉じませんでした。")
        if result.refused
        else "全員に行き先があったので、そのまま閉じました。"
    )
    rows = "".join(
        f"<tr><th scope=row>{_NAMES[name]}</th><td class=n>{count}</td></tr>"
        for name, count in last.counts.items()
        if count
    )
    left = "".join(
        f"<tr><td>{escape(one.case_id[-4:].upper())}</td><td>{'高い' if one.risk == 'high' else '—'}</td>"
        f"<td>{_NAMES.get(one.standing, one.standing)}</td></tr>"
        for one in result.left[:200]
    )
    facts = [
        ("人数", f"{assumptions.people}人(うち危険度が高い: {assumptions.high_risk:.0%})"),
        ("アプリで届く", f"{assumptions.reached:.0%}"),
        ("届いた人のうち、開く", f"{assumptions.opens:.0%}(半数が開くまで {assumptions.median_minutes:g}分)"),
        ("開いた人のうち、アプリのまま", f"{assumptions.declines:.0%}"),
        ("時間の速さ", f"{result.speed:g}倍(乱数の種 {seed})"),
    ]
    given = "".join(f"<tr><th scope=row>{name}</th><td>{value}</td></tr>" for name, value in facts)
    first = "はい" if result.high_risk_first else "いいえ"
    return f"""<!doctype html>
<html lang="ja"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>停止訓練の報告</title><style>{_STYLE}</style>
<h1>停止訓練の報告</h1>
<p>{at:%Y-%m-%d %H:%M}、訓練用の窓口で、実在しない{result.people}人と行いました。本物の相談には触れていません。</p>
<h2>結果</h2>
<p class="big">95%が引っ越すまで: {when}</p>
<p>{result.people}人中{moved}人が引っ越しました。残った人: {len(result.left)}人。{closing}</p>
{_curve(result)}
<table>{rows}</table>
<h2>窓口の速さ(実際の秒)</h2>
<table>
<tr><th scope=row>全員への知らせをアプリに渡すまで</th><td>{result.offered_s:.1f}秒</td></tr>
<tr><th scope=row>危険度の高い人から先に知らせたか</th><td>{first}</td></tr>
<tr><th scope=row>「ここで話す」から部屋に入るまで</th><td>中央 {middle:.1f}秒、最長 {highest:.1f}秒</td></tr>
</table>
<h2>残った人</h2>
{f"<table><tr><th>相談</th><th>危険度</th><th>状態</th></tr>{left}</table>" if left else "<p>いません。</p>"}
<h2>仮定したこと</h2>
<p>人がどうふるまうかは仮定です。変えて、もう一度ためしてください。アプリそのものと相談員は演じていません。</p>
<table>{given}</table>
</html>
"""


def _curve(result: Result) -> str:
    """How many had moved, minute by minute, as an SVG."""
    end = max(sample.minute for sample in result.samples) or 1.0

    def place(minute: float, count: float) -> str:
        x = _MARGIN + (_WIDTH - 2 * _MARGIN) * minute / end
        y = _HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * count / result.people
        return f"{x:.1f},{y:.1f}"

    line = " ".join(place(sample.minute, sample.counts.get("moved", 0)) for sample in result.samples)
    wanted = place(0, 0.95 * result.people).partition(",")[2]
    base = _HEIGHT - _MARGIN
    name = "引っ越した人の数の曲線。最後の数は表にあります。"
    return f"""<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">
<line x1="{_MARGIN}" y1="{base}" x2="{_WIDTH - _MARGIN}" y2="{base}" stroke="#6b7a76"/>
<line x1="{_MARGIN}" y1="{wanted}" x2="{_WIDTH - _MARGIN}" y2="{wanted}" stroke="#b88a2b" stroke-dasharray="4 4"/>
<text x="{_WIDTH - _MARGIN}" y="{float(wanted) - 4:.1f}" text-anchor="end" font-size="11">95%</text>
<polyline points="{line}" fill="none" stroke="#1f5f54" stroke-width="2.5"/>
<text x="{_MARGIN}" y="{_HEIGHT - 12}" font-size="11">0分</text>
<text x="{_WIDTH - _MARGIN}" y="{_HEIGHT - 12}" text-anchor="end" font-size="11">{end:.0f}分</text>
</svg>"""
