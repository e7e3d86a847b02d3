"""Writes down what a `serve` under test is asked and answers; see the README beside this file."""

import json
import os
import sys
from typing import Any

# What is longer is looked at in the tests that are about it.
LONGEST = 128 * 1024


def watch(directory: str) -> None:
    """Wraps the request handler of this process; one file a process, one line an exchange."""
    from madoguchi.web import dispatch

    into = os.open(f"{directory}/{os.getpid()}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    answers, reads = dispatch.Dispatch.__call__, dispatch.read_body

    async def read(request: Any, *limits: Any) -> bytes:
        raw: bytes = await reads(request, *limits)
        request["raw"] = raw
        return raw

    async def answer(self: Any, request: Any) -> Any:
        response = await answers(self, request)
        if request.rel_url.raw_path.startswith(("/_matrix/", "/_madoguchi/desk/", "/.well-known/matrix/")):
            body = getattr(response, "body", None)
            told = {
                "method": request.method,
                "path": request.rel_url.raw_path,
                "query": request.rel_url.raw_query_string,
                "agent": request.headers.get("User-Agent", ""),
                "asked": text(request.get("raw")),
                "status": response.status,
                "type": response.content_type,
                "answer": text(body),
            }
            os.write(into, json.dumps(told).encode() + b"\n")
        return response

    dispatch.read_body = read
    dispatch.Dispatch.__call__ = answer  # type: ignore[method-assign]


def text(raw: object) -> str | None:
    if not isinstance(raw, bytes) or len(raw) > LONGEST:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


if "serve" in sys.argv and (directory := os.environ.get("RECORDED_EXCHANGES")):
    watch(directory)
