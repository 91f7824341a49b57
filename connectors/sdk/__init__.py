"""What every connector shares. Read in this order.

`contract`   Source and Sink, outcomes, errors    `state`      cursor, outbox, inbox position, parked: SQLite
`config`     connector.toml, refusals with fixes  `outgoing`   a campus's records to signed events
`mapping`    field maps, theirs to ours, pure     `incoming`   the inbox's messages: new, genuine, of interest
`discovery`  the kinds, found by folder           `runtime`    the loops around sources and sinks
`kafka`      the one place that knows aiokafka    `host`       many connectors in one process
`http`       the one place that knows httpx       `cli`        `alliance connector`
`clock`      time, as an argument                 `testing`    fake hub, fake clock, conformance pieces
"""
