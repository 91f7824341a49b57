"""Names and topics of the stream processors. Imports no Faust, so that the topic plan can be made without it."""

from __future__ import annotations

from dataclasses import dataclass

from schemas import topics
from schemas.catalogue import catalogue

ACTIVITY_TABLE = "member-activity"
RATES_TABLE = "topic-rates"
CASES_TABLE = "cases"

# A changelog holds whole states, a few kilobytes written twice a second at most, or every open case. Small segments
# let Kafka compact them soon, so that a restart reads minutes of history and not weeks.
CHANGELOG = {
    "cleanup.policy": "compact",
    "segment.bytes": str(8 * 1024 * 1024),
    "segment.ms": str(3600 * 1000),
    "min.cleanable.dirty.ratio": "0.1",
}


@dataclass(frozen=True, slots=True)
class Names:
    """What the processors read and write. `prefix` stands before every name, for a second set on one cluster."""

    prefix: str = ""

    @property
    def app_id(self) -> str:
        """Also the consumer group."""
        return f"{self.prefix}alliance-streams"

    @property
    def entries(self) -> str:
        return self.prefix + topics.LEDGER_ENTRIES

    @property
    def domains(self) -> list[str]:
        return [self.prefix + topics.domain(name) for name in catalogue().domains()]

    @property
    def activity(self) -> str:
        return self.prefix + topics.MEMBER_ACTIVITY

    @property
    def rates(self) -> str:
        return self.prefix + topics.TOPIC_RATES

    @property
    def cases(self) -> str:
        return self.prefix + topics.CASES

    @property
    def outputs(self) -> list[str]:
        return [self.activity, self.rates, self.cases]

    def changelog(self, table: str) -> str:
        """The name is Faust's: `<app>-<table>-changelog`."""
        return f"{self.app_id}-{table}-changelog"

    @property
    def inputs(self) -> list[str]:
        return [self.entries, *self.domains]

    @property
    def changelogs(self) -> list[str]:
        return [self.changelog(name) for name in (ACTIVITY_TABLE, RATES_TABLE, CASES_TABLE)]


def streams_topics(names: Names | None = None) -> list[tuple[str, int, dict[str, str]]]:
    """The processors' own topics as (name, partitions, settings); they must exist before a worker starts.

    Their inputs and outputs belong to the hub's topic plan. One partition each, like the topics they read.
    """
    return [(name, 1, dict(CHANGELOG)) for name in (names or Names()).changelogs]
