"""In which country an address is, by a file of the operator's (mmdb). No service is asked; without it: unknown."""

import asyncio
import ipaddress
import socket
from pathlib import Path
from typing import Protocol

UNKNOWN = "unknown"
INSIDE = "inside"
_PATIENCE_S = 3.0


class Countries(Protocol):
    """Answers with a country's two letters, `inside` for addresses of a network of one's own, or `unknown`."""

    def of_address(self, address: str) -> str: ...


class NoCountries:
    """Without a file: only that an address is of one's own network can be told."""

    def of_address(self, address: str) -> str:
        return INSIDE if is_inside(address) else UNKNOWN


class CountryFile(NoCountries):
    """By a file in MaxMind's format, of whatever maker. Raises OSError, ValueError."""

    def __init__(self, path: Path) -> None:
        import maxminddb

        try:
            self._reader = maxminddb.open_database(str(path), maxminddb.MODE_MEMORY)
        except maxminddb.InvalidDatabaseError:
            raise ValueError(f"{path} is not a country database (mmdb)") from None

    def of_address(self, address: str) -> str:
        told = super().of_address(address)
        if told != UNKNOWN:
            return told
        try:
            found = self._reader.get(address)
        except ValueError:
            return UNKNOWN
        if not isinstance(found, dict):
            return UNKNOWN
        country = found.get("country")
        code = country.get("iso_code") if isinstance(country, dict) else found.get("country_code") or country
        return code.upper() if isinstance(code, str) and len(code) == 2 and code.isalpha() else UNKNOWN


def open_countries(path: str) -> Countries:
    """What the setting `country_database` names; empty: nothing is known. Raises OSError, ValueError."""
    return CountryFile(Path(path)) if path else NoCountries()


def is_inside(address: str) -> bool:
    """Whether an address can be reached from inside a network of one's own only."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return found.is_private or found.is_loopback or found.is_link_local


async def of_host(countries: Countries, host: str) -> str:
    """The countries of a host's addresses, with commas. A name is looked up only where a file could say more."""
    if not host or "*" in host:
        return UNKNOWN
    try:
        ipaddress.ip_address(host)
        return countries.of_address(host)
    except ValueError:
        pass
    if host == "localhost" or host.endswith(".localhost"):
        return INSIDE
    if type(countries) is NoCountries:
        return UNKNOWN
    try:
        async with asyncio.timeout(_PATIENCE_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return UNKNOWN
    return ", ".join(sorted({countries.of_address(str(address[0])) for *_, address in found})) or UNKNOWN
