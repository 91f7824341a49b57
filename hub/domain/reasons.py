"""Why an event was not applied: one code each, with what to tell people and who acts next.

Codes follow the catalogue of the alliance; texts are shown to users in Chinese and English. The details that differ
from case to case (found, wanted) are in the developer message.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What the ledger decided about an event."""

    APPLIED = "applied"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    PARKED = "parked"
    REFUSED = "refused"  # by admission; has no ledger entry


class Reason(StrEnum):
    """Codes of refusals. The first group is given by admission, the second by the ledger."""

    UNREADABLE = "UNREADABLE"
    TOO_LARGE = "TOO_LARGE"  # by the ledger, too: what an event moves must fit one entry
    SCHEMA_UNKNOWN = "SCHEMA_UNKNOWN"
    SCHEMA_INVALID = "SCHEMA_INVALID"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    UNKNOWN_MEMBER = "UNKNOWN_MEMBER"
    NOT_WRITER = "NOT_WRITER"
    KEY_MISMATCH = "KEY_MISMATCH"

    ILLEGAL_TRANSITION = "ILLEGAL_TRANSITION"
    STALE_VERSION = "STALE_VERSION"
    VERSION_GAP = "VERSION_GAP"
    UNKNOWN_REFERENCE = "UNKNOWN_REFERENCE"
    DUPLICATE_CREDIT = "DUPLICATE_CREDIT"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    SAME_EVENT = "SAME_EVENT"
    SAME_ID_OTHER_CONTENT = "SAME_ID_OTHER_CONTENT"


@dataclass(frozen=True, slots=True)
class Advice:
    """What a refused sender is told. `next_actor` is `it` (the member's IT team), `office` or `nobody`."""

    en: str
    zh: str
    next_actor: str
    retryable: bool  # the same event, sent again, could succeed


ADVICE: dict[Reason, Advice] = {
    Reason.UNREADABLE: Advice(
        "The message could not be read. Check the connector's encoding and send the event again.",
        "无法读取该消息，请检查连接器的编码设置后重新发送。",
        "it",
        retryable=False,
    ),
    Reason.TOO_LARGE: Advice(
        "The event is larger than the alliance takes. Name documents instead of enclosing them, and split long lists.",
        "该事件超过联盟允许的大小，请勿附带文件，只需给出获取方式，并将长列表拆分。",
        "it",
        retryable=False,
    ),
    Reason.SCHEMA_UNKNOWN: Advice(
        "The hub does not know this schema id. Publish with a schema of the alliance.",
        "枢纽不认识该模式编号，请使用联盟登记的模式发布。",
        "it",
        retryable=True,
    ),
    Reason.SCHEMA_INVALID: Advice(
        "Members do not publish records of this type. Use one of the alliance's event types.",
        "成员不能发布此类型的记录，请使用联盟规定的事件类型。",
        "it",
        retryable=False,
    ),
    Reason.SIGNATURE_INVALID: Advice(
        "The signature is missing or does not fit the message. Check the member's key and send the event again.",
        "签名缺失或与消息不符，请检查本校密钥后重新发送。",
        "it",
        retryable=True,
    ),
    Reason.UNKNOWN_MEMBER: Advice(
        "The event names a university that is not a member of the alliance.",
        "事件中的学校不是联盟成员。",
        "office",
        retryable=False,
    ),
    Reason.NOT_WRITER: Advice(
        "This fact is another university's to state.",
        "该事实应由另一所学校发布。",
        "office",
        retryable=False,
    ),
    Reason.KEY_MISMATCH: Advice(
        "The message key is not the one this event type needs. Check the connector.",
        "消息键与事件类型不符，请检查连接器。",
        "it",
        retryable=True,
    ),
    Reason.ILLEGAL_TRANSITION: Advice(
        "This step is not possible in the present state of the case.",
        "当前状态下不允许此操作。",
        "office",
        retryable=False,
    ),
    Reason.STALE_VERSION: Advice(
        "The case has changed since. Look at the newest version and decide again.",
        "该事项已有更新，请查看最新版本后重新决定。",
        "office",
        retryable=False,
    ),
    Reason.VERSION_GAP: Advice(
        "An earlier version of this case has not arrived yet; the event waits for it.",
        "该事项的前一版本尚未到达，事件正在等待。",
        "it",
        retryable=False,
    ),
    Reason.UNKNOWN_REFERENCE: Advice(
        "The thing this event refers to is not known yet; the event waits for it.",
        "事件所引用的对象尚不存在，事件正在等待。",
        "it",
        retryable=False,
    ),
    Reason.DUPLICATE_CREDIT: Advice(
        "These credits are already in another recognition case or were recognized before.",
        "该学分已在其他认定申请中或已被认定，不能重复认定。",
        "office",
        retryable=False,
    ),
    Reason.QUOTA_EXCEEDED: Advice(
        "There is no room left: seats, credits or quota are used up.",
        "名额、学分或配额已用尽。",
        "office",
        retryable=False,
    ),
    Reason.SAME_EVENT: Advice(
        "The ledger has this event already; nothing was done twice.",
        "账本中已有该事件，未重复处理。",
        "nobody",
        retryable=False,
    ),
    Reason.SAME_ID_OTHER_CONTENT: Advice(
        "Another event with the same id but other content is in the ledger. Give the new event an id of its own.",
        "账本中已有编号相同但内容不同的事件，请为新事件使用新的编号。",
        "it",
        retryable=False,
    ),
}
