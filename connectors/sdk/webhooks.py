"""Standard Webhooks 1.0.0: signing what we send, verifying what we are sent. Pure.

Source: https://github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md: three headers, HMAC-SHA256 over
`id.timestamp.body`, secrets of 24 to 64 bytes as `whsec_` and base64, several signatures while a secret is changed.
Public keys (`v1a`) are not spoken here: both ends of a connector hold the secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, SecretStr

from connectors.sdk.http import Secret

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
TOLERANCE_S = 300.0  # the specification's own libraries
_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64  # bytes
_LONGEST_ID = 256  # characters


def secret_bytes(text: str) -> bytes:
    """The key in a written secret. Raises `ValueError`, which does not repeat it."""
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(
            f"a webhook secret is {_PREFIX} and base64; copy it whole, with its = at the end"
        ) from error
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(
            f"a webhook secret of {len(key)} bytes, wanted {_SHORTEST} to {_LONGEST}; make one with: "
            "openssl rand -base64 32"
        )
    return key


def _checked(value: SecretStr) -> SecretStr:
    secret_bytes(value.get_secret_value())
    return value


WebhookSecret: TypeAlias = Annotated[Secret, AfterValidator(_checked)]


def signature(key: bytes, id: str, timestamp: int, body: bytes) -> str:
    """One signature: `v1,` and base64."""
    signed = f"{id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode("ascii")


def signed_headers(keys: Iterable[bytes], id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The three headers of a message. `id` stays the same whenever it is sent again; `now` is the time of this try."""
    timestamp = int(now.timestamp())
    signatures = [signature(key, id, timestamp, body) for key in keys]
    return {ID: id, TIMESTAMP: str(timestamp), SIGNATURE: " ".join(signatures)}


@dataclass(frozen=True, slots=True)
class Genuine:
    """Signed by someone who has a secret of ours, now."""

    id: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class Doubtful:
    """Not to be taken, and why. `skew_s` is set where only the sender's clock is wrong: how far ahead of ours it is."""

    reason: str
    skew_s: float | None = None


def verify(
    headers: Mapping[str, str],
    body: bytes,
    keys: Sequence[bytes],
    now: datetime,
    tolerance_s: float = TOLERANCE_S,
) -> Genuine | Doubtful:
    """Whether a message is genuine and new. Names of `headers` are lower case.

    The signature is looked at before the time, so that only a sender who has a secret learns of the skew.
    """
    id, written, given = (headers.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not headers.get(name)]
    if missing:
        return Doubtful(f"no header {', '.join(missing)}; sign by Standard Webhooks")
    if len(id) > _LONGEST_ID or "." in id or not id.isprintable():
        return Doubtful(f"{ID}: wanted at most {_LONGEST_ID} characters without a full stop")
    if not re.fullmatch(r"[0-9]{1,12}", written):
        return Doubtful(f"{TIMESTAMP}: wanted whole seconds since 1970")
    timestamp = int(written)
    wanted = [signature(key, id, timestamp, body).encode() for key in keys]
    offered = [one.encode() for one in given.split() if one.startswith("v1,")]
    # Each is compared with each, and none is left out early: the time taken tells nothing.
    if not sum(hmac.compare_digest(one, other) for one in wanted for other in offered):
        return Doubtful(f"{SIGNATURE}: none is by a secret of ours over this id, time and body")
    skew_s = timestamp - now.timestamp()
    if abs(skew_s) > tolerance_s:
        side = "ahead of" if skew_s > 0 else "behind"
        return Doubtful(
            f"{TIMESTAMP}: {abs(skew_s):.0f} s {side} our clock, at most {tolerance_s:g} s; set that machine's clock",
            skew_s,
        )
    return Genuine(id, timestamp)
