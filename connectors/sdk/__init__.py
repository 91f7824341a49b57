"""What every connector shares. Read in this order.

`contract`   Source and Sink, their outcomes and errors     `state`      cursor, outbox, inbox position, parked: SQLite
`config`     connector.toml, each refusal with its fix      `runtime`    the loops around a source and a sink
`mapping`    field maps from theirs to ours, pure           `host`       many connectors in one process
`kafka`      the one place that knows aiokafka              `discovery`  the kinds, found by folder
`http`       the one place that knows httpx                 `cli`        `alliance connector`
`clock`      time, as an argument                           `testing`    fake hub, fake clock, conformance pieces
"""
