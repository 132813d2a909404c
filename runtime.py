"""The front door and the composition root: the only file that knows both actors and stores.

[runtime] > mailbox > aggregate > journal > event store > bus > projection > read store > query
"""
