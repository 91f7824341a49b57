"""Every exception of the hub, sorted by what happens next.

HubError
├── RetryLater       the other side is unwell; same message, later
├── Unreadable       the message cannot be read; dead-letter it, move on  (schemas.codec.Unreadable)
├── SettingsError    refuse to start, name the setting
└── LedgerCorrupt    our books disagree; stop before making it worse
"""

from __future__ import annotations


class HubError(Exception):
    """Base of the hub's own errors. The message names the thing, the value found, the value wanted, the next step."""


class RetryLater(HubError):
    """The other side is unwell. Nothing was lost; do the same again after `after_s` seconds."""

    def __init__(self, message: str, after_s: float = 1.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class SettingsError(HubError):
    """A setting is missing or wrong. Refuse to start."""


class LedgerCorrupt(HubError):
    """The books disagree with their own rules. Stop; do not append to them."""
