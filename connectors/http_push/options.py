"""The options of `http_push`, and what both of its forms put into a request."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field, field_validator, model_validator

from connectors.http_push.address import names
from connectors.sdk.contract import Delivery, Options
from connectors.sdk.http import ClientOptions
from connectors.sdk.webhooks import WebhookSecret, secret_bytes, signed_headers


class SignTable(Options):
    """`sign = { secret, previous }`: Standard Webhooks. `previous` signs as well, as long as the secret is changed over."""

    secret: WebhookSecret
    previous: WebhookSecret | None = None

    def keys(self) -> list[bytes]:
        """The keys to sign with, the current one first."""
        written = [self.secret] + ([self.previous] if self.previous else [])
        return [secret_bytes(one.get_secret_value()) for one in written]


class PushOptions(ClientOptions):
    """Options of `http_push`; times in seconds."""

    path: str
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    form: Literal["batch", "single"] = "batch"
    order: Literal["per_key", "ledger"] = "per_key"
    concurrency: int = Field(default=8, ge=1, le=64)
    check_path: str | None = None
    idempotency_header: str = Field(default="Idempotency-Key", pattern=r"^[A-Za-z0-9-]{1,64}$")
    sign: SignTable | None = None
    bodies: dict[str, str] = Field(default_factory=dict)

    @field_validator("path")
    @classmethod
    def _is_template(cls, value: str) -> str:
        names(value)
        return value

    @model_validator(mode="after")
    def _fits_the_form(self) -> PushOptions:
        if self.form == "batch" and names(self.path):
            raise ValueError(
                'path has {fields} of one delivery; write form = "single", or a path without them'
            )
        single = {"order", "concurrency", "check_path", "bodies"} & self.model_fields_set
        if self.form == "batch" and single:
            raise ValueError(
                f'{", ".join(sorted(single))} go with form = "single"; remove or write it'
            )
        return self


def idempotency_key(batch: Sequence[Delivery]) -> str:
    """The same for the same items in the same order, whenever they are sent."""
    return hashlib.sha256("\n".join(item.key for item in batch).encode()).hexdigest()[:32]


def headers(
    options: PushOptions, batch: Sequence[Delivery], body: bytes, now: datetime
) -> dict[str, str]:
    """The idempotency key and, where there is a secret, the signature. The key is the webhook's id, too."""
    key = idempotency_key(batch)
    found = {options.idempotency_header: key}
    if options.sign is not None:
        found |= signed_headers(options.sign.keys(), key, now, body)
    return found
