"""ELMO: results of studies and of recognition as XML documents (EMREX)."""
