"""Topic names and keys: the only place that spells a topic.

Names use `.` and `-`, never `_`: Kafka's metrics confuse `.` with `_`.
"""

from __future__ import annotations

LEDGER_IN = "ledger.in"
LEDGER_ENTRIES = "ledger.entries"
DEAD_LETTERS = "hub.dead-letters"
HEARTBEATS = "hub.heartbeats"
COMMANDS = "hub.commands"
COMMAND_ANSWERS = "hub.command-answers"
MEMBER_ACTIVITY = "hub.member-activity"
TOPIC_RATES = "hub.topic-rates"
CASES = "hub.cases"
SCHEMAS = "hub.schemas"
CHECKPOINTS = "ledger.checkpoints"
COSIGNATURES = "ledger.cosignatures"
PRIVATE = "private.payloads"


def outbox(member: str) -> str:
    """What a member publishes; that member alone writes it."""
    return f"member.{member}.out"


def inbox(member: str) -> str:
    """What a member receives; that member alone reads it."""
    return f"member.{member}.in"


def domain(name: str) -> str:
    """Applied events of one domain, for processors and auditors."""
    return f"alliance.{name}"


def case_key(kind: str, case_id: str) -> str:
    """Key of a case in `hub.cases`: `enrollment/en-1`. Kinds have no slash, ids may."""
    return f"{kind}/{case_id}"


def payload_key(student_id: str, event_id: str) -> str:
    """Key of an event's private part in `private.payloads`. Pseudonyms have no slash."""
    return f"{student_id}/{event_id}"


def owner(topic: str) -> str | None:
    """The member whose outbox a topic is, or None: `member.10610.out` -> `10610`."""
    parts = topic.split(".")
    if len(parts) != 3 or parts[0] != "member" or parts[2] != "out":
        return None
    return parts[1] or None
