"""What legal and directory offices say: disputes about whatever there is, keys that come and go, students who are erased."""

from __future__ import annotations

import uuid
from datetime import timedelta
from functools import cache
from typing import Any

from schemas.signing import KEY_TYPE, Signer, new_signer, possession_body
from tests.support.histories_world import DAYS, Speech, Step, mistake

ITEMS = ("award", "recognition", "delivery", "enrollment", "award", "appointment", "plan")
ARBITERS = ((), (4,), (4, 5, 6), (5, 6))  # of dispute number n, as places in the cast
RESOLUTIONS = ("uphold", "correct", "void", "x-half")
LATER = {"about_kind": None, "about_id": None, "respondent": None, "arbiters": (), "ground": None}
KEYS = 3  # of a member, beside its first
DESTROYED = (
    (),
    ("d0",),
    ("d1",),
    ("d2", "d0"),
    ("d1", "d1"),
    ("d2",),
    ("d0", "d1"),
    ("d3",),
)  # data keys of a student
FIRST = "21fe31dfa154a261"  # with which `Ledger.say` signs where nobody says otherwise


def _pick(options: Any, choice: int) -> Any:
    return options[choice % len(options)]


@cache
def signer(member: str, number: int) -> Signer:
    return new_signer(f"{member}/{number}".encode().ljust(32, b"."))


def key_of(record: Any) -> str:
    """The key that signs an event: mostly the member's first, now and then one of those it may have added."""
    number = uuid.UUID(record.envelope.event_id).int % 2**32
    if number % 4:
        return FIRST
    return signer(record.envelope.member, number // 4 % KEYS).key_id


class DisputeSpeech(Speech):
    """Makers of the events about disputes and keys."""

    def go_study(self, step: Step) -> Any:
        raise NotImplementedError

    def _about(self, number: int, step: Step) -> dict[str, Any]:
        """What a dispute is about: something that is there, or an award that may come."""
        there = [kind for kind in ITEMS if self.oracle.books.all(kind)]
        kind = _pick(there or ITEMS, step.choice + step.amount)
        names = sorted(self.oracle.books.all(kind))
        home, host = self.pair(number)
        item = ("award", f"w{number}")
        if names:
            item = (kind, _pick(names, step.days))
            fact = self.oracle.books.all(kind)[item[1]]
            home = fact["home"]
            award = self.fact("award", fact["awards"][0]) if kind == "recognition" else fact
            host = award["host"] if award else host
        claims = number % 2 == 0
        return {
            "claimant": home if claims else host,
            "respondent": host if claims else home,
            "about_kind": item[0],
            "about_id": item[1],
        }

    def dispute(self, step: Step, said: str | None = None) -> Any:
        number = step.which % 4
        name = f"x{number}"
        said = said or _pick(
            ("open", "answer", "propose", "agree", "withdraw", "decide"), step.choice
        )
        wish = self.planned("dispute", name, lambda: self._about(number, step))
        known = self.fact("dispute", name) or {}
        claimant, respondent = wish["claimant"], wish["respondent"]
        arbiters = tuple(self.cast[place] for place in ARBITERS[number])
        if said == "open":
            facts = {key: wish[key] for key in ("respondent", "about_kind", "about_id")}
            facts |= {"party": claimant, "arbiters": arbiters, "ground": "amount"}
        else:
            other = claimant if known.get("proposer") == respondent else respondent
            party = {
                "answer": respondent,
                "propose": _pick((respondent, claimant), step.amount),
                "agree": _pick((other, other, other, known.get("proposer") or other), step.amount),
                "withdraw": claimant,
                "decide": _pick(arbiters or (self.cast[4],), step.amount),
            }[said]
            facts = LATER | {"party": party}
        resolution = None
        if said in ("propose", "decide"):
            resolution = _pick(RESOLUTIONS, step.days)
        elif said == "agree":
            resolution = "x-other" if step.days == 5 else known.get("resolution") or "void"
        return self.make(
            step, "dispute.changed", facts | {"dispute_id": name, "step": said, "resolution": resolution},
            sides=("party",), statement_hash=None if step.days % 2 else "0f" * 32,
        )  # fmt: skip

    def go_dispute(self, step: Step) -> Any:
        """Opened, answered, proposed; then agreed to, withdrawn, or voted on."""
        state = self.state("dispute", f"x{step.which % 4}")
        if not state and not any(self.oracle.books.all(kind) for kind in ITEMS):
            return self.go_study(step)
        nearest = {
            "": ("open",),
            "open": ("answer", "answer", "propose", "decide"),
            "answered": ("propose", "decide", "decide", "withdraw"),
            "proposed": ("agree", "propose", "decide", "agree"),
        }
        return self.dispute(step, _pick(nearest.get(state, ("open",)), step.choice))

    def key(self, step: Step) -> Any:
        """One of a member's keys is added, takes over from another, or is revoked."""
        code = self.cast[step.which % 4]
        number = step.choice % KEYS
        new = signer(code, number)
        old = signer(code, (number + 1 + step.days % 2) % KEYS).key_id
        if step.amount == 5:
            old = f"{step.which:016x}"  # a first key that the ledger never heard of
        elif step.amount == 6:
            old = signer(self.cast[4 if step.which > 1 else 1 - step.which], number).key_id
        action = _pick(("add", "revoke", "add", "rotate"), step.amount + step.days)
        possession = new.sign_as(KEY_TYPE, possession_body(code, new.key_id))
        self.oracle.books.genuine.add((code, new.key_id, new.public, possession))
        facts: dict[str, Any] = {
            "code": code,
            "action": action,
            "key_id": new.key_id,
            "public_key": new.public,
            "possession": possession,
            "replaces": old if action == "rotate" else None,
            "reason": None,
        }
        if action == "revoke":
            facts |= {
                "key_id": old, "public_key": None, "possession": None, "reason": _pick(("lost", "retired"), step.days),
            }  # fmt: skip
        elif step.amount == 7:
            thief = signer(self.cast[1 - step.which % 2], number)  # another's key, truly held
            possession = thief.sign_as(KEY_TYPE, possession_body(code, thief.key_id))
            self.oracle.books.genuine.add((code, thief.key_id, thief.public, possession))
            facts |= {
                "key_id": thief.key_id, "public_key": thief.public, "possession": possession,
            }  # fmt: skip
        return self.make(step, "member.key-changed", facts, sides=("code",))

    def erased(self, step: Step) -> Any:
        """A home destroyed keys of one of its students: some now, and perhaps others later."""
        home = self.cast[step.which % 3]
        erased_at = self.noon(0)
        facts = {
            "student_id": f"urn:alliance:student:{home}:s{step.choice % 2}",
            "home": home,
            "key_ids": DESTROYED[step.amount],
            "erased_at": erased_at,
            "backups_clear_at": erased_at + timedelta(days=DAYS[step.days]),
        }
        return self.make(step, "student.erased", facts, sides=("home",))


mistake(
    "dispute.changed",
    lambda known: {"about_kind": "offering" if known["about_kind"] else "award"},
    lambda known: {"about_id": None if known["about_id"] else "w0"},
    lambda known: {"respondent": "99999" if known["respondent"] else "10610"},
    lambda known: {"respondent": known["party"] if known["respondent"] else "10610"},
    lambda known: {"arbiters": (known["party"],)},
    lambda known: {"arbiters": ("99999",)},
    lambda known: {"ground": "taste"},
    lambda known: {"resolution": "forget"},
    lambda known: {"resolution": None if known["resolution"] else "void"},
    lambda known: {"resolution": "void" if known["resolution"] == "uphold" else "uphold"},
    lambda known: {"statement_hash": "0f"},
    lambda known: {"party": known["respondent"] or "10650"},
)
mistake(
    "member.key-changed",
    lambda known: {"possession": None if known["possession"] else bytes(64)},
    lambda known: {"possession": bytes(64)},
    lambda known: {"public_key": (known["public_key"] or bytes(32))[:31]},
    lambda known: {"key_id": "0123456789abcdef" if known["public_key"] else "no key"},
    lambda known: {"replaces": None if known["replaces"] else "fedcba9876543210"},
    lambda known: {"replaces": known["key_id"]},
    lambda known: {"replaces": "old"},
    lambda known: {"reason": "mislaid" if known["reason"] else None, "action": "revoke"},
    lambda known: {"reason": None, "action": "revoke"},
)
mistake(
    "student.erased",
    lambda known: {"backups_clear_at": known["erased_at"] - timedelta(seconds=1)},
    lambda known: {"student_id": known["student_id"].replace("student", "person")},
    lambda known: {"student_id": known["student_id"].replace(known["home"], "M-AMU")},
    lambda known: {"student_id": "s0"},
    lambda known: {"home": known["home"][:-1]},
)
