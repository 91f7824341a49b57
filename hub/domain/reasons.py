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
    """Codes of refusals. The first group is given by admission, the second by the ledger.

    UNKNOWN_MEMBER and NOT_WRITER are given by both, TOO_LARGE too.
    """

    UNREADABLE = "UNREADABLE"
    TOO_LARGE = "TOO_LARGE"  # by the ledger, too: what an event moves must fit one entry
    SCHEMA_UNKNOWN = "SCHEMA_UNKNOWN"
    SCHEMA_INVALID = "SCHEMA_INVALID"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    UNKNOWN_MEMBER = "UNKNOWN_MEMBER"
    NOT_WRITER = "NOT_WRITER"
    KEY_MISMATCH = "KEY_MISMATCH"
    HASH_MISMATCH = "HASH_MISMATCH"
    PII_SUSPECTED = "PII_SUSPECTED"

    CONTENT_INVALID = "CONTENT_INVALID"
    ILLEGAL_TRANSITION = "ILLEGAL_TRANSITION"
    STALE_VERSION = "STALE_VERSION"
    VERSION_GAP = "VERSION_GAP"
    UNKNOWN_REFERENCE = "UNKNOWN_REFERENCE"
    DUPLICATE_CREDIT = "DUPLICATE_CREDIT"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    SLOT_CONFLICT = "SLOT_CONFLICT"
    DEADLINE_PASSED = "DEADLINE_PASSED"
    RULES_NOT_MET = "RULES_NOT_MET"
    VERSION_GAP_TIMEOUT = "VERSION_GAP_TIMEOUT"
    REFERENCE_TIMEOUT = "REFERENCE_TIMEOUT"
    SAME_EVENT = "SAME_EVENT"
    SAME_ID_OTHER_CONTENT = "SAME_ID_OTHER_CONTENT"
    KEY_REVOKED = "KEY_REVOKED"
    DISPUTED = "DISPUTED"
    PERIOD_CLOSED = "PERIOD_CLOSED"  # to operators who close a period twice


class RetryWhen(StrEnum):
    """When to send again. After a decision of the ledger always as a new event: an id keeps its outcome for ever."""

    NEVER = "never"
    NOW = "now"  # as soon as the connector's fault is mended; the content was not judged
    CORRECTED = "corrected"  # with other content
    CHANGED = "changed"  # once the thing it refers to has changed


@dataclass(frozen=True, slots=True)
class Advice:
    """What a refused sender is told. `next_actor` is `it` (the member's IT team), `office` or `nobody`."""

    en: str
    zh: str
    next_actor: str
    retry_when: RetryWhen

    @property
    def retryable(self) -> bool:
        """Whether the same content could succeed later."""
        return self.retry_when in (RetryWhen.NOW, RetryWhen.CHANGED)


ADVICE: dict[Reason, Advice] = {
    Reason.UNREADABLE: Advice(
        "The message could not be read. Check the connector's encoding and send the event again.",
        "无法读取该消息，请检查连接器的编码设置后重新发送。",
        "it",
        RetryWhen.CORRECTED,
    ),
    Reason.TOO_LARGE: Advice(
        "The event is larger than the alliance takes. Name documents instead of enclosing them, and split long lists.",
        "该事件超过联盟允许的大小，请勿附带文件，只需给出获取方式，并将长列表拆分。",
        "it",
        RetryWhen.CORRECTED,
    ),
    Reason.SCHEMA_UNKNOWN: Advice(
        "The hub does not know this schema id. Publish with a schema of the alliance.",
        "枢纽不认识该模式编号，请使用联盟登记的模式发布。",
        "it",
        RetryWhen.NOW,
    ),
    Reason.SCHEMA_INVALID: Advice(
        "Members do not publish records of this type. Use one of the alliance's event types.",
        "成员不能发布此类型的记录，请使用联盟规定的事件类型。",
        "it",
        RetryWhen.CORRECTED,
    ),
    Reason.SIGNATURE_INVALID: Advice(
        "The signature is missing or does not fit the message. Check the member's key and send the event again.",
        "签名缺失或与消息不符，请检查本校密钥后重新发送。",
        "it",
        RetryWhen.NOW,
    ),
    Reason.UNKNOWN_MEMBER: Advice(
        "The event names a university that is not a member of the alliance.",
        "事件中的学校不是联盟成员。",
        "office",
        RetryWhen.CORRECTED,
    ),
    Reason.NOT_WRITER: Advice(
        "This fact is another university's to state.",
        "该事实应由另一所学校发布。",
        "office",
        RetryWhen.CORRECTED,
    ),
    Reason.KEY_MISMATCH: Advice(
        "The message key is not the one this event type needs. Check the connector.",
        "消息键与事件类型不符，请检查连接器。",
        "it",
        RetryWhen.NOW,
    ),
    Reason.ILLEGAL_TRANSITION: Advice(
        "This step is not possible in the present state of the case.",
        "当前状态下不允许此操作。",
        "office",
        RetryWhen.CHANGED,
    ),
    Reason.STALE_VERSION: Advice(
        "The case has changed since. Look at the newest version and decide again.",
        "该事项已有更新，请查看最新版本后重新决定。",
        "office",
        RetryWhen.CORRECTED,
    ),
    Reason.VERSION_GAP: Advice(
        "An earlier version of this case has not arrived yet; the event waits for it.",
        "该事项的前一版本尚未到达，事件正在等待。",
        "it",
        RetryWhen.NEVER,
    ),
    Reason.UNKNOWN_REFERENCE: Advice(
        "The thing this event refers to is not known yet. A parked event waits for it and need not be sent again.",
        "事件所引用的对象尚不存在。暂存的事件会等待该对象，无需重发。",
        "it",
        RetryWhen.NEVER,
    ),
    Reason.DUPLICATE_CREDIT: Advice(
        "These credits are already in another recognition case or were recognized before.",
        "该学分已在其他认定申请中或已被认定，不能重复认定。",
        "office",
        RetryWhen.CORRECTED,
    ),
    Reason.QUOTA_EXCEEDED: Advice(
        "There is no room left: seats, credits or quota are used up.",
        "名额、学分或配额已用尽。",
        "office",
        RetryWhen.CHANGED,
    ),
    Reason.SAME_EVENT: Advice(
        "The ledger has this event already; nothing was done twice.",
        "账本中已有该事件，未重复处理。",
        "nobody",
        RetryWhen.NEVER,
    ),
    Reason.SAME_ID_OTHER_CONTENT: Advice(
        "Another event with the same id but other content is in the ledger. Give the new event an id of its own.",
        "账本中已有编号相同但内容不同的事件，请为新事件使用新的编号。",
        "it",
        RetryWhen.CORRECTED,
    ),
    Reason.KEY_REVOKED: Advice(
        "The key that signed this event does not count any more. Sign with a key that does, and publish a new event.",
        "签署该事件的密钥已失效，请使用有效密钥签署并发布新的事件。",
        "it",
        RetryWhen.CORRECTED,
    ),
    Reason.DISPUTED: Advice(
        "The case is in dispute and stands still. Settle the dispute first.",
        "该事项存在争议，处理已暂停，请先解决争议。",
        "office",
        RetryWhen.CHANGED,
    ),
    Reason.PERIOD_CLOSED: Advice(
        "A period of this name is closed already. Nothing was changed.",
        "该期间已经结账，未作任何更改。",
        "nobody",
        RetryWhen.NEVER,
    ),
    Reason.HASH_MISMATCH: Advice(
        "The hash in the event is not that of its content. Let the connector compute it, or compute it as the schema says.",
        "事件中的哈希值与内容不符，请由连接器计算，或按模式说明重新计算。",
        "it",
        RetryWhen.NOW,
    ),
    Reason.PII_SUSPECTED: Advice(
        "The event seems to hold personal data (an identity number, a phone number or an e-mail address). Take it out; people appear under pseudonyms only.",
        "事件中疑似含有个人信息（身份证号、电话号码或电子邮箱），请删除后重新发布；人员只能以假名出现。",
        "it",
        RetryWhen.CORRECTED,
    ),
    Reason.CONTENT_INVALID: Advice(
        "Parts of the event contradict each other or are out of range. Correct them and publish a new event.",
        "事件内容前后矛盾或超出允许范围，请更正后重新发布。",
        "office",
        RetryWhen.CORRECTED,
    ),
    Reason.SLOT_CONFLICT: Advice(
        "The time asked for is taken or the resource is out of service then. Choose another time.",
        "所申请的时段已被占用或设备停用，请另选时段。",
        "office",
        RetryWhen.CORRECTED,
    ),
    Reason.DEADLINE_PASSED: Advice(
        "The deadline is over. If there was a reason, ask the other university for a new one.",
        "已超过期限；如有正当理由，请与对方学校协商新的期限。",
        "office",
        RetryWhen.CORRECTED,
    ),
    Reason.RULES_NOT_MET: Advice(
        "The rules of recognition in force do not allow this decision. Decide within the rules, or publish new rules first.",
        "该决定不符合现行学分认定规则，请按规则决定，或先发布新的规则。",
        "office",
        RetryWhen.CORRECTED,
    ),
    Reason.VERSION_GAP_TIMEOUT: Advice(
        "The earlier version that this event waited for did not arrive in time. Publish what is missing, then this again as a new event.",
        "事件所等待的前一版本未能按时到达，请先补发缺失的版本，再以新事件重新发布。",
        "it",
        RetryWhen.CHANGED,
    ),
    Reason.REFERENCE_TIMEOUT: Advice(
        "The thing that this event waited for did not become known in time. See that it is published, then publish this again as a new event.",
        "事件所等待的对象未能按时出现，请先确认其已发布，再以新事件重新发布。",
        "it",
        RetryWhen.CHANGED,
    ),
}
