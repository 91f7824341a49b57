"""Rule sets that come inside signed events: registering them, and the ones that hold for a home university."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from hub.domain.member import MemberProfile
from hub.domain.reasons import Reason
from hub.ledger.state import Rejected, View
from hub.recognition.builtin import default_rules
from hub.recognition.language import RulesUnfit, parse, text_hash
from hub.recognition.registered import RegisteredRules, Version

read = lru_cache(maxsize=256)(parse)  # a text is read at admission of its event and at each replay


def register(text: str, owner: str, view: View) -> RegisteredRules | Rejected:
    """The rule set with this text as its newest version, or why it cannot be.

    The same text again changes nothing. A registered version is never replaced: the first may have any number, as the
    university counts, the next one has the next.
    """
    try:
        rules = read(text)
    except (
        RulesUnfit
    ):  # its words depend on the Python at hand, and every reader must write the same entry
        return Rejected(
            Reason.CONTENT_INVALID,
            f"the rule set with SHA-256 {text_hash(text)[:16]} is unfit; alliance rules lint says where, correct it",
        )
    if rules.id == default_rules().id:
        return Rejected(
            Reason.CONTENT_INVALID,
            f"rule set id {rules.id} is the alliance's own; give yours an id of its own",
        )
    if rules.owner != owner:
        return Rejected(
            Reason.CONTENT_INVALID,
            f"rule set {rules.id} says owner {rules.owner!r}, {owner!r} registers it; correct the owner",
        )
    known = view.find(RegisteredRules, rules.id)
    if known and known.owner != owner:
        return Rejected(
            Reason.NOT_WRITER,
            f"rule set {rules.id} belongs to {known.owner}; give yours an id of its own",
            about=known,
        )
    version = Version(rules.version, text_hash(text), rules)
    return _next(known, version) if known else RegisteredRules(rules.id, owner, (version,))


def _next(known: RegisteredRules, version: Version) -> RegisteredRules | Rejected:
    newest = known.newest.number
    if version.number == newest and version.text_hash == known.newest.text_hash:
        return known
    if version.number != newest + 1:
        return Rejected(
            Reason.STALE_VERSION,
            f"rule set {known.id} is registered up to version {newest}, the text is another and says {version.number}; "
            f"give it version {newest + 1}",
            about=known,
            version=newest,
        )
    return replace(known, versions=(*known.versions, version))


def own_rules(home: str, view: View) -> RegisteredRules | None:
    """The rule set that a home university registered as its own, or None if it has none."""
    profile = view.find(MemberProfile, home)
    return view.find(RegisteredRules, profile.rules_id) if profile and profile.rules_id else None
