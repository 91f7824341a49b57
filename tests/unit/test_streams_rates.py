"""Messages per topic: by Kafka's minutes, exact under any delivery, whoever counts and whenever."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.streams import rates
from hub.streams.rates import MINUTE_MS, Count, fold
from schemas.envelope import from_millis
from tests.support.strategies import calm

T0 = 1_790_000_000_000 - 1_790_000_000_000 % MINUTE_MS
# Per partition the timestamps of its messages; producers' clocks may go back a little.
partitions = st.lists(
    st.lists(st.integers(T0, T0 + 6 * MINUTE_MS), max_size=12), min_size=1, max_size=3
)


def counted(deliveries: list[tuple[int, int, int]]) -> Count | None:
    count = None
    for partition, offset, timestamp in deliveries:
        count = fold(count, "alliance.credit", partition, offset, timestamp)
    return count


@settings(calm)
@given(times=partitions, data=st.data())
def test_any_order_of_partitions_and_any_redelivery_give_the_same_counts(
    times: list[list[int]], data: st.DataObject
) -> None:
    """Partitions keep their own order; between them, and after a kill, anything may happen."""
    reached = dict.fromkeys(range(len(times)), 0)
    count = None
    while open_ones := [p for p, at in reached.items() if at < len(times[p])]:
        partition = data.draw(st.sampled_from(open_ones), label="partition")
        start = data.draw(st.integers(0, reached[partition]), label="read again from")
        end = data.draw(st.integers(reached[partition] + 1, len(times[partition])), label="up to")
        for offset in range(start, end):
            count = fold(count, "alliance.credit", partition, offset, times[partition][offset])
        if data.draw(st.booleans(), label="restart"):
            assert count is not None
            count = rates.from_bytes(rates.to_bytes(count))
        reached[partition] = end
    everything = [time for part in times for time in part]
    if not everything:
        assert count is None
        return
    assert count is not None
    minutes = Counter(time // MINUTE_MS for time in everything)
    newest = max(minutes)
    assert count.rate.messages == len(everything)
    assert count.rate.minute == from_millis(newest * MINUTE_MS)
    assert count.rate.in_minute == minutes[newest]
    assert count.rate.previous_minute == minutes[newest - 1]
    assert count.rate.last_at == from_millis(max(everything))
    assert count.next_offsets == {p: len(part) for p, part in enumerate(times) if part}


def test_a_quiet_minute_leaves_no_previous_one() -> None:
    """Two messages, ten minutes apart: the minute before the second one was empty."""
    count = counted([(0, 0, T0), (0, 1, T0 + 10 * MINUTE_MS)])
    assert count is not None
    assert (count.rate.in_minute, count.rate.previous_minute) == (1, 0)


def test_offsets_may_jump_where_kafka_deleted_old_messages() -> None:
    """Domain topics may have a retention; a count from what is left is a count of what is left."""
    count = counted([(0, 500, T0), (0, 501, T0)])
    assert count is not None
    assert count.rate.messages == 2
    assert count.next_offsets == {0: 502}
