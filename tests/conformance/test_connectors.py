"""What every connector kind owes, whoever wrote it. Kinds and their campuses are found by folder."""

from connectors.sdk.discovery import kinds
from connectors.sdk.testing import suite

test_a_kind_keeps_the_rule = suite.for_kinds()


def test_every_kind_brings_a_campus_for_this_suite():
    """A new kind is one folder; nobody may forget to have it examined."""
    assert {ask.kind for ask in suite.asks()} == set(kinds())
