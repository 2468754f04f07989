"""Servers and files as resources: a database, a cache, an HTTP API.

Idea        A connection is described by a URL; `with` or `async with` opens it, for threads or for tasks.
Invariant   No driver is imported before a URL asks for it; leaving the block closes every connection.
When wrong  A server that is away is one `ServerAwayError` for all of them, with its password hidden.
See         tests/resources/test_connections.py
"""
