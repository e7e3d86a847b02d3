"""Whether this worker can do its work: for supervisors and load balancers."""

from typing import Any

from madoguchi.storage import stream
from madoguchi.web.endpoint import ANYONE, GET, Call, Row


async def get_health(call: Call) -> dict[str, Any]:
    """200 when the database answers and the stream is heard; 503 otherwise (by the error of the failed look-up)."""
    now = await stream.position(call.tx)
    return {"status": "ok", "position": call.ctx.hub.pos, "behind": max(0, now - call.ctx.hub.pos)}


ROWS: list[Row] = [GET("/health", get_health, who=ANYONE)]
