"""Names that the fakes share: two members, and the moment at which the clock of a test stands."""

from datetime import UTC, datetime

US, THEM = "10611", "10610"
START = datetime(2026, 9, 1, 0, 0, tzinfo=UTC)
