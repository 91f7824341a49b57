"""Policy files: the example of tlog-policy, each refusal with its line, and who is enough."""

from __future__ import annotations

from itertools import combinations

import pytest

from schemas.tlog.cosignature import ED25519_COSIGNATURE, ML_DSA_44_COSIGNATURE, CosignatureSigner
from schemas.tlog.errors import Malformed
from schemas.tlog.note import Signer
from schemas.tlog.policy import Group, Policy

LOG = Signer("alliance.example/ledger", bytes(32)).verifier.vkey
COSIGNERS = [
    CosignatureSigner(f"w{n}.example", ED25519_COSIGNATURE, bytes([n] * 32)) for n in range(1, 7)
]
V = [cosigner.verifier.vkey for cosigner in COSIGNERS]
PQ = CosignatureSigner("pq.example", ML_DSA_44_COSIGNATURE, bytes(32)).verifier.vkey
SAME_KEY = CosignatureSigner("impostor.example", ED25519_COSIGNATURE, bytes([1] * 32)).verifier.vkey
PLAIN = Signer("w1.example", bytes([1] * 32)).verifier.vkey
# The example of the specification, with keys.
EXAMPLE = f"""log {LOG}

witness X1 {V[0]}
witness X2 {V[1]}
witness X3 {V[2]}
group X-witnesses 2 X1 X2 X3

witness Y1 {V[3]}
witness Y2 {V[4]}
witness Y3 {V[5]}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def test_the_example_policy_is_met_by_two_of_one_kind_and_one_of_the_other() -> None:
    """All 64 sets of witnesses."""
    policy = Policy.parse(EXAMPLE.encode())
    names = ["X1", "X2", "X3", "Y1", "Y2", "Y3"]
    for many in range(7):
        for chosen in combinations(names, many):
            x = sum(name.startswith("X") for name in chosen)
            assert policy.met_by(chosen) == (x >= 2 and many - x >= 1)
    assert not policy.met_by(
        ["X-and-Y", "X-witnesses", "Y-witnesses", "nobody"]
    )  # groups do not sign
    assert [group.threshold for group in policy.groups] == [2, 1, 2]
    assert Policy.parse(policy.to_bytes()) == policy


@pytest.mark.parametrize(
    ("text", "quorum"),
    [
        ("quorum none\n", "none"),
        (
            f"\n# note\n\t # more\n\twitness \t w1  {V[0]}   https://w1.example/  \n\n  quorum\tw1\n",
            "w1",
        ),
        (f"witness all {V[0]}\nwitness any {V[1]}\ngroup group 2 all any\nquorum group\n", "group"),
        (f"witness none2 {PQ}\nquorum none2\n", "none2"),
        (f"log {LOG} https://log.example/\nlog {PLAIN}\nwitness w1 {V[0]}\nquorum w1\n", "w1"),
    ],
)
def test_what_the_specification_allows_is_read(text: str, quorum: str) -> None:
    """White space, comments, keywords as names, all kinds of keys, a key that is log and witness."""
    policy = Policy.parse(text.encode())
    assert policy.quorum == quorum
    assert Policy.parse(policy.to_bytes()) == policy


def test_names_are_octets() -> None:
    """Also those that are no UTF-8; look-alikes differ."""
    name = b"\xe2\x84\xaa\x80"
    policy = Policy.parse(b"witness " + name + b" " + V[0].encode() + b"\nquorum " + name + b"\n")
    assert not policy.met_by(["K"])
    assert policy.met_by([policy.witnesses[0].name])
    assert policy.to_bytes().endswith(b"quorum " + name + b"\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quorum none\n\x01\n", "policy line 2: found byte 0x01"),
        ("quorum none\r\n", "policy line 1: found byte 0x0d"),
        ("\n\nquorum none\x7f\n", "policy line 3: found byte 0x7f"),
        ("\nquorum none", "policy line 2: found no newline at the end"),
        ("quibble w1\nquorum none\n", "policy line 1: found 'quibble'"),
        (
            f"witness w1 {V[0]} https://w1.example/ # no comment\nquorum w1\n",
            "policy line 1: found 6 items",
        ),
        ("log\nquorum none\n", "policy line 1: found 0 items"),
        ("log garbage\nquorum none\n", "policy line 1, vkey of garbage"),
        (f"log {LOG[:-4]}AAA=\nquorum none\n", "policy line 1, key id"),
        ("log a+bb4d1d60+AgM=\nquorum none\n", "policy line 1, key id"),
        (
            f"log {LOG}\n\nlog {LOG} https://log.example/\nquorum none\n",
            "policy line 3: found the public key of",
        ),
        ("witness w1\nquorum none\n", "policy line 1: found 1 items"),
        (
            f"witness w1 {PLAIN}\nquorum w1\n",
            "policy line 1, signature type: found 0x01, wanted 0x04 or 0x06",
        ),
        (f"witness none {V[0]}\nquorum none\n", "policy line 1: found the name 'none'"),
        (
            f"witness w1 {V[0]}\nwitness w1 {V[1]}\nquorum w1\n",
            "policy line 2: found the name 'w1'",
        ),
        (
            f"witness w1 {V[0]}\nwitness w2 {SAME_KEY}\nquorum w1\n",
            "policy line 2: found the public key of",
        ),
        (f"witness w1 {V[0]}\ngroup w1 any w1\nquorum w1\n", "policy line 2: found the name 'w1'"),
        (f"witness w1 {V[0]}\ngroup g1 1\nquorum w1\n", "policy line 2: found 2 items"),
        (
            f"witness w1 {V[0]}\ngroup none any w1\nquorum none\n",
            "policy line 2: found the name 'none'",
        ),
        (
            f"witness w1 {V[0]}\ngroup g1 0 w1\nquorum g1\n",
            "policy line 2: found threshold 0, wanted 1 to 1",
        ),
        (f"witness w1 {V[0]}\ngroup g1 -1 w1\nquorum g1\n", "policy line 2: found '-1'"),
        (f"witness w1 {V[0]}\ngroup g1 01 w1\nquorum g1\n", "policy line 2: found '01'"),
        (
            f"witness w1 {V[0]}\ngroup g1 2 w1\nquorum g1\n",
            "policy line 2: found threshold 2, wanted 1 to 1",
        ),
        (
            f"witness w1 {V[0]}\ngroup g1 any w2\nquorum g1\n",
            "policy line 2: found the member 'w2'",
        ),
        (
            f"group g1 any w1\nwitness w1 {V[0]}\nquorum g1\n",
            "policy line 1: found the member 'w1'",
        ),
        (
            f"witness w1 {V[0]}\ngroup g1 any g1\nquorum g1\n",
            "policy line 2: found the member 'g1'",
        ),
        (
            f"witness w1 {V[0]}\ngroup g1 any none w1\nquorum g1\n",
            "policy line 2: found the member 'none'",
        ),
        (
            f"witness w1 {V[0]}\ngroup g1 all w1 w1\nquorum g1\n",
            "policy line 2: found the member 'w1' again",
        ),
        (
            f"witness w1 {V[0]}\nwitness w2 {V[1]}\ngroup g1 any w1 w2\ngroup g2 any w1\nquorum g1\n",
            "policy line 4: found the member 'w1' again",
        ),
        (f"witness w1 {V[0]}\n", "policy: found no quorum line"),
        ("", "policy: found no quorum line"),
        (f"witness w1 {V[0]}\nquorum w1\nquorum w1\n", "policy line 3: found a second quorum line"),
        ("quorum unknown\n", "policy line 1: found 'unknown'"),
        (f"quorum w1\nwitness w1 {V[0]}\n", "policy line 1: found 'w1'"),
        ("quorum\n", "policy line 1: found 0 items"),
    ],
)
def test_a_policy_with_any_fault_is_refused_with_its_line(text: str, message: str) -> None:
    """Whoever edits such a file sees where."""
    with pytest.raises(Malformed) as refused:
        Policy.parse(text.encode())
    assert str(refused.value).startswith(message)


def test_a_long_chain_of_groups_is_weighed_without_recursion() -> None:
    """Deeper than Python's stack."""
    chain = "".join(f"group g{n} any g{n - 1}\n" for n in range(1, 3000))
    policy = Policy.parse(f"witness w1 {V[0]}\ngroup g0 any w1\n{chain}quorum g2999\n".encode())
    assert policy.groups[-1] == Group("g2999", 1, ("g2998",))
    assert policy.met_by(["w1"])
    assert not policy.met_by([])
