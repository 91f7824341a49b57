"""Alliance Hub, the system between the members' connectors. Packages in reading order:

`domain`     words of the alliance as values              `ledger`   the book: postings, entries, the reading rule; pure
`events`     one file per event type: its rule            `flow`     admission, sequencer, delivery: the path of value
`streams`    Faust processors whose state can be rebuilt   `store`    the read model
`api`        JSON over HTTP                               `console`  the operators' page
`broker`     a real Kafka on this machine                 `security` members' keys
`reconcile`  campuses against the ledger                  `demo`, `bench`  a whole term; figures

Arrows point one way, see `ARCHITECTURE.md`.
"""
