"""The campus side: what turns a campus's changes into signed events and events into changes at the campus.

`sdk`        what every connector shares: contract, configuration, mapping, state, runtime, command line
`reference`  a campus in memory, both directions: the one to copy
`http_poll`  source: a JSON API asked for its changes
`http_push`  sink: a JSON API that takes batches
`sandbox`    simulated campuses to try connectors on

A connector is a *kind of system*, one folder here; a campus is *configuration*, one folder anywhere. Imports `schemas`,
never `hub`.
"""
