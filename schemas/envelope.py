"""The Kafka headers of an event: CloudEvents 1.0 attributes (binary mode), key id and signature.

The signed bytes hold the same facts; headers are for tools that route or show without decoding. Nothing is decided by
them: where the two disagree, the signed bytes are right.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from schemas.catalogue import Schema
from schemas.records import Envelope

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What a member may send. An entry of the ledger has at most 65,535 bytes (`hub.ledger.apply`) and holds the event, its
# names once more, a reason and what it moves.
EVENT_BYTES = 40 * 1024
NAME_BYTES = 1024  # of event_id, source, subject and partition_key each

Headers = list[tuple[str, bytes]]

KEY_ID = "alliance_keyid"
SIGNATURE = "alliance_signature"
LEDGER_SEQ = "alliance_ledgerseq"
PUBLISHED_AT = "alliance_publishedat"
KIND = "alliance_kind"  # of a message in member.<code>.in: event, outcome, refusal, flag, promise or receipts
CONTENT_TYPE = b"application/avro"


def event_headers(envelope: Envelope, schema: Schema, signer_id: str, signature: bytes) -> Headers:
    """The headers a connector puts on an event."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", envelope.event_id.encode()),
        ("ce_type", schema.ce_type.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_subject", envelope.subject.encode()),
        ("ce_time", rfc3339(envelope.occurred_at).encode()),
        ("ce_partitionkey", envelope.partition_key.encode()),
        ("content-type", CONTENT_TYPE),
        (KEY_ID, signer_id.encode()),
        (SIGNATURE, signature),
    ]


def header(headers: Iterable[tuple[str, bytes]], name: str) -> bytes | None:
    """The last header of that name, or None."""
    found = None
    for key, value in headers:
        if key == name:
            found = value
    return found


def rfc3339(moment: datetime) -> str:
    """An aware time as `2026-09-01T08:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_millis(millis: int) -> datetime:
    """Milliseconds since 1970, as Kafka stamps them, as an aware UTC time."""
    return _EPOCH + timedelta(milliseconds=millis)


def to_millis(moment: datetime) -> int:
    """An aware time as whole milliseconds since 1970."""
    return round((moment - _EPOCH) / timedelta(milliseconds=1))
