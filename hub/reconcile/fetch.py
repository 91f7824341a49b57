"""Ask campuses for their holdings over HTTP."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from hub.errors import RetryLater, SettingsError


def read_campuses(path: Path) -> dict[str, str]:
    """Base URLs of campuses by member code, from a TOML file of `[[campus]]` with `code` and `url` (or `port`).

    Raises `SettingsError` naming the file and what it should hold.
    """
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["campus"]
        return {row["code"]: row.get("url") or f"http://127.0.0.1:{row['port']}" for row in rows}
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise SettingsError(
            f"cannot read campuses from {path}: {error!r}; it must be TOML with [[campus]] tables of code and url"
        ) from error


async def fetch_holdings(campuses: Mapping[str, str]) -> list[dict[str, Any]]:
    """The holdings of every campus. Raises `RetryLater` naming the campus that does not answer properly."""
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        return list(
            await asyncio.gather(*(_one(client, code, url) for code, url in campuses.items()))
        )


async def _one(client: httpx.AsyncClient, code: str, url: str) -> dict[str, Any]:
    try:
        response = await client.get(f"{url.rstrip('/')}/holdings")
        response.raise_for_status()
        held: dict[str, Any] = response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise RetryLater(
            f"campus {code} at {url} did not give its holdings: {error!r}; is it running?"
        ) from error
    return held
