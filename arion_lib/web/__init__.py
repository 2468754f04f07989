"""The web application: challenge 1's webhook as a service, the pages around it, and a sender to try it with.

Idea        FastAPI for what is looked at, plain ASGI for what is called twenty thousand times a second; the only part
            that imports a web framework.
Invariant   A 2xx means durable; what is in flight, waiting or lingering is bounded.
When wrong  A refusal is a problem document that says what must be, what was got and what to do.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/
"""
