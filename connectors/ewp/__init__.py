"""Erasmus Without Paper: nominations, learning agreements, transcripts and agreements as XML documents."""
