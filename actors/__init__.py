"""What runs: dispatcher, mailbox, aggregate, journal, bus, projection. One running thing per file.

Knows `domain` and nothing above it; a store is met only as a port.
"""
