"""Guarita: one-time tickets for signed-in iframes."""

__version__ = "0.1.0"
