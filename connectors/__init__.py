"""The campus side: what turns a campus's changes into signed events and events into changes at the campus.

`sdk`         what every connector shares: contract, configuration, mapping, state, runtime, command line
`http_poll`   source: a JSON API asked for its changes   `http_push`   sink: a JSON API, in batches or one by one
`webhook_in`  source: what a system sends of itself      `sql_upsert`  sink: tables of a database
`sql_outbox`  source: an outbox table of a database      `file_drop`   source: CSV and JSON Lines, local or by SFTP
`ooapi`       Open Education API, both directions        `ewp`, `elmo` documents of student mobility, both directions
`reference`   a campus in memory, both directions        `sandbox`     simulated campuses to try connectors on
`bench`       events a second of each kind

A connector is a *kind of system*, one folder here; a campus is *configuration*, one folder anywhere. Imports `schemas`,
never `hub`.
"""
