"""The alliance ledger as a transparency log: trees, tiles, signed checkpoints, cosignatures, proofs, policies.

errors       what a reader may find wrong
wire         base64, numbers and hashes in their one spelling
merkle       hashes, the growing frontier, inclusion and consistency proofs
tiles        the tree as files: paths, contents, growth, reading without trust
note         signed notes and Ed25519 keys
checkpoint   origin, size and root as the text of a note
cosignature  what witnesses sign, Ed25519 and ML-DSA-44
policy       whose signatures together are enough
proof        one file that shows an entry is logged
witness      the messages of add-checkpoint

Pure: values in, values out. Clock, storage and network are the caller's. README.md tells which file speaks which
specification. Later modules import earlier ones.
"""
