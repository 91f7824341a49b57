"""JSON over HTTP, under `/api/v1`, and the view of the whole system that API and console share.

`kafka_view` what the broker says      `overview` broker + read model + alliance, judged   `troubles` what to do next
`routes`     the handlers              `problems` errors by RFC 9457                       `metrics`  Prometheus
`sentences`  an entry in words
"""
