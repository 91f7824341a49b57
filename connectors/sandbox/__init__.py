"""Simulated campuses: twenty small student information systems to try connectors, the hub and people on.

`rules`    what the offices decide (pure)               `campus`   one campus: what happens on a message or a phase
`seeds`    invented people, courses, offerings (pure)   `server`   its HTTP interface, and many of them in one process
`shapes`   bodies as the interface speaks them (pure)   `folders`  what `alliance sandbox init` writes
`store`    its SQLite database                          `term`     the driver that leads all campuses through a term

Nothing here is used by a real campus. It knows the ledger's rules only as any university's staff would: from the
outcomes it is told.
"""
