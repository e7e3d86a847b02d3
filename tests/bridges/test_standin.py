"""The stand-in is only as good as what it refuses."""

import pytest

from tests.standins.line import LineStandin
from tests.standins.openapi import Disagreement, line_document

pytestmark = pytest.mark.skipif(
    not line_document("webhook").present, reason="LINE's documents do not lie beside the project"
)
KEY = {"X-Line-Retry-Key": "123e4567-e89b-12d3-a456-426614174000"}
PUSH = ("POST", "/v2/bot/message/push")


def test_a_good_push_passes() -> None:
    line_document("messaging-api").check_request(*PUSH, KEY, {"to": "U1", "messages": [{"type": "text", "text": "a"}]})


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (KEY, {"to": "U1", "messages": [{"type": "text"}]}),
        (KEY, {"to": "U1", "messages": [{"type": "telepathy", "text": "a"}]}),
        (KEY, {"to": "U1", "messages": []}),
        (KEY, {"to": "U1", "messages": [{"type": "text", "text": "a"}] * 6}),
        (KEY, {"messages": [{"type": "text", "text": "a"}]}),
        (KEY, {"to": "U1", "messages": [{"type": "text", "text": "a", "quickReply": {"items": 3}}]}),
        ({"X-Line-Retry-Key": "no uuid"}, {"to": "U1", "messages": [{"type": "text", "text": "a"}]}),
    ],
)
def test_a_bad_push_does_not(headers: dict[str, str], body: object) -> None:
    with pytest.raises(Disagreement):
        line_document("messaging-api").check_request(*PUSH, headers, body)


def test_an_operation_that_line_does_not_have_is_refused() -> None:
    with pytest.raises(Disagreement):
        line_document("messaging-api").check_request("POST", "/v2/bot/message/think", {}, {})


def test_events_of_each_type_are_checked_by_their_type() -> None:
    line = LineStandin()
    good = line.event("U" + "0" * 32, "message", message=line.text_message("a"))
    line.body([good])
    for bad in (
        good | {"message": {"id": "1", "type": "text"}},
        good | {"message": {"id": "1", "type": "sticker", "quoteToken": "q"}},
        good | {"type": "unsend"},
        good | {"timestamp": "now"},
        good | {"source": {"type": "group"}},
    ):
        with pytest.raises(Disagreement):
            line.body([bad])
