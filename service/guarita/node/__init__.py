"""The node agent: runs a data node or a Sentinel as its child, and makes it obey the Sentinels.

Sentinel is the only judge of who is primary.
"""
