"""What the application says: deciders, views, messages, consistency, lag models, errors and ports.

Pure: no await, no clock, no chance, no disk. `actors` runs what is decided, `stores` remembers it.
"""
