"""The path of value: what happens to an event between a member's outbox and the others' inboxes.

`admission`  framing, schema, signature, authority; parallel, stateless     member.<code>.out -> ledger.in
`sequencer`  fixes the order and applies the rules; one active              ledger.in -> ledger.entries
`delivery`   tells those concerned                                         ledger.entries -> member.<code>.in, alliance.<domain>
`clock`      makes the ledger look at its time                              `close`  makes it close a period
`auditor`    recomputes the ledger behind the sequencer, writes snapshots    `snapshots`  where they are kept
`keys`       members' keys as the ledger knows them                         `personal`  the look for personal data
`log`        reading ledger.entries through the reading rule               `plan`  all topics of the hub
`kafka`      the one place where this package touches aiokafka

Where each keeps its position, and what dies with it, is in `hub/ARCHITECTURE.md`.
"""
