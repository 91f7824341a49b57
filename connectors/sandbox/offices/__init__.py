"""The offices of a campus: each knows its tables, its phases of the term, the events it receives and the outcomes it
waits for.

A module here is an office; `directory` finds it. Names that begin with `_` or `shapes_` are helpers. An office offers

    PHASES     Mapping[str, Phase]       what it does when a phase of the term begins (order: `directory.TERM`)
    RECEIVES   Mapping[str, Receive]     others' events, by event name
    SETTLES    Mapping[str, Settle]      outcomes of own changes, by resource of the change feed

and, where it has them,

    RESOURCES  Mapping[str, str]         resources of the change feed, with the event that each becomes
    TABLES     str                       SQL that makes its tables
    EFFECTS    Sequence[Effect]          whose changes the journal notes
    FLAGS      Mapping[str, Flag]        cases that need a person, by kind of case
    CASES      Callable[[Desk], Sequence[Case]]   things as the ledger knows them, for the holdings
    holdings   Callable[[Desk], Holdings]         lists of the holdings with columns of their own
    work       Callable[[Desk], int]              cases where it is this office's turn

A resource has one owner, and its mapping is `connector_template/mapping/<resource>.toml`. Handlers run inside the
transaction of the message or phase, so what an office answers at once is as durable as what it was told.
"""
