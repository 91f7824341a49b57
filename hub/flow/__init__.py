"""The path of value: what happens to an event between a member's outbox and the others' inboxes.

`admission`  framing, schema, signature, authority; parallel, stateless     member.<code>.out -> ledger.in
`sequencer`  fixes the order and applies the rules; one active              ledger.in -> ledger.entries
`delivery`   tells those concerned                                         ledger.entries -> member.<code>.in, alliance.<domain>
`log`        reading ledger.entries through the reading rule               `plan`  all topics of the hub
`kafka`      the one place where this package touches aiokafka

Where each keeps its position, and what dies with it, is in `hub/ARCHITECTURE.md`.
"""
