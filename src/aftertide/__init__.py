"""Aftertide: an embeddable CQRS and event-sourcing runtime for asyncio.

The names exported here are the front door; everything else may move between versions.
"""

__version__ = "0.1.0"
