"""The state of an installation: what everybody in it says, and what is wrong with that.

`observe` asks, the functions of `findings` judge what was seen, `report` puts it in words. Nothing
here writes to the store or changes a server.
"""
