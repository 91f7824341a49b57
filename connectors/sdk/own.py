"""What a connector says for itself, not for its campus's records: that a key changes, that a student was erased."""

from __future__ import annotations

from datetime import datetime

from schemas.records import Envelope


def own_envelope(
    event_id: str,
    source: str,
    member: str,
    about: tuple[str, str],
    at: datetime,
    number: int,
    office: str,
) -> Envelope:
    """The envelope of such an event: statement `number` of the member. `about` is the subject and the Kafka key.

    `source` is the connector's CloudEvents source, `office` who acted.
    """
    subject, partition_key = about
    return Envelope(
        event_id=event_id,
        source=source,
        member=member,
        subject=subject,
        partition_key=partition_key,
        occurred_at=at,
        recorded_at=at,
        aggregate_version=number,
        decides_version=None,
        correlation_id=None,
        causation_id=None,
        supersedes_id=None,
        traceparent=None,
        actor_ref=office,
        unit_ref=None,
    )
