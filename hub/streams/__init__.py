"""Stream processors: what can be counted from the topics alone, and thrown away at any time.

`activity`   counts per member, from `ledger.entries`    `rates`     messages per topic, from `alliance.<domain>`
`cases`      open cases by next actor, from the same
`batches`    acknowledge after the effect, never before  `position`  where to read on, decided by the state
`plan`       names and topics                            `worker`    the Faust app; the one place that imports Faust

Nothing here is truth: see README.md for how to drop a processor and count again.
"""
