"""The read model: what the API and the console ask for, folded from topics and always rebuildable.

`tables`  the schema, for SQLite and PostgreSQL        `fold`       records -> rows, one transaction a batch
`queries` typed questions (`Reader`)                   `projector`  the process that follows the topics
"""
