"""What runs: dispatcher, mailbox, aggregate, journal, bus, projection, supervisor. One running thing per file.

Knows the ports and no store. User code in a turn is synchronous and pure.
"""
