"""The load of a drill: HTTP clients that record what they asked and what they were told."""
