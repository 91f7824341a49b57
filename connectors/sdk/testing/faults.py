"""What goes wrong between a campus and the hub, and which question of the suite is about it.

Owns the names that a `Case` may use in `faults` and `tricks`, and what must follow each. A kind may have faults of names
of its own: the rules are the same, only no word of the reason is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave. `state` is what the heartbeat must show, with one of `words` in its reason."""

    what: str
    state: Literal["degraded", "failed"] = "degraded"
    words: tuple[str, ...] = ()


FAULTS = {
    "401": Fault("our key or our rights are refused", "failed"),
    "429": Fault("too many calls, with a time to wait", words=("429", "too many")),
    "429 storm": Fault("too many calls, with no time named", words=("429", "too many")),
    "500": Fault("an error of the server, again and again", words=("500", "breaker")),
    "503 for a while": Fault("closed, with a time to wait", words=("503", "breaker")),
    "away": Fault("the share is not there", words=("away",)),
    "clock off": Fault("the campus's clock is an hour behind"),
    "commit lost": Fault("the connection breaks at a commit that was not made"),
    "connection lost": Fault("the connection breaks before a statement"),
    "cut off": Fault("half a file arrives, then nothing", words=("cut off",)),
    "half json": Fault("an answer ends in the middle", words=("JSON", "XML", "login page")),
    "html": Fault("a login page with status 200", words=("JSON", "HTML", "web page", "login page")),
    "locked": Fault("somebody else holds the table", words=("lock",)),
    "lost answer": Fault("it is done, and nobody hears of it"),
    "timeout": Fault("no answer in time", words=("no answer", "breaker")),
}

TRICKS = {
    "late row": "a change appears with an earlier time than one that was read",
    "future row": "a change has a time that has not come yet",
    "delivered again": "all that was told is told once more",
    "renamed": "what was read appears under another name as well",
    "shrunk": "a record that was read vanishes, so that the pages behind it move up",
}

OWN = "the kind's own tests"
BY_FIELD: tuple[tuple[str, str, str], ...] = (
    # direction, what goes wrong, the question about it
    ("source", "a restart", "nothing new in a second run"),
    ("source", "death between two effects", "a kill between any two effects"),
    ("source", "death while waiting", "a kill at awaits"),
    ("source", "the key is refused", "check says what is wrong"),
    ("source", "a late row, pages that shrink, a file under another name", "tricks cost nothing"),
    ("source", "equal cursors at the end of a page", "changes arrive in their order"),
    ("source", "429, 500 storm, timeout, login page, half an answer or file", "a campus that misbehaves is asked again"),
    ("source", "a token expires between pages", "changes arrive in their order"),
    ("source", "a code or value without a mapping", "a record that cannot be mapped parks alone"),
    ("source", "ten minutes of trouble", "ten bad minutes park nothing"),
    ("source", "a transaction that commits late, a row of the future, wrong encoding, mass deletion, summer time", OWN),
    ("sink", "a delivery comes twice", "what is delivered twice is applied once"),
    ("sink", "a newer version behind one that is refused", "what waits behind a refusal comes in order"),
    ("sink", "one poison delivery among many", "a poison delivery parks alone"),
    ("sink", "ten minutes of trouble", "ten bad minutes park nothing"),
    ("sink", "it was done, the answer was lost", "a campus that misbehaves is asked again"),
    ("sink", "death between the campus's commit and ours", "a kill between any two effects"),
    ("sink", "death while waiting", "a kill at awaits"),
    ("sink", "a flag of a case", "a flag is told once"),
    ("sink", "a part of a batch fails, versions out of order", OWN),
    ("both", "SIGTERM", "an end that was asked for loses nothing"),
)  # fmt: skip
