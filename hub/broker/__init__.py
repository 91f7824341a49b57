"""The broker: find one, or start one on this machine, and keep its topics as declared.

`resolve` decides which broker we talk to, `jars` and `java` find what an embedded one needs,
`kafka` runs it, `admin` speaks to it. Which topics exist is decided elsewhere (`schemas`, `flow`).
"""
