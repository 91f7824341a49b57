"""What is wrong now and what to do about it: the console's first answer.

Each trouble names the thing, what was found, and the next step, in both languages. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from hub.api.log_view import LogView
from hub.api.overview import QUORUM_AFTER_S, STALLED_AFTER_S, Overview, Stage
from hub.api.sentences import Text, name_of
from hub.api.trouble import SEVERITIES, Trouble, duration, same
from hub.api.troubles_watched import watched_troubles
from schemas.members import Member

__all__ = ["Trouble", "duration", "region", "stage_name", "troubles"]

LETTER_FRESH = timedelta(hours=24)

_STAGE_NAMES = {
    "admission": Text("Admission", "准入"),
    "sequencer": Text("Sequencer", "排序"),
    "delivery": Text("Delivery", "投递"),
    "read_model": Text("Read model", "读模型"),
    "connectors": Text("Connectors", "连接器"),
    "signer": Text("Signer", "签署"),
    "receipts": Text("Receipts", "回执"),
}
_REGIONS = {"Sichuan": Text("Sichuan", "四川"), "Chongqing": Text("Chongqing", "重庆")}
# By state: severity, what it is called, what to do.
_CONNECTOR = {
    "failed": (
        "error",
        Text("Connector failed", "连接器故障"),
        Text("At the campus run `alliance connector check DIR`", "请在学校端运行 `alliance connector check DIR`"),
    ),
    "silent": (
        "error",
        Text("No heartbeat", "没有心跳"),
        Text(
            "Ask the campus whether the connector runs and reaches the broker",
            "请联系学校，确认连接器在运行且能连到消息服务器",
        ),
    ),
    "degraded": (
        "warning",
        Text("Connector degraded", "连接器降级"),
        Text(
            "At the campus run `alliance connector status DIR`, then mend what it names",
            "请在学校端运行 `alliance connector status DIR` 并按提示修复",
        ),
    ),
    "stopped": (
        "info",
        Text("Connector stopped", "连接器已停止"),
        Text("Start it at the campus when the stop is over", "维护结束后请在学校端重新启动"),
    ),
    "paused": (
        "info",
        Text("Connector paused", "连接器已暂停"),
        Text("Resume it at the campus when the pause is over", "暂停结束后请在学校端恢复"),
    ),
}  # fmt: skip
ONE_BY_ONE = 3  # more connectors than these in one state become one trouble


def stage_name(name: str) -> Text:
    """What people call a stage."""
    return _STAGE_NAMES.get(name, Text(name, name))


def troubles(overview: Overview) -> list[Trouble]:
    """All troubles, worst first."""
    found = [
        *_broker(overview),
        *_store(overview),
        *(_stalled(stage) for stage in overview.stages if stage.stalled_s >= STALLED_AFTER_S),
        *_log(overview),
        *_connectors(overview),
        *_dead_letters(overview),
        *_parked(overview),
        *_absent(overview),
        *watched_troubles(overview),
    ]
    return sorted(found, key=lambda trouble: SEVERITIES.index(trouble.severity))


def _broker(overview: Overview) -> Iterator[Trouble]:
    broker = overview.broker
    if broker.error:
        yield Trouble(
            "BROKER_UNREACHABLE",
            "error",
            broker.bootstrap,
            Text(f"Broker unreachable at {broker.bootstrap}", f"无法连接消息服务器 {broker.bootstrap}"),
            same(broker.error),
            Text(
                "See `alliance broker status`; events wait at the campuses and nothing is lost",
                "请查看 `alliance broker status`；事件会留在各校等待，不会丢失",
            ),
        )  # fmt: skip


def _store(overview: Overview) -> Iterator[Trouble]:
    if overview.facts.error:
        yield Trouble(
            "STORE_UNAVAILABLE",
            "error",
            "store",
            Text("Read model unavailable", "读模型不可用"),
            same(overview.facts.error),
            Text(
                "Start `alliance run projector`; it rebuilds from the ledger",
                "请启动 `alliance run projector`，它会从账本重建",
            ),
        )


def _stalled(stage: Stage) -> Trouble:
    name = stage_name(stage.name)
    process = {"read_model": "projector"}.get(stage.name, stage.name)
    return Trouble(
        "STAGE_STALLED",
        "error",
        stage.name,
        Text(f"{name.en} does not move", f"{name.zh}停滞"),
        Text(
            f"{stage.lag_messages} messages wait, none taken for {stage.stalled_s:.0f} s",
            f"{stage.lag_messages} 条消息在等待，已 {stage.stalled_s:.0f} 秒没有进展",
        ),
        Text("See the connectors that lag in the topics below", "请在下方主题中查看落后的连接器")
        if stage.name == "connectors"
        else Text(f"Start `alliance run {process}`", f"请启动 `alliance run {process}`"),
    )


def _log(overview: Overview) -> Iterator[Trouble]:
    log = overview.log
    if log is None:
        return
    if log.error or log.policy_error:
        yield _unreadable(log)
    elif log.unsigned_s >= STALLED_AFTER_S:
        since = duration(log.unsigned_s)
        yield Trouble(
            "LOG_BEHIND",
            "error",
            "signer",
            Text(f"The log has not been signed for {since.en}", f"日志已 {since.zh}未签署"),
            Text(
                f"{log.unsigned} entries wait behind the {log.signed_size} that are signed",
                f"已签署 {log.signed_size} 条，{log.unsigned} 条在等待",
            ),
            Text("Start `alliance run signer`", "请启动 `alliance run signer`"),
        )
    if log.unwitnessed_s >= QUORUM_AFTER_S:
        yield _no_quorum(overview, log)


def _unreadable(log: LogView) -> Trouble:
    if log.policy_error:
        return Trouble(
            "NO_QUORUM",
            "error",
            "policy",
            Text("No quorum can be counted", "无法判断联署是否达到法定人数"),
            same(log.policy_error),
            Text(
                "Correct the alliance configuration, then start the console again",
                "请更正联盟配置，然后重新启动控制台",
            ),
        )
    return Trouble(
        "LOG_UNREADABLE",
        "error",
        "log",
        Text("The log's checkpoints cannot be read", "无法读取日志检查点"),
        same(log.error),
        Text(
            "Compare ALLIANCE_TLOG with the signer's; if the file is damaged, take it away and start `alliance run signer` "
            "and `alliance run receipts` again",
            "请核对 ALLIANCE_TLOG 与签署进程是否一致；若文件已损坏，请移走该文件并重新启动 `alliance run signer` 和 "
            "`alliance run receipts`",
        ),
    )


def _no_quorum(overview: Overview, log: LogView) -> Trouble:
    """With enough members that cosign, the collector is at fault; else those that do not."""
    since, known = duration(log.unwitnessed_s), overview.alliance.members
    away = [name_of(known, code) for code in log.missing]
    shares = [(share, region(share.group)) for share in log.quorum]
    counted_en = ", ".join(f"{name.en} {s.cosigning} ({s.needed} needed)" for s, name in shares)
    counted_zh = "，".join(f"{name.zh} {s.cosigning}（需 {s.needed}）" for s, name in shares)
    found_en = f"{log.unwitnessed} signed entries wait. Cosigned by {counted_en}"
    found_zh = f"{log.unwitnessed} 条已签署条目在等待。联署：{counted_zh}"
    if away:
        found_en += f". Missing: {', '.join(name.en for name in away)}"
        found_zh += f"。缺少：{'、'.join(name.zh for name in away)}"
    return Trouble(
        "NO_QUORUM",
        "error",
        "receipts" if log.enough else ",".join(log.missing),
        Text(f"No quorum of cosignatures for {since.en}", f"联署已 {since.zh}未达法定人数"),
        Text(found_en, found_zh),
        Text("Start `alliance run receipts`", "请启动 `alliance run receipts`")
        if log.enough
        else Text(
            "Ask the missing members to run `alliance connector status DIR`: does the connector run, and what does its "
            "witness refuse?",
            "请缺少的学校运行 `alliance connector status DIR`，确认连接器在运行，并查看其见证拒绝的原因",
        ),
    )


def region(name: str) -> Text:
    """A region's names; the name itself of one that is not listed."""
    return _REGIONS.get(name, same(name))


def _connectors(overview: Overview) -> Iterator[Trouble]:
    for state, (severity, title, next_step) in _CONNECTOR.items():
        found = [
            (view.member, connector)
            for view in overview.members
            for connector in view.connectors
            if connector.state == state
        ]
        code = f"CONNECTOR_{state.upper()}"
        if len(found) > ONE_BY_ONE:
            members = list({member.code: member for member, _ in found}.values())
            yield _about_many(code, severity, title, next_step, members, len(overview.members))
            continue
        for member, connector in found:
            age = duration(connector.age_s)
            since = Text(f" for {age.en}", f" {age.zh}") if state == "silent" else Text("", "")
            yield Trouble(
                code,
                severity,
                member.code,
                Text(f"{member.name_en}: {title.en.lower()}{since.en}", f"{member.name_zh}：{title.zh}{since.zh}"),
                same(connector.heartbeat.reason),
                next_step,
            )  # fmt: skip


def _about_many(
    code: str, severity: str, title: Text, next_step: Text, members: Sequence[Member], of: int
) -> Trouble:
    return Trouble(
        code,
        severity,
        ",".join(member.code for member in members),
        Text(
            f"{title.en}: {len(members)} of {of} members",
            f"{title.zh}：{of} 所成员高校中的 {len(members)} 所",
        ),
        Text(
            ", ".join(member.name_en for member in members),
            "、".join(member.name_zh for member in members),
        ),
        next_step,
    )


def _dead_letters(overview: Overview) -> Iterator[Trouble]:
    fresh = [
        found.letter
        for found in overview.facts.newest_letters
        if overview.at - found.letter.refused_at < LETTER_FRESH
    ]
    if not fresh:
        return
    newest = fresh[0]
    by = name_of(overview.alliance.members, newest.member)
    yield Trouble(
        "DEAD_LETTERS",
        "warning",
        newest.member,
        Text(
            f"{overview.facts.dead_letters} dead letters, the newest from {by.en}",
            f"{overview.facts.dead_letters} 条死信，最新一条来自{by.zh}",
        ),
        Text(
            f"{newest.reason}: {newest.user_message_en}",
            f"{newest.reason}：{newest.user_message_zh}",
        ),
        Text(
            "The campus corrects and publishes again; see dead letters below",
            "由学校更正后重新发布；详见下方死信",
        ),
    )


def _parked(overview: Overview) -> Iterator[Trouble]:
    if overview.facts.still_parked:
        count = overview.facts.still_parked
        yield Trouble(
            "EVENTS_PARKED",
            "info",
            "ledger",
            Text(f"{count} events wait for a predecessor", f"{count} 个事件在等待前置事件"),
            Text("", ""),
            Text(
                "Nothing, if the number falls; else ask the members for what the entries name as missing",
                "若数量下降则无需处理；否则请向相关学校索要缺失的事件",
            ),
        )


def _absent(overview: Overview) -> Iterator[Trouble]:
    absent = [view.member for view in overview.members if view.state == "absent"]
    if absent and not overview.facts.error:
        yield _about_many(
            "MEMBERS_ABSENT",
            "info",
            Text("Never connected", "从未接入"),
            Text("Their connectors wait to be started", "等待其启动连接器"),
            absent,
            len(overview.members),
        )
