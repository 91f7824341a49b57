"""Trust policies: which logs and witnesses are known, and which of the witnesses together are enough.

Owns the policy file and its quorum; verifying signatures is `schemas.tlog.note`, reading a receipt `schemas.tlog.proof`.
Names are octets to the specification; here they are text in which an octet that is no UTF-8 survives as a surrogate.
Source: C2SP tlog-policy at 5ba5ee8. Ours: no limit on lines; a threshold has no leading zeroes; a log key is of type
0x01, 0x04 or 0x06; every line ends in a newline, the last one too, so that a file cut short is seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from schemas.tlog.cosignature import CosignatureVerifier
from schemas.tlog.errors import Malformed
from schemas.tlog.note import ED25519, Signature, Verifier, parse_vkey
from schemas.tlog.wire import from_decimal, shown

NONE = "none"
AnyVerifier = Verifier | CosignatureVerifier
T = TypeVar("T")

_CONTROLS = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]")
_WORDS = re.compile(r"[^ \t]+")


@dataclass(frozen=True, slots=True)
class Log:
    """A log whose checkpoints count. The key name is the origin of its checkpoints."""

    verifier: AnyVerifier
    url: str = ""

    @property
    def origin(self) -> str:
        """First line of its checkpoints."""
        return self.verifier.name


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness under the name this policy gives it."""

    name: str
    verifier: CosignatureVerifier
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Has witnessed what at least `threshold` of its members have."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy file."""

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str

    @classmethod
    def parse(cls, data: bytes) -> Policy:
        """The policy of a file, or `Malformed` with the number of the line."""
        control = _CONTROLS.search(data)
        if control:
            place = _line_place(data.count(b"\n", 0, control.start()) + 1)
            raise Malformed(
                place, f"byte {control[0][0]:#04x}", "tab, newline and printable characters"
            )
        text = data.decode("utf-8", "surrogateescape")
        if text and not text.endswith("\n"):
            raise Malformed(_line_place(text.count("\n") + 1), "no newline at the end", "one")
        draft = _Draft()
        for number, line in enumerate(text.split("\n"), 1):
            draft.read(_WORDS.findall(line), _line_place(number))
        return draft.policy()

    def to_bytes(self) -> bytes:
        """A file that parses to this policy."""
        lines = [
            *(("log", log.verifier.vkey, log.url) for log in self.logs),
            *(
                ("witness", witness.name, witness.verifier.vkey, witness.url)
                for witness in self.witnesses
            ),
            *(("group", group.name, str(group.threshold), *group.members) for group in self.groups),
            ("quorum", self.quorum),
        ]
        text = "".join(" ".join(word for word in line if word) + "\n" for line in lines)
        return text.encode("utf-8", "surrogateescape")

    def met_by(self, names: Iterable[str]) -> bool:
        """Whether these witnesses, by their names here, are enough. Unknown names count for nothing."""
        met = {witness.name for witness in self.witnesses} & set(names)
        for group in self.groups:  # members stand before the group that lists them
            if sum(member in met for member in group.members) >= group.threshold:
                met.add(group.name)
        return self.quorum == NONE or self.quorum in met

    def log_verifiers(self, origin: str) -> tuple[AnyVerifier, ...]:
        """The keys that may sign a checkpoint of this origin."""
        return tuple(log.verifier for log in self.logs if log.origin == origin)

    def verifiers(self) -> tuple[AnyVerifier, ...]:
        """All keys, of logs and of witnesses."""
        return (
            *(log.verifier for log in self.logs),
            *(witness.verifier for witness in self.witnesses),
        )

    def witness_names(self, verified: Iterable[Signature]) -> frozenset[str]:
        """Which witnesses made these signatures, which the caller has verified."""
        keys = {signature.key for signature in verified}
        return frozenset(
            witness.name
            for witness in self.witnesses
            if (witness.verifier.name, witness.verifier.key_id) in keys
        )


def parse_any_vkey(text: str) -> AnyVerifier:
    """A key of any signature type a log may use here: 0x01, 0x04 or 0x06."""
    name, key_type, public_key = parse_vkey(text)
    if key_type == ED25519:
        return Verifier(name, public_key)
    return CosignatureVerifier(name, key_type, public_key)


def _line_place(number: int) -> str:
    return f"policy line {number}"


class _Draft:
    """What the lines read so far have defined."""

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self.witnesses: list[Witness] = []
        self.groups: list[Group] = []
        self.quorum = ""
        self.names: set[str] = set()
        self.listed: set[str] = set()  # as a member of some group

    def read(self, words: list[str], place: str) -> None:
        """Take one line in."""
        if not words or words[0].startswith("#"):
            return
        keyword, *items = words
        readers: dict[str, Callable[[list[str], str], None]] = {
            "log": self._log,
            "witness": self._witness,
            "group": self._group,
            "quorum": self._quorum,
        }
        if keyword not in readers:
            raise Malformed(place, shown(keyword), "log, witness, group, quorum or a comment")
        readers[keyword](items, place)

    def policy(self) -> Policy:
        """The finished policy."""
        if not self.quorum:
            raise Malformed("policy", "no quorum line", "exactly one")
        return Policy(tuple(self.logs), tuple(self.witnesses), tuple(self.groups), self.quorum)

    def _log(self, items: list[str], place: str) -> None:
        _check_items(items, (1, 2), place, "log <vkey> [<url>]")
        verifier = _at(place, parse_any_vkey, items[0])
        _check_new(verifier, [log.verifier for log in self.logs], place)
        self.logs.append(Log(verifier, *items[1:]))

    def _witness(self, items: list[str], place: str) -> None:
        _check_items(items, (2, 3), place, "witness <name> <vkey> [<url>]")
        self._define(items[0], place)
        verifier = _at(place, CosignatureVerifier.from_vkey, items[1])
        _check_new(verifier, [witness.verifier for witness in self.witnesses], place)
        self.witnesses.append(Witness(items[0], verifier, *items[2:]))

    def _group(self, items: list[str], place: str) -> None:
        _check_items(
            items, range(3, len(items) + 1), place, "group <name> <all, any or number> <name>..."
        )
        name, rule, *members = items
        for member in members:
            self._list(member, place)
        self._define(name, place)
        self.groups.append(Group(name, _threshold(rule, len(members), place), tuple(members)))

    def _quorum(self, items: list[str], place: str) -> None:
        _check_items(items, (1,), place, "quorum <name>")
        if self.quorum:
            raise Malformed(place, "a second quorum line", "exactly one")
        if items[0] != NONE and items[0] not in self.names:
            raise Malformed(place, shown(items[0]), "none, or a name defined on a line before")
        self.quorum = items[0]

    def _define(self, name: str, place: str) -> None:
        if name == NONE or name in self.names:
            raise Malformed(place, f"the name {shown(name)}", "a name not taken yet")
        self.names.add(name)

    def _list(self, member: str, place: str) -> None:
        if member not in self.names:
            raise Malformed(place, f"the member {shown(member)}", "a name defined on a line before")
        if member in self.listed:
            raise Malformed(
                place, f"the member {shown(member)} again", "each name in one group, once"
            )
        self.listed.add(member)


def _check_items(items: list[str], wanted: Iterable[int], place: str, form: str) -> None:
    if len(items) not in wanted:
        raise Malformed(place, f"{len(items)} items", form)


def _check_new(verifier: AnyVerifier, known: Iterable[AnyVerifier], place: str) -> None:
    """Two keys are the same if the public key is, whatever name or type it goes under."""
    if any(other.public_key == verifier.public_key for other in known):
        raise Malformed(
            place, f"the public key of {shown(verifier.name)} again", "each public key once"
        )


def _threshold(rule: str, members: int, place: str) -> int:
    if rule in ("all", "any"):
        return members if rule == "all" else 1
    threshold = from_decimal(rule, place)
    if not 1 <= threshold <= members:
        raise Malformed(place, f"threshold {threshold}", f"1 to {members}")
    return threshold


def _at(place: str, parse: Callable[[str], T], text: str) -> T:
    """What `parse` makes of `text`; what it refuses is told with its place."""
    try:
        return parse(text)
    except Malformed as broken:
        raise Malformed(f"{place}, {broken.place}", broken.found, broken.wanted) from broken
