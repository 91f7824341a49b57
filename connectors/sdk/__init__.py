"""The connector SDK: everything around a campus's system except the system itself.

Whoever writes a kind needs `contract` (what a source and a sink are), and may use `http`, `database`, `xml`, `webhooks`,
`changes` and `memory`; `testing` examines it. The rest is the connector's own: `config` and `mapping` read a campus's
folder, `runtime` is the connector at work, `state` what it must not forget, `trust` whom it believes, `private` what only
home and host may read, `cli` the commands.
"""
