"""Measures Guarita beside the usual ways to keep a session. Not a part of the package."""
