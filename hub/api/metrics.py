"""Gauges for Prometheus. Few, and each explained by its own help text.

Made from an overview at each scrape, so there is no registry to share and nothing to reset.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hub.api.overview import STATES, Overview


class _Overview(Collector):
    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    def collect(self) -> Iterator[Metric]:
        now = self._overview
        yield _gauge(
            "alliance_broker_reachable", "1 while the broker answers.", now.broker.reachable
        )
        yield _gauge(
            "alliance_store_available", "1 while the read model answers.", not now.facts.error
        )
        yield _gauge(
            "alliance_ledger_head_seq", "Newest ledger entry in the read model.", now.facts.head.seq
        )
        yield _gauge(
            "alliance_parked_events", "Events waiting for a predecessor.", now.facts.still_parked
        )
        yield _gauge(
            "alliance_dead_letters", "Messages that could not be admitted.", now.facts.dead_letters
        )
        lag = GaugeMetricFamily(
            "alliance_stage_lag_messages", "Messages a stage has still to take.", labels=["stage"]
        )
        for stage in now.all_stages():
            if stage.lag_messages is not None:
                lag.add_metric([stage.name], stage.lag_messages)
        yield lag
        outcomes = CounterMetricFamily(
            "alliance_ledger_entries", "Ledger entries by outcome.", labels=["outcome"]
        )
        for outcome, entries in sorted(now.totals().items()):
            outcomes.add_metric([outcome], entries)
        yield outcomes
        members = GaugeMetricFamily(
            "alliance_members", "Members by the state of their worst connector.", labels=["state"]
        )
        for state in STATES:
            members.add_metric([state], sum(view.state == state for view in now.members))
        yield members
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


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=float(value))


def metrics_page(overview: Overview) -> bytes:
    """The overview in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Overview(overview))
    return generate_latest(registry)
