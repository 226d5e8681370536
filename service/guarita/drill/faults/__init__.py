"""The faults of a drill."""
