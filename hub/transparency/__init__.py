"""The log that members can check: tiles, checkpoints, cosignatures, receipts.

- `bus`: what is needed of Kafka, as protocols; `hub.run` plugs it in
- `files`: the folder of the log, written atomically
- `record`: what was signed last, changed by compare-and-set
- `tree`: one signer's log: from entries to a signed checkpoint, and back to its feet after a crash
- `signer`: the process `alliance run signer`
- `quorum`: which cosignatures there are, and for which checkpoint they are enough
- `http_witness`: witnesses that are asked over HTTP
- `proofs`: receipts made from the files
- `receipts`: the process `alliance run receipts`

Formats are `schemas.tlog`'s.
"""
