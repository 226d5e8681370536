"""The installations that a drill can break."""
