"""Verification with public keys alone: what a member, an auditor or a court runs, without asking the hub anything.

outcome      what a check may find, with one exit code for each class
sources      files of the log: a folder, a web address, a broker
trust        whose signatures count; signed checkpoints
recompute    every entry from the signed events, every invariant from the postings
proofs       receipts, growth of the log, two stories of one log
mirror       every byte of a copy of the log
mine         a campus's outbox against its promises and receipts
erasure      what is left of a student
progress     how far, how fast, how long still
cli          `alliance verify`, and `alliance-verify` of a package of its own

Needs the standard library and `cryptography`, nothing else; reading from a broker needs aiokafka as well.
"""
