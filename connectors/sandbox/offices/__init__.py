"""The offices of a campus: each knows its phases of the term, the events it receives and the outcomes it waits for.

An office module offers `PHASES`, `RECEIVES` (by event name) and `SETTLES` (by resource of the change feed); `directory`
gathers them. Handlers run inside the transaction of the message or phase, so what an office answers at once is as
durable as what it was told.
"""
