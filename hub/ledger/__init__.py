"""The book. Pure: no clock, no randomness, no I/O, integers only.

`head`     when a record extends the log and when it is void      `posting`  amounts between accounts
`state`    what the rules look at                                 `apply`    state + input -> entries
`replay`   the same from the log, and the invariants              `snapshot` the state as bytes, to start from
"""
