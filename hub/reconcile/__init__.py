"""Campuses against the ledger: does every university's own database say what the ledger says?"""
