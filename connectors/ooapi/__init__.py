"""Open Education API: course offerings read from a campus, enrollments and results written to it as associations."""
