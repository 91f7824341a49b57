"""Watching the hub: how readers keep up, how much time retention leaves, clocks, silence, and who is told of it.

Owns rules (pure) and their memory. Who polls Kafka and who finds troubles is `hub.api`; what Prometheus and Grafana read is
in `prometheus` and `grafana` beside this file.
"""
