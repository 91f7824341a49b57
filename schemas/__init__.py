"""The contract between campuses and the hub. Imports nothing of ours.

`catalogue`  every schema by discovery, with ids          `codec`    records to framed bytes and back, by `avro_plain`
`records`    typed records (generated)                     `signing`  Ed25519 over the exact bytes
`envelope`   CloudEvents headers                           `topics`   the only place that spells a topic
`members`    who belongs to the alliance, with keys        `cli`      `alliance schemas`
`promises`   what the hub promises for an event            `private`  private parts under a student's key
`tlog`       formats of transparency logs                  `curve`    Ed25519 where PyNaCl is not installed
"""
