"""Texts of the console in English and Chinese, and which of the two a request wants.

Entries and troubles bring their own texts (`hub.api`). Event names, topic names and reason codes are not translated:
they are the same word everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from hub.api.sentences import Text

LANGS = ("en", "zh")
COOKIE = "lang"

WORDS: Mapping[str, Text] = {
    "title": Text("Console", "控制台"),
    "skip": Text("Skip to content", "跳到正文"),
    "language": Text("Language", "语言"),
    "live": Text("Live", "实时"),
    "held": Text("Paused", "已暂停"),
    "lost": Text("Reconnecting", "重新连接中"),
    "static": Text("Not live", "非实时"),
    "pause": Text("Pause", "暂停"),
    "resume": Text("Resume", "继续"),
    "as_of": Text("As of", "截至"),
    "zone": Text("Times in UTC+8", "时间为北京时间"),
    "attention": Text("Needs attention", "需要处理"),
    "all_well": Text("All is well. Nothing needs attention.", "一切正常，无需处理。"),
    "next": Text("Next", "下一步"),
    "more": Text("more in", "条更多见"),
    "error": Text("error", "错误"),
    "warning": Text("warning", "警告"),
    "info": Text("note", "提示"),
    "flow": Text("Way of an event", "事件流转"),
    "head": Text("Ledger head", "账本头"),
    "hash": Text("hash", "哈希"),
    "empty": Text("empty", "空"),
    "waiting": Text("waiting", "待处理"),
    "no_figure": Text("no figure", "无数据"),
    "stalled": Text("stalled", "停滞"),
    "members": Text("Members", "成员高校"),
    "events": Text("events", "事件"),
    "open": Text("open", "未决"),
    "open_means": Text("published, no outcome yet", "已发布，尚无结果"),
    "heartbeat": Text("heartbeat", "心跳"),
    "paused": Text("paused", "暂停"),
    "running": Text("running", "运行"),
    "degraded": Text("degraded", "降级"),
    "failed": Text("failed", "故障"),
    "silent": Text("silent", "无心跳"),
    "stopped": Text("stopped", "停止"),
    "unknown": Text("unknown", "未知"),
    "absent": Text("absent", "未接入"),
    "outcomes": Text("Outcomes", "处理结果"),
    "applied": Text("applied", "生效"),
    "rejected": Text("rejected", "驳回"),
    "duplicate": Text("duplicate", "重复"),
    "conflict": Text("conflict", "冲突"),
    "parked": Text("parked", "挂起"),
    "parked_now": Text("parked now", "当前挂起"),
    "per_step": Text("entries per 10 s, top", "每 10 秒条目数，峰值"),
    "minutes_ago": Text("−10 min", "−10 分钟"),
    "now": Text("now", "现在"),
    "reasons": Text("Reasons", "原因"),
    "entries": Text("Newest entries", "最新条目"),
    "seq": Text("Seq", "序号"),
    "time": Text("Time", "时间"),
    "outcome": Text("Outcome", "结果"),
    "what": Text("What", "内容"),
    "event": Text("Event", "事件"),
    "topics": Text("Topics", "主题"),
    "member_topics": Text("Topics of the members", "各校主题"),
    "topic": Text("Topic", "主题"),
    "messages": Text("Messages", "消息数"),
    "rate": Text("per s", "每秒"),
    "lag": Text("Lag", "滞后"),
    "letters": Text("Dead letters", "死信"),
    "from": Text("From", "来源"),
    "reason": Text("Reason", "原因"),
    "none_yet": Text("None yet.", "暂无。"),
    "no_topics": Text("No topics known yet.", "尚未获知任何主题。"),
    "no_entries": Text(
        "No entries yet. They appear as soon as a member's first event is decided.",
        "暂无条目。成员的第一个事件处理后会显示在这里。",
    ),
}  # fmt: skip


def wanted_lang(request: Request) -> str:
    """`?lang=`, else the cookie, else the browser's first language, else English."""
    for value in (request.query_params.get(COOKIE), request.cookies.get(COOKIE)):
        if value in LANGS:
            return value
    return "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"


def word(name: str, lang: str) -> str:
    """A text by name; the name itself for what has no entry, such as a state of a newer connector."""
    found = WORDS.get(name)
    return getattr(found, lang) if found else name
