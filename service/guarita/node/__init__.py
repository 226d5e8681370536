"""The node agent: runs a data node or a Sentinel as its child, and never guesses who is primary.

Decisions are pure functions, a module each (boot, rejoin, promotable, silent, leave, heal); what
carries them out is `agent` and `server`. Sentinel is the only judge of who is primary.
"""
