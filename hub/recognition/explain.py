"""A ruling in words, English and Chinese, for the office that decides and the student who asks."""

from __future__ import annotations

from dataclasses import dataclass

from hub.domain.quantities import credits_text
from hub.recognition.evaluate import Facts, Held, Ruling, found_text
from hub.recognition.ruleset import NEGATIVE, RuleSet


@dataclass(frozen=True, slots=True)
class Explanation:
    en: str
    zh: str


# name -> English, Chinese
_FACTS = {
    "passed": ("passed", "成绩合格"),
    "already_earned": ("home course already earned", "已获得本校该课程学分"),
    "in_plan": ("in the learning plan", "列入学分对接表"),
    "home_course": ("home has such a course", "本校设有该课程"),
    "overlap_percent": ("overlap of content in percent", "内容重合度（%）"),
    "host_credits": ("host's credits", "接收学校学分"),
    "home_credits": ("home's credits", "本校学分"),
    "difference": ("home's credits minus host's", "本校学分减接收学校学分"),
    "grade_percent": ("grade in percent", "百分制成绩"),
    "attempt_no": ("number of the attempt", "第几次修读"),
    "days_since_award": ("days since the award", "距学分授予的天数"),
    "awards": ("number of courses at the host", "接收学校课程数"),
    "courses": ("number of courses at home", "本校课程数"),
}
_OUTCOMES = {
    "positive": ("recognized", "予以认定"),
    "partially_positive": ("recognized in part", "部分认定"),
    NEGATIVE: ("not recognized", "不予认定"),
}
_CATEGORIES = {
    "required": ("required", "必修"),
    "elective": ("elective", "选修"),
    "general": ("general education", "通识"),
}
_REASONS = {
    "equivalent": ("content and credits are equivalent", "内容与学分相当"),
    "same_content_credit_capped": ("home's credits count, the surplus does not", "按本校学分计，超出部分不计"),
    "raised_to_home_credit": ("raised to home's credits", "学分略少，按本校学分计"),
    "package_substitution": ("courses replaced as a package", "课程体系替代"),
    "elective_only": ("counts as an elective only", "只能作为选修"),
    "below_pass": ("the grade is too low", "成绩未达到要求"),
    "content_overlap_low": ("the contents overlap too little", "内容重合度不足"),
    "credit_shortfall": ("credits are missing, to be made up", "学分不足，差额须补修"),
    "not_in_plan": ("not in the learning plan", "未列入学分对接表"),
    "already_earned": ("no second recognition of a course", "同一课程不重复认定"),
    "deadline_passed": ("asked too late", "超过申请期限"),
    "no_agreement": ("no agreement covers it", "无合作协议"),
    "award_revoked": ("the award was revoked", "学分已被撤销"),
}  # fmt: skip
_VALUES_ZH = {"true": "是", "false": "否", "not known": "未知"}


def explain(ruleset: RuleSet, facts: Facts, ruling: Ruling) -> Explanation:
    """Which rule decided, on what findings, and what may be recorded because of it."""
    return Explanation(
        f"Rule {ruling.clause}{_named(ruling, ' “', '”')} of {ruleset.id} version {ruleset.version} decides: "
        f"{'; '.join(map(_held_en, ruling.because)) or 'no rule before it holds'}. "
        f"{_OUTCOMES[ruling.outcome][0].capitalize()}: {_reason(ruling.reason, 0)}. {_limit_en(ruleset, facts, ruling)}",
        f"适用{ruleset.id}第{ruleset.version}版第{ruling.clause}条{_named(ruling, '“', '”')}："
        f"{'；'.join(map(_held_zh, ruling.because)) or '此前各条均不适用'}。"
        f"{_OUTCOMES[ruling.outcome][1]}：{_reason(ruling.reason, 1)}。{_limit_zh(ruleset, facts, ruling)}",
    )


def _named(ruling: Ruling, opens: str, closes: str) -> str:
    return f"{opens}{ruling.clause_name}{closes}" if ruling.clause_name else ""


def _reason(code: str, language: int) -> str:
    return _REASONS[code][language] if code in _REASONS else code


def _held_en(held: Held) -> str:
    return f"{_FACTS[held.fact][0]}: {held.found}, asked for {held.wanted}"


def _held_zh(held: Held) -> str:
    found, wanted = (_VALUES_ZH.get(text, text) for text in (held.found, held.wanted))
    return f"{_FACTS[held.fact][1]}为{found}，条件为{wanted.replace('one of', '以下之一')}"


def _limit_en(ruleset: RuleSet, facts: Facts, ruling: Ruling) -> str:
    if ruling.outcome == NEGATIVE:
        return "Nothing is recorded."
    category = f" as {_CATEGORIES[ruling.category][0]}" if ruling.category else ""
    cap = ruleset.case_cap_milli
    return (
        f"At most {credits_text(ruling.limit_milli)} credits are recorded{category}: "
        f"host {found_text('host_credits', facts)}, home {found_text('home_credits', facts)}, "
        f"tolerance {credits_text(ruleset.tolerance_milli)}, "
        f"cap of a case {'none' if cap is None else credits_text(cap)}."
    )


def _limit_zh(ruleset: RuleSet, facts: Facts, ruling: Ruling) -> str:
    if ruling.outcome == NEGATIVE:
        return "不记学分。"
    category = f"，类别为{_CATEGORIES[ruling.category][1]}" if ruling.category else ""
    cap = ruleset.case_cap_milli
    host, home = (found_text(fact, facts) for fact in ("host_credits", "home_credits"))
    return (
        f"至多记{credits_text(ruling.limit_milli)}学分{category}："
        f"接收学校{_VALUES_ZH.get(host, host)}，本校{_VALUES_ZH.get(home, home)}，"
        f"容差{credits_text(ruleset.tolerance_milli)}，"
        f"单次上限{'无' if cap is None else credits_text(cap)}。"
    )
