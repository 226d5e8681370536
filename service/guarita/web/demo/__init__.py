"""Acme Books: a small customer's site with its own backend, to try Guarita with.

It stands for any host: nothing in it is part of the service, which it only knows over HTTP.
"""
