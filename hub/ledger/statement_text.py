"""A statement of account for people: plain text to print, and one HTML page that needs nothing else. English and Chinese.

Takes the values of `hub.ledger.statement`. Whatever comes from an event is escaped: ids and units may hold anything.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from hub.ledger.chart import BY_NAME, decimal_text, unit_of
from hub.ledger.statement import OPEN

Values: TypeAlias = Mapping[str, Any]
Table: TypeAlias = tuple[Sequence[str], list[list[str]]]  # heads, rows
Name: TypeAlias = Callable[[str], tuple[str, str]]  # of a member, English and Chinese

_KINDS = {
    "pend": "reserved 预留",
    "post": "settled 入账",
    "void": "released 撤销",
    "move": "moved 直接入账",
    "reverse": "taken back 冲回",
}
_DIRECTIONS = {"in": "in 收入", "out": "out 支出", "own": "own 本校"}
_LATE = "* of a day before the period began; booked in the period it came in. 发生日早于本期，按到达时间记入本期。"


def plain_text(values: Values, name: Name | None = None) -> str:
    """The statement to print, in a fixed-width font."""
    parts = [
        f"{title(values)}\n{'=' * 60}",
        *(f"{what}: {found}" for what, found in _facts(values, name)),
    ]
    for heading, (heads, rows) in _tables(values):
        parts.append(f"\n{heading}\n{'-' * 60}")
        parts.append(_aligned(heads, rows) if rows else "none 无")
    return "\n".join([*parts, "", _LATE]) + "\n"


def page(values: Values, name: Name | None = None) -> str:
    """The statement as one HTML page for screen and printer: no script, nothing fetched."""
    facts = "".join(
        f"<tr><th>{_escaped(what)}</th><td>{_escaped(found)}</td></tr>"
        for what, found in _facts(values, name)
    )
    tables = "".join(
        f"<h2>{_escaped(heading)}</h2>{_html_table(*table)}" for heading, table in _tables(values)
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{_escaped(title(values))}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{_escaped(title(values))}</h1><table>{facts}</table>{tables}<p>{_escaped(_LATE)}</p></body></html>\n"
    )


_STYLE = (
    "body{font:14px/1.5 system-ui,'Noto Sans CJK SC',sans-serif;margin:2em;color:#111}"
    "table{border-collapse:collapse;margin:0 0 1em}th,td{border:1px solid #bbb;padding:.2em .6em;text-align:left;"
    "vertical-align:top;overflow-wrap:anywhere}th{background:#f2f2f2}h1{font-size:1.4em}h2{font-size:1.1em}"
    "tr{break-inside:avoid}@media print{body{margin:0}}"
)


def title(values: Values) -> str:
    """`Statement of account 对账单 10610 - 10611, 2026-2027-1`."""
    parties = " - ".join(str(one) for one in (values["member"], values["other"]) if one is not None)
    return f"Statement of account 对账单 {_clean(parties)}, {_clean(_period_name(values))}"


def _period_name(values: Values) -> str:
    name = str(values["period"]["name"])
    return "running period 本期未结" if name == OPEN else name


def _facts(values: Values, name: Name | None) -> list[tuple[str, str]]:
    period = values["period"]
    facts = [
        ("Ledger 账本", str(values["origin"] or "-")),
        ("Member 学校", _member(values["member"], name)),
        ("With 对方", _member(values["other"], name) if values["other"] else "itself alone 仅本校"),
        ("Entries 记录", f"{period['first_seq']} - {period['last_seq']}"),
        ("Period 期间", f"{_day(period['began_at']) or 'the beginning 起始'} - {_day(period['ended_at'])}"),
    ]  # fmt: skip
    if period["closed_seq"] is None:
        facts.append(("Closed 结账", "no 未结账"))
    else:
        facts.append(
            ("Closed 结账", f"entry {period['closed_seq']}, {period['accounts']} accounts 个账户")
        )
        facts.append(("Balances root 余额根", str(period["balances_root"])))
    proven = "yes 有" if values["log_proof"] else "no 无"
    return [
        (what, _clean(found)) for what, found in (*facts, ("Proof of logging 日志证明", proven))
    ]


def _member(code: str, name: Name | None) -> str:
    if name is None:
        return code
    en, zh = name(code)
    return code if en == zh == code else f"{code} {en} {zh}"


def _tables(values: Values) -> list[tuple[str, Table]]:
    return [
        ("Summary 汇总", _summary(values)),
        ("Entries 明细", _entries(values)),
        ("Balances 余额", _balances(values)),
        ("Open amounts 未结事项", _open_amounts(values)),
        ("Disputes 争议", _disputes(values)),
    ]


def _summary(values: Values) -> Table:
    rows = []
    for one in values["units"]:
        opening, closing = one["opening"], one["closing"]
        moved = "; ".join(
            f"{_KINDS.get(kind, kind)} {_DIRECTIONS.get(way, way)} {decimal_text(int(amount), one['unit'])}"
            for kind, sums in one["moved"].items()
            for way, amount in sums.items()
        )
        rows.append(
            [
                _unit(one["unit"]),
                *(_net(side) for side in (opening, closing)),
                moved or "-",
            ]
        )
    return ("unit 单位", "opening 期初", "closing 期末", "moved 本期发生"), _cleaned(rows)


def _net(side: Values | None) -> str:
    if side is None:
        return "-"
    pending = side["pending_decimal"]
    return f"{side['posted_decimal']}" + (
        "" if side["pending"] == "0" else f" ({pending} pending 待定)"
    )


def _entries(values: Values) -> Table:
    told = any("en" in one for one in values["entries"])
    heads = [
        "seq",
        "day 发生日",
        "event 事件",
        "kind 类型",
        "way 方向",
        "amount 数量",
        "account 账户",
    ]
    rows = []
    for one in values["entries"]:
        late = " *" if one["prior_period"] else ""
        account = one["destination"] if one["direction"] == "in" else one["source"]
        row = [
            str(one["seq"]), f"{_day(one['effective_at'])}{late}", one["event_type"], _KINDS.get(one["kind"], one["kind"]),
            _DIRECTIONS.get(one["direction"], one["direction"]), f"{one['decimal']} {_unit(one['unit'])}", account,
        ]  # fmt: skip
        rows.append([*row, f"{one.get('en', '')} {one.get('zh', '')}".strip()] if told else row)
    return [*heads, "what happened 内容"] if told else heads, _cleaned(rows)


def _balances(values: Values) -> Table:
    rows = [
        [
            one["account"], _role(one["role"]), _unit(one["unit"]), one["net_decimal"],
            "-" if one["proof"] is None else f"leaf {one['proof']['index']}",
        ]
        for one in values["accounts"]
    ]  # fmt: skip
    return ("account 账户", "role 含义", "unit 单位", "closing 期末", "proof 证明"), _cleaned(rows)


def _open_amounts(values: Values) -> Table:
    rows = [
        [
            one["pending_id"], f"{one['open_decimal']} {_unit(one['unit'])}", str(one["seq"]),
            _day(one["opened_at"]), str(one["age_days"]),
        ]
        for one in values["open_items"]
    ]  # fmt: skip
    return ("id", "open 未结", "seq", "since 起始", "days 天数"), _cleaned(rows)


def _disputes(values: Values) -> Table:
    rows = [
        [
            one["dispute_id"], f"{one['about_kind']} {one['about_id']}", one["claimant"], one["respondent"], one["state"],
            str(one["seq"]), str(one["age_days"]),
        ]
        for one in values["disputes"]
    ]  # fmt: skip
    heads = (
        "id",
        "about 事项",
        "claimant 提出方",
        "respondent 相对方",
        "state 状态",
        "seq",
        "days 天数",
    )
    return heads, _cleaned(rows)


def _unit(unit: str) -> str:
    known = unit_of(unit)
    if known is None:
        return unit
    part = unit.removeprefix(known.name[:-1]) if known.name.endswith("*") else ""
    return f"{known.en} {known.zh}{f' ({part})' if part else ''}"


def _role(name: str | None) -> str:
    role = BY_NAME.get(name or "")
    return "-" if role is None else f"{role.en} {role.zh}"


def _day(moment: str | None) -> str:
    return "" if moment is None else str(moment)[:10]


def _clean(text: str) -> str:
    """Characters that print as nothing, or as another line, are spelled out."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)


def _cleaned(rows: list[list[str]]) -> list[list[str]]:
    return [[_clean(str(cell)) for cell in row] for row in rows]


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)


def _html_table(heads: Sequence[str], rows: list[list[str]]) -> str:
    if not rows:
        return "<p>none 无</p>"
    head = "".join(f"<th>{_escaped(one)}</th>" for one in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _aligned(heads: Sequence[str], rows: list[list[str]]) -> str:
    table = [list(heads), *rows]
    widths = [max(_width(row[at]) for row in table) for at in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in table
    )


def _width(text: str) -> int:
    """Columns on a terminal: Chinese characters take two. Source: Unicode Standard Annex 11."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
