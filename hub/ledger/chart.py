"""The chart of accounts: every role an account can have, whose it is, in what unit, and where its amounts go.

One table for all readers of the book: statements of account, audit, hledger journals. `hub.ledger.posting` makes the
names, this reads them back. A posting belongs to exactly one pair of members, or to one member alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from hub.domain.quantities import CNY, DAY, HOUR, MINUTE, PLACE, SEAT
from hub.errors import LedgerCorrupt
from hub.ledger.posting import Book
from schemas.records import Posting

CREDIT = "credit.*"  # of any scheme
OWN = "x-*"  # a unit that an owner charges in and gave a name to
MEMBER_FIELDS = ("home", "host", "sender", "receiver", "lender", "borrower", "owner", "member")
_REMEMBERED = 65_536  # account names and ways; ours, some tens of megabytes


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of amounts: `scale` decimals are in the ledger's integers, `code` is what journals call it."""

    name: str  # with a star at the end: any that begin so
    scale: int
    code: str
    en: str
    zh: str


UNITS = (
    Unit(CREDIT, 3, "CR.", "credits", "学分"),
    Unit(HOUR, 3, "TH", "teaching hours", "课时"),
    Unit(SEAT, 0, "SEAT", "seats", "课程名额"),
    Unit(PLACE, 0, "PLACE", "places", "协议名额"),
    Unit(DAY, 0, "DAY", "days", "天"),
    Unit(MINUTE, 0, "MIN", "minutes", "分钟"),
    Unit(CNY, 3, "CNY", "yuan", "元"),
    Unit(OWN, 3, "x-", "units of the owner", "自定计费单位"),
)


@dataclass(frozen=True, slots=True)
class Role:
    """What an account stands for. `form` names its parts; a part with a star is an id, which may hold colons.

    `side` is the part that says whose side of a pair the account is on; where the name does not have it, the account at
    the other end of the posting does. `gives_to` are the roles its amounts go to. A `stock` never gives out more than it
    got. A `shared` account has amounts of several pairs, so no statement alone explains its balance. What two members
    are to each other is read off the `measure` accounts: every posting between two moves exactly one of them.
    """

    name: str
    form: str
    units: tuple[str, ...]
    side: str
    gives_to: tuple[str, ...]
    en: str
    zh: str
    stock: bool = False
    shared: bool = False
    measure: bool = False

    @property
    def members(self) -> tuple[str, ...]:
        """The parts of the name that are members."""
        return tuple(part for part in re.findall(r"{(\w+)}", self.form) if part in MEMBER_FIELDS)


_CHARGE = (CNY, OWN)
ROLES = (
    Role("capacity", "{host}", (SEAT,), "host", ("seats",), "where a host's seats come from", "开课学校名额来源"),
    Role("seats", "{host}:{offering*}", (SEAT,), "host", ("enrolled",), "free seats of an offering", "课程剩余名额",
         stock=True, shared=True),
    Role("enrolled", "{host}:{offering*}:{home}", (SEAT,), "home", (), "seats taken by a home's students", "已占用名额", measure=True),
    Role("issued", "{host}:{home}", (CREDIT,), "host", ("claim",), "credits awarded", "已授予学分"),
    Role("claim", "{home}:{host}", (CREDIT,), "home", (), "credits to recognize, or recognized", "待认定或已认定学分", measure=True),
    Role("conversion", "{home}", (CREDIT,), "home", ("student",), "where recognized credits come from", "认定学分来源"),
    Role("student", "{home}:{student*}", (CREDIT,), "home", (), "credits recognized for a student", "学生已认定学分"),
    Role("grant", "{agreement*}", (PLACE,), "receiver", ("quota",), "where an agreement's places come from", "协议名额来源",
         shared=True),
    Role("quota", "{agreement*}:{sender}:{receiver}:{year}", (PLACE,), "sender", ("filled",), "places left to a sender",
         "派出方剩余名额", stock=True, measure=True),
    Role("filled", "{agreement*}:{sender}:{receiver}:{year}", (PLACE,), "receiver", (), "places filled", "已使用名额"),
    Role("workload", "{home}", (HOUR,), "home", ("hours",), "where lent hours come from", "外派课时来源"),
    Role("hours", "{appointment*}", (HOUR,), "host", ("lent",), "hours left under an appointment", "聘任剩余课时",
         stock=True, shared=True),
    Role("taught", "{host}:{home}", (HOUR,), "host", ("lent",), "hours taught without a limit", "不限额授课课时"),
    Role("lent", "{home}:{host}", (HOUR,), "home", (), "hours lent, agreed or to be agreed", "外派课时", measure=True),
    Role("seconded", "{lender}:{borrower}", (DAY,), "lender", ("borrowed",), "days of people sent", "派出人员天数"),
    Role("borrowed", "{borrower}:{lender}", (DAY,), "borrower", (), "days of people received", "接收人员天数", measure=True),
    Role("proceeds", "{achievement*}", (CNY,), "member", ("income",), "where an achievement's income comes from",
         "成果收益来源", shared=True),
    Role("income", "{member}:{achievement*}", (CNY,), "member", (), "income from an achievement", "成果收益"),
    Role("instrument", "{owner}:{home}", (MINUTE,), "owner", ("usage",), "minutes given on resources", "提供机时"),
    Role("usage", "{home}:{owner}", (MINUTE,), "home", (), "minutes used on resources", "使用机时", measure=True),
    Role("charged", "{owner}:{home}", _CHARGE, "owner", ("owed",), "charges made", "应收费用"),
    Role("owed", "{home}:{owner}", _CHARGE, "home", (), "charges owed", "应付费用", measure=True),
)  # fmt: skip
BY_NAME: Mapping[str, Role] = {role.name: role for role in ROLES}
STOCKS = tuple(f"{role.name}:" for role in ROLES if role.stock)


@dataclass(frozen=True, slots=True)
class Account:
    """An account as its name says: the role, and the parts of the name."""

    name: str
    role: Role
    parts: Mapping[str, str]

    @property
    def members(self) -> tuple[str, ...]:
        """The members the name has, sorted."""
        return tuple(sorted({self.parts[part] for part in self.role.members}))


@dataclass(frozen=True, slots=True)
class Way:
    """Where a posting goes: out of an account on the giver's side, into one on the taker's.

    `pair` are the members it is between, sorted; one member when nobody else is concerned.
    """

    source: Account
    destination: Account
    giver: str
    taker: str
    pair: tuple[str, ...]


@cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    """A member's code has no colon, an id may have anything."""
    return {
        role.name: re.compile(
            re.sub(
                r"{(\w+)(\*?)}", lambda m: f"(?P<{m[1]}>{'.*' if m[2] else '[^:]+'})", role.form
            ),
            re.DOTALL,
        )
        for role in ROLES
    }


@lru_cache(_REMEMBERED)
def classify(account: str) -> Account | None:
    """The account's role and parts; None for a name the chart does not have."""
    name, colon, rest = account.partition(":")
    role = BY_NAME.get(name)
    found = _patterns()[name].fullmatch(rest) if role is not None and colon else None
    return None if role is None or found is None else Account(account, role, found.groupdict())


@lru_cache(_REMEMBERED)
def unit_of(unit: str) -> Unit | None:
    """What the chart knows of a unit; None for one it does not have."""
    for known in UNITS:
        if _fits(unit, known.name):
            return known
    return None


def _fits(unit: str, wanted: str) -> bool:
    if wanted.endswith("*"):
        return unit.startswith(wanted[:-1])
    return unit == wanted


def read_posting(posting: Posting) -> Way:
    """Between whom and on which side a posting moves. Raises `LedgerCorrupt` for one that the chart does not have."""
    return _way(posting.source, posting.destination, posting.unit, posting.action == "reverse")


@lru_cache(_REMEMBERED)
def _way(source: str, destination: str, unit: str, back: bool) -> Way:  # noqa: FBT001 - a key of the memory
    ends = [_known(name, unit) for name in (source, destination)]
    giving, getting = reversed(ends) if back else ends
    where = f"posting from {source} to {destination}"
    if getting.role.name not in giving.role.gives_to:
        wanted = " or ".join(giving.role.gives_to) or "nothing"
        raise LedgerCorrupt(
            f"{where}: {giving.role.name} gives to {getting.role.name}, the chart wants {wanted}; mend the rule or the chart"
        )
    parts = dict(giving.parts)
    for part, value in getting.parts.items():
        if parts.setdefault(part, value) != value:
            raise LedgerCorrupt(
                f"{where}: the {part} of one end is {parts[part]}, of the other {value}; they must be the same"
            )
    members = sorted({parts[part] for part in parts if part in MEMBER_FIELDS})
    if len(members) not in (1, 2):
        raise LedgerCorrupt(
            f"{where} concerns {len(members)} members, a posting is between two or of one"
        )
    giver, taker = (parts.get(end.role.side, members[0]) for end in ends)
    return Way(ends[0], ends[1], giver, taker, tuple(members))


def _known(name: str, unit: str) -> Account:
    account = classify(name)
    if account is None:
        raise LedgerCorrupt(
            f"account {name!r} is not in the chart of accounts; add its role to hub/ledger/chart.py"
        )
    if not any(_fits(unit, wanted) for wanted in account.role.units):
        wanted = " or ".join(account.role.units)
        raise LedgerCorrupt(
            f"account {name} holds {unit!r}, a {account.role.name} account holds {wanted}"
        )
    return account


def unknown_accounts(book: Book) -> list[str]:
    """What the chart does not know in a book, account and unit, sorted. An invariant: the list is empty."""
    return sorted(
        f"{account} in {unit}"
        for account, unit in book.balances
        if (known := classify(account)) is None
        or unit_of(unit) is None
        or not any(_fits(unit, wanted) for wanted in known.role.units)
    )


def odd_postings(postings: Iterable[Posting]) -> list[str]:
    """What is wrong with postings by the chart: roles, units, more than one pair. An invariant: the list is empty."""
    found = []
    for posting in postings:
        try:
            read_posting(posting)
        except LedgerCorrupt as error:
            found.append(str(error))
    return found


def decimal_text(amount: int, unit: str) -> str:
    """An amount as people read it: `2500` of a credit as `2.500`, 3 seats as `3`. Unknown units count as whole."""
    known = unit_of(unit)
    scale = known.scale if known is not None else 0
    if not scale:
        return str(amount)
    digits = str(abs(amount)).rjust(scale + 1, "0")
    return f"{'-' if amount < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"
