"""Between the socket and the application: uvicorn with bounds, and who is let in.

Idea        What a stranger can do to a connection is bounded before any application code runs.
Invariant   Heads, pipelined requests, pauses and unverified bodies are bounded in bytes and time.
When wrong  A problem document; where the body was not read to its end the connection is closed.
See         tests/web/test_protocol.py · tests/web/test_gate.py · tests/web/test_patience.py · tests/web/test_spool.py

Read in this order: server (start, drain, end), signals (what asks for the end), protocol (bounds on heads and pipelined
requests), gate (hosts, origins, the pages' token), patience (how long a sender may take), answers (ASGI messages of an
answer and of a refusal), verdict (what the sender of a body is told), spool (disk for signed bodies that are not
verified yet), fast_protocol (a connection that offers plain posts to the fast path), fast_path (one plain event in one
packet, at half the cost).
"""
