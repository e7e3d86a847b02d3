"""Plain requests to a house, for tests that need no client."""

import json
import urllib.request
from typing import Any

from tests.house import House


def call(house: House, method: str, path: str, body: dict[str, Any] | None = None, token: str = "") -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(house.base_url + path, data, method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=20) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def sign_in(house: House) -> str:
    ken = house.staff[0]
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": ken.user_id},
        "password": ken.password,
    }
    return str(call(house, "POST", "/_matrix/client/v3/login", body)["access_token"])
