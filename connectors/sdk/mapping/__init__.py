"""From a campus's record to an event and back: files, fields, code tables, converters, coverage, cases."""
