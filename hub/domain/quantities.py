"""Amounts in the ledger's integers. Schemas carry decimals; from here on there are none."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

SEAT = "seat"  # of an offering
PLACE = "place"  # of an agreement, for one academic year
DAY = "day"
MINUTE = "minute"
HOUR = "hour"  # amounts in thousandths
CNY = "cny"  # amounts in thousandths
MILLI = 1000  # ledger amounts of credit are thousandths
TOLERANCE_MILLI = (
    1000  # home may record up to one credit more than the host awarded (Chinese practice)
)


class CreditAmount(Protocol):
    """What a schema calls Credit: a scheme and a decimal value."""

    @property
    def scheme(self) -> str: ...
    @property
    def value(self) -> Decimal: ...


def milli(amount: Decimal) -> int:
    """Thousandths of an amount. The schemas' scale is three, so nothing is rounded."""
    return int(amount * MILLI)


def credit_milli(credit: CreditAmount) -> int:
    """Thousandths of a credit."""
    return milli(credit.value)


def credit_unit(scheme: str) -> str:
    """The ledger unit of a credit scheme: `credit.cn_credit`."""
    return f"credit.{scheme}"


def credits_text(milli: int) -> str:
    """`3000` as `3`, `2500` as `2.5`."""
    text = format(Decimal(milli).scaleb(-3), "f")
    return text.rstrip("0").rstrip(".")
