"""Statements as an hledger journal, so that a tool nobody of us wrote adds them up: `hledger -f FILE check --strict`.

Takes the values of `hub.ledger.statement`. Each posting is an entry of two lines; what is pending stands in accounts of
its own (`pending:`, beside `posted:`). The balances that a statement closes with become assertions. ASCII only, so that
no locale matters; what hledger would misread is written as % and two hexadecimal digits for each byte.
Source: hledger 1.25, journal format.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from hub.errors import SettingsError
from hub.ledger.chart import decimal_text, unit_of

Values: TypeAlias = Mapping[str, Any]
Sums: TypeAlias = dict[tuple[str, str], int]

_ACCOUNT = frozenset(string.ascii_letters + string.digits + ":._-/@+")
_CODE = frozenset(string.ascii_letters + string.digits + "._-/@+ ")
_INDENT = "    "


def journal(statements: Sequence[Values]) -> str:
    """One journal of all these statements. Of each pair they must follow each other without a gap.

    Raises `SettingsError` when they do not, or are each other's mirror: the same postings would count twice.
    """
    periods = _by_period(statements)
    units = sorted({str(one["unit"]) for values in statements for one in values["units"]})
    first = periods[0][0]["period"] if periods else None
    opening = _sums(periods[0], "opening") if periods else {}
    lines = [
        "; Statements of account of an alliance ledger. Check with: hledger -f FILE check --strict ordereddates",
        *(_commodity(unit) for unit in units),
        *(f"account {name}" for name in _account_names(statements)),
        "",
    ]
    if first is not None and any(opening.values()):
        lines += _entry(_opening_day(periods[0]), "", "opening", _amounts(opening))
    for values in periods:
        lines += _period(values)
    return "\n".join(lines) + "\n"


def account_name(account: str, part: str) -> str:
    """`posted:claim:10610:10611`. Colons make levels; a level without a name is a lone %."""
    levels = (escaped(level, _ACCOUNT) or "%" for level in account.split(":"))
    return ":".join((part, *levels))


def commodity_name(unit: str) -> str:
    """The unit as hledger reads it, in quotes, without which a dot or a digit would belong to the amount."""
    known = unit_of(unit)
    if known is None:
        code = unit
    elif known.name.endswith("*"):
        code = known.code + unit.removeprefix(known.name[:-1])
    else:
        code = known.code
    return f'"{escaped(code, _CODE)}"'


def escaped(text: str, allowed: Iterable[str]) -> str:
    """The text with every other byte as %XX; two texts never become one."""
    return "".join(
        one
        if one in allowed
        else "".join(f"%{byte:02X}" for byte in one.encode("utf-8", "surrogatepass"))
        for one in text
    )


def _by_period(statements: Sequence[Values]) -> list[list[Values]]:
    """Statements of each period together, in order."""
    known: dict[tuple[str, ...], tuple[str, int, int]] = {}
    periods: dict[int, list[Values]] = {}
    for values in sorted(statements, key=lambda values: int(values["period"]["first_seq"])):
        member, other, period = values["member"], values["other"], values["period"]
        pair = tuple(sorted({member, other or member}))
        before = known.get(pair)
        if before is not None and (before[0], before[2] + 1) != (member, period["first_seq"]):
            raise SettingsError(
                f"statements of {' and '.join(pair)}: one of {before[0]} ends with entry {before[2]}, the next of {member} "
                f"begins with {period['first_seq']}; give each period once, all from one member's side"
            )
        known[pair] = (member, period["first_seq"], period["last_seq"])
        periods.setdefault(int(period["first_seq"]), []).append(values)
    found = list(periods.values())
    for group in found[1:]:
        begun = {_pair(values) for values in group if any(_sums([values], "opening").values())}
        if begun - {_pair(values) for earlier in found[: found.index(group)] for values in earlier}:
            raise SettingsError("a pair comes in with a later period; give its first one, too")
    return found


def _pair(values: Values) -> tuple[str, ...]:
    return tuple(sorted({values["member"], values["other"] or values["member"]}))


def _commodity(unit: str) -> str:
    known = unit_of(unit)
    digits = "0" * known.scale if known is not None else ""
    return f"commodity 1000.{digits} {commodity_name(unit)}"


def _account_names(statements: Sequence[Values]) -> list[str]:
    accounts = {str(one["account"]) for values in statements for one in values["accounts"]}
    return sorted(
        account_name(account, part) for account in accounts for part in ("pending", "posted")
    )


def _period(statements: Sequence[Values]) -> list[str]:
    lines: list[str] = []
    entries = [entry for values in statements for entry in values["entries"]]
    for entry in sorted(entries, key=lambda entry: int(entry["seq"])):
        lines += _posting(entry)
    day = str(statements[0]["period"]["ended_at"])[:10]
    name = escaped(str(statements[0]["period"]["name"]), _CODE)
    closing = _sums(statements, "closing")
    asserted = [
        f"{_INDENT}{account}  0 {commodity_name(unit)} = {decimal_text(amount, unit)} {commodity_name(unit)}"
        for (account, unit), amount in sorted(closing.items())
    ]
    return [*lines, f"{day} * balances at the end of {name}", *asserted, ""] if asserted else lines


def _posting(entry: Values) -> list[str]:
    """Pending amounts move between pending accounts and back; posted ones between posted accounts."""
    kind, unit, amount = str(entry["kind"]), str(entry["unit"]), int(entry["amount"])
    ends = (str(entry["destination"]), str(entry["source"]))
    amounts: list[tuple[str, str, int]] = []
    if kind in ("pend", "post", "void"):
        sign = 1 if kind == "pend" else -1
        amounts += [
            (account_name(ends[0], "pending"), unit, sign * amount),
            (account_name(ends[1], "pending"), unit, -sign * amount),
        ]
    if kind in ("post", "move", "reverse"):
        amounts += [
            (account_name(ends[0], "posted"), unit, amount),
            (account_name(ends[1], "posted"), unit, -amount),
        ]
    late = ", prior-period:" if entry["prior_period"] else ""
    note = f"{kind} {escaped(str(entry['event_type']), _CODE)}"
    about = f"  ; effective: {entry['effective_at']}{late}"
    return _entry(str(entry["ledger_at"])[:10], str(entry["seq"]), note + about, amounts)


def _entry(day: str, code: str, note: str, amounts: Iterable[tuple[str, str, int]]) -> list[str]:
    lines = [
        f"{_INDENT}{account}  {decimal_text(amount, unit)} {commodity_name(unit)}"
        for account, unit, amount in amounts
    ]
    return [f"{day} * {f'({code}) ' if code else ''}{note}", *lines, ""]


def _opening_day(statements: Sequence[Values]) -> str:
    period = statements[0]["period"]
    return str(period["began_at"] or period["ended_at"])[:10]


def _sums(statements: Sequence[Values], side: str) -> Sums:
    """What accounts have by these statements, pending and posted apart. A shared account is in several."""
    sums: Sums = {}
    for values in statements:
        for one in values["accounts"]:
            held = {name: int(value) for name, value in one[side].items()}
            for part in ("pending", "posted"):
                place = (account_name(str(one["account"]), part), str(one["unit"]))
                sums[place] = sums.get(place, 0) + held[f"{part}_in"] - held[f"{part}_out"]
    return sums


def _amounts(sums: Sums) -> list[tuple[str, str, int]]:
    return [(account, unit, amount) for (account, unit), amount in sorted(sums.items()) if amount]
