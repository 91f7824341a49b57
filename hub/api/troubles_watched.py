"""Troubles that watching finds: readers, retention, clocks, the cluster, the disk, silence. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from hub.api.overview import STALLED_AFTER_S, Overview
from hub.api.sentences import Text, name_of
from hub.api.trouble import Trouble, duration
from hub.flow.admission import GROUP as ADMISSION_GROUP
from hub.flow.delivery import GROUP as DELIVERY_GROUP
from hub.streams.plan import Names
from hub.watch.burrow import Status
from hub.watch.commits import GroupStatus
from hub.watch.silence import declared, learned
from hub.watch.view import ReaderLag
from hub.watch.watcher import PROJECTOR
from schemas import topics

# By reader: the stage that `overview` judges as well, and what starts it.
_PARTS = {
    ADMISSION_GROUP: ("admission", "admission"),
    DELIVERY_GROUP: ("delivery", "delivery"),
    PROJECTOR: ("read_model", "projector"),
    Names().app_id: ("", "streams"),
}
_VERDICTS = {
    Status.WARN: ("READER_SLOW", "warning", Text("reads slower than messages come", "读取慢于写入")),
    Status.STOP: ("READER_STOPPED", "error", Text("has stopped reading", "已停止读取")),
    Status.STALL: ("READER_STALLED", "error", Text("is there and does not get on", "在线但没有进展")),
    Status.REWIND: ("READER_REWOUND", "warning", Text("reads again what it had read", "正在重读已读消息")),
}  # fmt: skip


def watched_troubles(overview: Overview) -> list[Trouble]:
    """All of them, in the order of this file."""
    return [
        *_readers(overview),
        *_lost(overview),
        *_retention(overview),
        *_clocks(overview),
        *_cluster(overview),
        *_disk(overview),
        *_silences(overview),
    ]


def _readers(overview: Overview) -> Iterator[Trouble]:
    """Readers that do not keep up, but for those of which something else is told already."""
    told = {stage.name for stage in overview.stages if stage.stalled_s >= STALLED_AFTER_S}
    running = {
        f"{beat.member}.{beat.connector}"
        for view in overview.members
        for connector in view.connectors
        if connector.state in ("running", "degraded")
        for beat in (connector.heartbeat,)
    }
    for group in overview.broker.watched.groups:
        stage, part = _PARTS.get(group.group, ("", ""))
        if group.status is Status.OK or stage in told or not (part or group.group in running):
            continue
        yield _reader(overview, group, part)


def _reader(overview: Overview, group: GroupStatus, part: str) -> Trouble:
    code, severity, says = _VERDICTS[group.status]
    bad = [one for one in group.partitions if one.status is group.status]
    where = ", ".join(f"{one.topic} ({one.lag_messages})" for one in bad[:3])
    more = f" +{len(bad) - 3}" if len(bad) > 3 else ""
    if part:
        step = {
            Status.WARN: Text(
                f"Wait for the peak to pass; if it stays, start another `alliance run {part}` or give it more of the machine",
                f"等待高峰过去；若持续，请增加 `alliance run {part}` 进程或机器资源",
            ),
            Status.STOP: Text(f"Start `alliance run {part}`", f"请启动 `alliance run {part}`"),
            Status.STALL: Text(
                f"Read the log of `alliance run {part}`, then start it again",
                f"请查看 `alliance run {part}` 的日志，然后重新启动",
            ),
            Status.REWIND: Text(
                "Nothing, if somebody moved it back; else see who else commits under its name",
                "若为人工回退则无需处理；否则请检查是否有其他进程使用同名消费组",
            ),
        }[group.status]
        name = Text(part, part)
    else:
        code_of = group.group.partition(".")[0]
        name = name_of(overview.alliance.members, code_of)
        step = Text(
            "At the campus run `alliance connector status DIR`: parked keys or a slow system are named there",
            "请在学校端运行 `alliance connector status DIR`，其中会列出被搁置的键或较慢的系统",
        )
    return Trouble(
        code,
        severity,
        group.group,
        Text(f"{name.en} {says.en}", f"{name.zh}{says.zh}"),
        Text(
            f"{group.lag_messages} messages wait: {where}{more}",
            f"{group.lag_messages} 条消息在等待：{where}{more}",
        ),
        step,
    )


def _counts(lag: ReaderLag) -> bool:
    """Of heartbeats only the newest matter; nobody misses those that retention took."""
    return lag.topic != topics.HEARTBEATS


def _lost(overview: Overview) -> Iterator[Trouble]:
    for lag in filter(_counts, overview.broker.watched.lags):
        if lag.lost:
            yield Trouble(
                "MESSAGES_LOST",
                "error",
                f"{lag.reader}/{lag.topic}",
                Text(f"{lag.reader} missed messages of {lag.topic}", f"{lag.reader} 错过了 {lag.topic} 的消息"),
                Text(
                    f"{lag.lost} messages from offset {lag.position} are gone, kept are those from {lag.first}",
                    f"自偏移 {lag.position} 起 {lag.lost} 条消息已被删除，现存自 {lag.first} 起",
                ),
                Text(
                    "Restore the topic from a backup or ask the writers to send again; then keep it for longer: `alliance topics apply`",
                    "请从备份恢复该主题或请发送方重发；随后延长保留时间：`alliance topics apply`",
                ),
            )  # fmt: skip
        elif lag.ahead:
            yield Trouble(
                "READER_AHEAD",
                "error",
                f"{lag.reader}/{lag.topic}",
                Text(f"{lag.reader} stands behind the end of {lag.topic}", f"{lag.reader} 的位置超出 {lag.topic} 末尾"),
                Text(
                    f"It would read offset {lag.position}, the topic ends at {lag.end}: messages were lost or the topic was made anew",
                    f"其位置为 {lag.position}，主题末尾为 {lag.end}：消息丢失或主题被重建",
                ),
                Text(
                    "Stop the reader, find out what became of the topic; if the broker lost a disk, restore it first",
                    "请停止该读取方并查明主题的变化；若服务器磁盘损坏，请先恢复",
                ),
            )  # fmt: skip


def _retention(overview: Overview) -> Iterator[Trouble]:
    for room in overview.broker.watched.headrooms:
        if not room.is_short or room.topic == topics.HEARTBEATS:
            continue
        left, kept = duration(max(0.0, room.headroom_s)), duration(room.retention_s)
        yield Trouble(
            "RETENTION_SHORT",
            "error" if room.headroom_s <= 0 else "warning",
            room.topic,
            Text(f"{room.slowest} may soon miss messages of {room.topic}", f"{room.slowest} 可能很快错过 {room.topic} 的消息"),
            Text(
                f"Kept for {kept.en}; its oldest unread message may go in {left.en}",
                f"保留 {kept.zh}；最早的未读消息可能在 {left.zh}后被删除",
            ),
            Text("Start the reader, or keep the topic for longer until it has caught up", "请启动读取方，或在其赶上之前延长保留时间"),
        )  # fmt: skip


def _clocks(overview: Overview) -> Iterator[Trouble]:
    for clock in overview.broker.watched.clocks:
        if clock.is_bad:
            off, name = (
                duration(abs(clock.skew_s)),
                name_of(overview.alliance.members, clock.member),
            )
            fast = clock.skew_s > 0
            yield Trouble(
                "CLOCK_SKEWED",
                "warning",
                clock.member,
                Text(f"{name.en}: clock {off.en} {'fast' if fast else 'slow'}", f"{name.zh}：时钟{'快' if fast else '慢'} {off.zh}"),
                Text(
                    f"Measured by {clock.beats} heartbeats of {clock.connector}",
                    f"依据 {clock.connector} 的 {clock.beats} 次心跳测得",
                ),
                Text("Ask the campus to look at NTP on the connector's machine", "请学校检查连接器所在机器的 NTP 对时"),
            )  # fmt: skip


def _cluster(overview: Overview) -> Iterator[Trouble]:
    cluster = overview.broker.watched.cluster
    if cluster is None:
        return
    for code, severity, found, title in (
        ("PARTITIONS_LEADERLESS", "error", cluster.leaderless, Text("Partitions take no messages", "分区无法写入")),
        ("PARTITIONS_UNDER_REPLICATED", "warning", cluster.under_replicated, Text("Partitions lack a copy", "分区缺少副本")),
    ):  # fmt: skip
        if found:
            shown = ", ".join(found[:5]) + (f" +{len(found) - 5}" if len(found) > 5 else "")
            yield Trouble(
                code,
                severity,
                "broker",
                Text(f"{title.en}: {len(found)} of {cluster.partitions}", f"{title.zh}：{cluster.partitions} 个中的 {len(found)} 个"),
                Text(shown, shown),
                Text(
                    f"{cluster.brokers} brokers answer: start the one that is missing, or look at its disk",
                    f"有 {cluster.brokers} 台服务器应答：请启动缺失的服务器，或检查其磁盘",
                ),
            )  # fmt: skip


def _disk(overview: Overview) -> Iterator[Trouble]:
    disk = overview.broker.watched.disk
    if disk is None or not disk.severity:
        return
    free, total = disk.free_bytes / 1024**3, disk.total_bytes / 1024**3
    yield Trouble(
        "DISK_LOW",
        disk.severity,
        "disk",
        Text("Disk of the hub's state nearly full", "中心状态所在磁盘即将用尽"),
        Text(f"{free:.1f} GiB free of {total:.0f} GiB", f"共 {total:.0f} GiB，剩余 {free:.1f} GiB"),
        Text("Make room: old snapshots and logs can go", "请清理空间：旧快照和日志可以删除"),
    )


def _silences(overview: Overview) -> Iterator[Trouble]:
    """Members that are known to be away are told of elsewhere."""
    here = {view.member.code: view.state not in ("silent", "failed", "stopped", "paused") for view in overview.members}  # fmt: skip
    beats = [
        connector.heartbeat
        for view in overview.members
        for connector in view.connectors
        if connector.state in ("running", "degraded")
    ]
    found = declared(beats, overview.at)
    said = {silence.member for silence in found}
    for silence in (*found, *learned(overview.rhythms.items(), overview.at)):
        if silence.learned and (silence.member in said or not here.get(silence.member, False)):
            continue
        name = name_of(overview.alliance.members, silence.member)
        usual = duration(silence.expected_s)
        since = Text("never", "从未") if silence.last_at is None else duration((overview.at - silence.last_at) / timedelta(seconds=1))  # fmt: skip
        about = f"{silence.member}/{silence.stream}" if silence.stream else silence.member
        yield Trouble(
            "SILENT_STREAM",
            "warning",
            about,
            Text(
                f"{name.en}: nothing from {silence.stream or 'the member'} for longer than usual",
                f"{name.zh}：{silence.stream or '该校'}长时间没有新数据",
            ),
            Text(
                f"Last {since.en}{'' if silence.last_at is None else ' ago'}; {'usually within' if silence.learned else 'expected every'} {usual.en}",
                f"上次：{since.zh}{'' if silence.last_at is None else '前'}；{'通常在' if silence.learned else '应每'} {usual.zh}{'之内' if silence.learned else '一次'}",
            ),
            Text(
                "Ask the campus whether its system has news; then `alliance connector check DIR`",
                "请询问学校系统是否有新数据，然后运行 `alliance connector check DIR`",
            ),
        )
