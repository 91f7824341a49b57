"""Gauges for Prometheus. Few, and each explained by its own help text; the table is in `hub/watch/README.md`.

Made from an overview at each scrape, so there is no registry to share and nothing to reset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.api.overview import STATES, Overview
from hub.api.troubles import troubles
from hub.watch.alerts import State


class _Overview(Collector):
    def __init__(self, overview: Overview, alerts: Mapping[str, int] | None, waiting: int) -> None:
        self._overview, self._alerts, self._waiting = overview, alerts, waiting

    def collect(self) -> Iterator[Metric]:
        now = self._overview
        yield from _state(now)
        yield from _topics(now)
        yield from _readers(now)
        yield from _connectors(now)
        yield from _cluster(now)
        found = Counter((trouble.code, trouble.severity) for trouble in troubles(now))
        yield _labeled(
            "alliance_troubles", "What is wrong now, by code.", ("code", "severity"), found.items()
        )
        if self._alerts is not None:
            yield _labeled(
                "alliance_alerts",
                "Alerts by state.",
                ("state",),
                (((state.value,), self._alerts.get(state.value, 0)) for state in State),
            )
            yield _gauge(
                "alliance_alert_news_waiting",
                "News of alerts that no notifier has taken yet.",
                self._waiting,
            )


def _state(now: Overview) -> Iterator[Metric]:
    yield _labeled(
        "alliance_build_info",
        "The hub's version.",
        ("version",),
        [((version("alliance-hub"),), 1)],
    )
    yield _gauge("alliance_broker_reachable", "1 while the broker answers.", now.broker.reachable)
    yield _gauge("alliance_store_available", "1 while the read model answers.", not now.facts.error)
    yield _gauge(
        "alliance_ledger_head_seq", "Newest ledger entry in the read model.", now.facts.head.seq
    )
    yield _gauge(
        "alliance_parked_events", "Events waiting for a predecessor.", now.facts.still_parked
    )
    yield _gauge(
        "alliance_dead_letters", "Messages that could not be admitted.", now.facts.dead_letters
    )
    yield _labeled(
        "alliance_stage_lag_messages",
        "Messages a stage has still to take.",
        ("stage",),
        (
            ((stage.name,), stage.lag_messages)
            for stage in now.all_stages()
            if stage.lag_messages is not None
        ),
    )
    yield _labeled(
        "alliance_stage_stalled_seconds",
        "For how long a stage has had work and not moved.",
        ("stage",),
        (((stage.name,), stage.stalled_s) for stage in now.all_stages()),
    )
    outcomes = CounterMetricFamily(
        "alliance_ledger_entries", "Ledger entries by outcome.", labels=["outcome"]
    )
    for outcome, entries in sorted(now.totals().items()):
        outcomes.add_metric([outcome], entries)
    yield outcomes
    yield _labeled(
        "alliance_members",
        "Members by the state of their worst connector.",
        ("state",),
        (((state,), sum(view.state == state for view in now.members)) for state in STATES),
    )
    if now.log is not None:
        yield _gauge(
            "alliance_log_signed_size",
            "Entries under the newest signed checkpoint.",
            now.log.signed_size,
        )
        yield _gauge(
            "alliance_log_witnessed_size",
            "Entries under the newest checkpoint with a quorum of cosignatures.",
            now.log.witnessed_size,
        )


def _topics(now: Overview) -> Iterator[Metric]:
    yield _labeled(
        "alliance_topic_messages",
        "Messages kept; an upper bound where the topic is compacted.",
        ("topic",),
        (((view.offsets.name,), view.offsets.messages) for view in now.topics),
    )
    written = CounterMetricFamily(
        "alliance_topic_written", "Messages ever written: the sum of end offsets.", labels=["topic"]
    )
    for view in now.topics:
        written.add_metric([view.offsets.name], sum(view.offsets.end.values()))
    yield written


def _readers(now: Overview) -> Iterator[Metric]:
    watched = now.broker.watched
    yield _labeled(
        "alliance_reader_status",
        "How a reader does: 1 OK, 2 WARN, 4 STOP, 5 STALL, 6 REWIND.",
        ("reader",),
        (((group.group,), int(group.status)) for group in watched.groups),
    )
    messages: Counter[tuple[str, ...]] = Counter()
    lost: Counter[tuple[str, ...]] = Counter()
    seconds: dict[tuple[str, ...], float] = {}
    for lag in watched.lags:
        key = (lag.reader, lag.topic)
        messages[key] += lag.lag_messages
        lost[key] += lag.lost
        if lag.lag_s is not None:
            seconds[key] = max(seconds.get(key, 0.0), lag.lag_s)
    labels = ("reader", "topic")
    yield _labeled(
        "alliance_reader_lag_messages",
        "Messages a reader has still to take.",
        labels,
        messages.items(),
    )
    yield _labeled(
        "alliance_reader_lag_seconds",
        "Age of the first message a reader has not taken, by its own time.",
        labels,
        seconds.items(),
    )
    yield _labeled(
        "alliance_reader_lost_messages",
        "Messages that retention took before the reader came.",
        labels,
        lost.items(),
    )
    yield _labeled(
        "alliance_retention_headroom_seconds",
        "Time until retention may take what a topic's slowest reader has not read; only where one is behind.",
        ("topic",),
        (((room.topic,), room.headroom_s) for room in watched.headrooms),
    )


def _connectors(now: Overview) -> Iterator[Metric]:
    states, ages, outboxes = [], [], []
    figures: dict[str, list[tuple[tuple[str, ...], float]]] = {
        name: [] for name in ("keys", "events", "last", "expected", "behind")
    }
    for view in now.members:
        for connector in view.connectors:
            beat = connector.heartbeat
            whose = (beat.member, beat.connector)
            states.append(((*whose, connector.state), 1.0))
            ages.append((whose, connector.age_s))
            outboxes.append((whose, float(beat.outbox_events)))
            for part in beat.parts:
                place = (*whose, part.name)
                figures["keys"].append((place, part.parked_keys))
                figures["events"].append((place, part.parked_events))
                if part.last_record_at is not None:
                    figures["last"].append((place, part.last_record_at.timestamp()))
                if part.expected_s is not None:
                    figures["expected"].append((place, part.expected_s))
                if part.behind_s is not None:
                    figures["behind"].append((place, part.behind_s))
    whose_labels, place_labels = ("member", "connector"), ("member", "connector", "part")
    yield _labeled(
        "alliance_connector_state",
        "1 for the state a connector is in, as judged by the age of its heartbeat.",
        (*whose_labels, "state"),
        states,
    )
    yield _labeled(
        "alliance_connector_heartbeat_age_seconds",
        "Time since a connector last said how it is, by its own clock.",
        whose_labels,
        ages,
    )
    yield _labeled(
        "alliance_connector_outbox_events",
        "Events of a connector without an outcome yet.",
        whose_labels,
        outboxes,
    )
    for key, name, words in (
        ("keys", "alliance_connector_parked_keys", "Keys with something parked at the campus."),
        ("events", "alliance_connector_parked_events", "Records or deliveries parked at the campus."),
        ("last", "alliance_connector_last_record_timestamp_seconds", "When a source last gave a record."),
        ("expected", "alliance_connector_expected_interval_seconds", "Time within which a record is expected."),
        ("behind", "alliance_connector_behind_seconds", "Time by which a source is behind its campus."),
    ):  # fmt: skip
        yield _labeled(name, words, place_labels, figures[key])
    yield _labeled(
        "alliance_clock_skew_seconds",
        "A member's clock against ours; above 0 it is fast.",
        whose_labels,
        (((clock.member, clock.connector), clock.skew_s) for clock in now.broker.watched.clocks),
    )


def _cluster(now: Overview) -> Iterator[Metric]:
    cluster, disk = now.broker.watched.cluster, now.broker.watched.disk
    if cluster is not None:
        yield _gauge("alliance_brokers", "Brokers that answer.", cluster.brokers)
        yield _gauge("alliance_partitions", "Partitions of all topics.", cluster.partitions)
        yield _gauge(
            "alliance_partitions_under_replicated",
            "Partitions with fewer copies in sync than they should have.",
            len(cluster.under_replicated),
        )
        yield _gauge(
            "alliance_partitions_leaderless",
            "Partitions that take no messages.",
            len(cluster.leaderless),
        )
    if disk is not None:
        yield _gauge("alliance_disk_free_bytes", "Room on the disk of the hub's state.", disk.free_bytes)  # fmt: skip
        yield _gauge("alliance_disk_total_bytes", "Size of that disk.", disk.total_bytes)


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=float(value))


def _labeled(
    name: str,
    documentation: str,
    labels: tuple[str, ...],
    values: Iterable[tuple[tuple[str, ...], float]],
) -> Metric:
    metric = GaugeMetricFamily(name, documentation, labels=list(labels))
    for of, value in values:
        metric.add_metric(list(of), float(value))
    return metric


def metrics_page(
    overview: Overview, alerts: Mapping[str, int] | None = None, waiting: int = 0
) -> bytes:
    """The overview in Prometheus' text format. `alerts` counts them by state, None where none are kept."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Overview(overview, alerts, waiting))
    return generate_latest(registry)
