"""Failure drills: load, a fault, and a verdict on what every client was told."""
