"""A tiny country database, written by MaxMind's file format 2.0 (24-bit records, IPv4)."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MARK = b"\xab\xcd\xefMaxMind.com"


def write(path: Path, countries: Mapping[str, str]) -> Path:
    """Networks and their country's two letters."""
    data, offsets = b"", {}
    for code in sorted(set(countries.values())):
        offsets[code] = len(data)
        data += _field({"country": {"iso_code": code}})
    # A node has a left and a right: another node's number, a country's code, or nothing.
    nodes: list[list[int | str | None]] = [[None, None]]
    for network, code in countries.items():
        net = ipaddress.ip_network(network)
        bits = f"{int(net.network_address):032b}"[: net.prefixlen]
        node = 0
        for bit in bits[:-1]:
            after = nodes[node][int(bit)]
            if not isinstance(after, int):
                nodes.append([None, None])
                after = nodes[node][int(bit)] = len(nodes) - 1
            node = after
        nodes[node][int(bits[-1])] = code
    count = len(nodes)

    def record(entry: int | str | None) -> bytes:
        if isinstance(entry, str):
            return (count + 16 + offsets[entry]).to_bytes(3, "big")
        return (count if entry is None else entry).to_bytes(3, "big")

    tree = b"".join(record(side) for node in nodes for side in node)
    about = {
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1, "database_type": "Test",
        "description": {"en": "test"}, "ip_version": 4, "languages": ["en"], "node_count": count, "record_size": 24,
    }  # fmt: skip
    path.write_bytes(tree + bytes(16) + data + _MARK + _field(about))
    return path


def _field(value: Any) -> bytes:
    if isinstance(value, str):
        raw = value.encode()
        return bytes([2 << 5 | len(raw)]) + raw if len(raw) < 29 else bytes([2 << 5 | 29, len(raw) - 29]) + raw
    if isinstance(value, int):
        return bytes([6 << 5 | 4]) + value.to_bytes(4, "big")
    if isinstance(value, list):
        return bytes([len(value), 11 - 7]) + b"".join(map(_field, value))
    return bytes([7 << 5 | len(value)]) + b"".join(_field(name) + _field(each) for name, each in value.items())
