"""Private parts of events: keys of students, what is sealed and opened with them."""
