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
    "proof": Text("Proof", "可验证性"),
    "signed": Text("Signed", "已签署"),
    "witnessed": Text("Witnessed", "已见证"),
    "witnesses": Text("Members that cosign", "联署的成员高校"),
    "of": Text("of", "/"),
    "to_sign": Text("to sign", "条待签署"),
    "to_witness": Text("to be cosigned", "条待联署"),
    "at_least": Text(", at least", "，至少"),
    "verify_how": Text("Check it yourself, with public keys alone (ADDRESS is this page's):", "仅凭公钥即可自行核验（ADDRESS 为本页地址）："),
    "no_log": Text("No log is signed yet. Make its key:", "尚未签署日志。请生成密钥："),
    "log_unread": Text("No figures, see above.", "无数据，见上方。"),
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
    "cases": Text("Open cases by next actor", "待办事项（按责任方）"),
    "next_actor": Text("Next actor", "责任方"),
    "open_cases": Text("Open", "待办"),
    "overdue": Text("Overdue", "逾期"),
    "oldest": Text("Oldest", "最久"),
    "no_cases": Text("Nobody has to act.", "暂无待办事项。"),
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
    "catalogue": Text("Catalogue", "事件目录"),
    "console": Text("Console", "控制台"),
    "event_types": Text("Event types", "事件类型"),
    "clause": Text("Clause", "条款"),
    "clauses": Text("Clauses of the statute", "联盟章程条款"),
    "served_by": Text("Served by", "对应事件"),
    "outside": Text("policy, no events", "政策事项，不产生事件"),
    "uncovered": Text("not covered", "尚未覆盖"),
    "meaning": Text("Meaning", "含义"),
    "writer": Text("Written by", "发布方"),
    "thing": Text("About", "事项"),
    "lives": Text("Lives of things", "事项状态图"),
    "states_and_steps": Text("states and steps", "状态与步骤"),
    "as_table": Text("As a table", "以表格显示"),
    "state": Text("State", "状态"),
    "turn": Text("turn:", "轮到"),
    "turn_of": Text("Turn of", "轮到"),
    "step": Text("Step", "步骤"),
    "by": Text("Taken by", "执行方"),
    "leads_to": Text("Leads to", "进入状态"),
    "not_yet": Text("not there yet", "尚未建立"),
    "closed": Text("closed", "终态"),
    "source": Text("Source", "依据"),
    "legend_begin": Text("● may begin here", "● 可由此开始"),
    "legend_closed": Text("double line: closed", "双线框：终态"),
    "legend_clock": Text("dashed: taken by the ledger when a deadline is over", "虚线：期限届满时由账本处理"),
}  # fmt: skip

# Domains of event types, for headings.
DOMAINS: Mapping[str, Text] = {
    "agreement": Text("Agreements", "合作协议"),
    "credit": Text("Credits", "学分授予与认定"),
    "dispute": Text("Disputes", "争议"),
    "enrollment": Text("Enrollment", "选课与学习计划"),
    "lab": Text("Laboratories and resources", "实验室与资源共享"),
    "member": Text("Members", "成员高校"),
    "offering": Text("Courses", "开放课程"),
    "practice": Text("Practice", "联合实践"),
    "project": Text("Projects", "联合科研项目"),
    "student": Text("Students' data", "学生数据"),
    "talent": Text("Recruiting", "联合引才"),
    "teaching": Text("Teaching", "教师互聘与挂职"),
    "transfer": Text("Research results", "成果转化"),
}

# What states and steps of the tables mean, for Chinese readers; English readers have the codes themselves.
STATES_AND_STEPS: Mapping[str, str] = {
    "accepted": "录取",
    "active": "进行中",
    "agree": "同意",
    "agreed": "双方同意",
    "amended": "更正",
    "answer": "答复",
    "answered": "已答复",
    "approved": "批准",
    "approved_by_all": "各方均已批准",
    "approved_by_both": "双方均已同意",
    "associated": "已录取",
    "awarded": "授予",
    "cancelled": "取消",
    "cancelled_by_owner": "所属校取消",
    "closed": "截止",
    "completed": "完成",
    "concept": "筹备",
    "confirmed": "确认",
    "decide": "裁决",
    "decided": "已裁决",
    "declined": "谢绝",
    "denied": "不予批准",
    "disclosed": "披露",
    "disputed": "有异议",
    "drafted": "起草",
    "ended": "结束",
    "endorsed": "认可",
    "expired": "过期",
    "extended": "延长",
    "faculty": "学院决定",
    "faculty_decided": "学院已决定",
    "filled": "已录用",
    "finished": "修读完成",
    "funded": "获批",
    "graded": "评定成绩",
    "idea": "设想",
    "implemented": "实施",
    "in_effect": "生效",
    "inactive": "暂停",
    "income_shared": "分配收益",
    "joined": "加入",
    "left": "退出",
    "mid_checked": "中期检查",
    "negative": "不予认定",
    "negotiating": "洽谈",
    "no_show": "未到场",
    "offered": "提出结清",
    "ongoing": "进行中",
    "open": "开放",
    "operational": "可用",
    "outage": "停用",
    "partially_positive": "部分认定",
    "pending": "待决定",
    "planned": "计划",
    "positive": "予以认定",
    "propose": "提出方案",
    "proposed": "提议",
    "published": "公开",
    "queued": "候补",
    "recalled": "召回",
    "recorded": "记录",
    "registered": "登记",
    "replaced": "改约",
    "reported": "报告",
    "requested": "申请",
    "retired": "退役",
    "returned": "退回",
    "revoked": "撤销",
    "role_changed": "变更角色",
    "settled": "结清",
    "signed": "签约",
    "started": "开始",
    "submitted": "申报",
    "superseded": "被取代",
    "terminated": "终止",
    "used": "已使用",
    "validated": "核定",
    "vote": "表决",
    "waitlisted": "候补",
    "withdraw": "撤诉",
    "withdrawn": "撤回",
}


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


def domain_name(name: str, lang: str) -> str:
    """A domain as a heading; its own name when it is newer than this list."""
    found = DOMAINS.get(name)
    return str(getattr(found, lang)) if found else name


def gloss(code: str, lang: str) -> str:
    """What a state or step means, beside its code; empty where the code says it or nobody has put it in words."""
    return STATES_AND_STEPS.get(code, "") if lang == "zh" else ""
