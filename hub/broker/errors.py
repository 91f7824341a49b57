"""What can go wrong on the way to a broker, each with the next step in its message."""

from collections.abc import Sequence

from hub.errors import HubError, RetryLater, SettingsError


class BrokerError(HubError):
    """The broker did not do as asked; the message names what was found and what to do."""


class RungUnavailable(BrokerError):
    """This way to a broker does not apply here; the next one may.

    `found` says what was found, `next_step`, if there is one, what would make the way passable.
    """

    def __init__(self, found: str, next_step: str = "") -> None:
        self.found = found
        self.next_step = next_step
        super().__init__("; ".join(part for part in (found, next_step) if part))


class NoBroker(BrokerError, SettingsError):
    """Every way was tried. `tried` holds one `rung: reason` line each, in order."""

    def __init__(self, tried: Sequence[str]) -> None:
        self.tried = tuple(tried)
        lines = "\n".join(f"  {line}" for line in self.tried)
        super().__init__(
            f"no Kafka broker found or started. Tried:\n{lines}\n"
            "Mend one of these, or set ALLIANCE_BOOTSTRAP=host:port to use a broker you run."
        )


class Unreachable(BrokerError, RetryLater):
    """Nothing that speaks Kafka answers at the address."""


class TopicConflict(BrokerError):
    """A topic differs from its declaration in a way that cannot be changed in place."""
