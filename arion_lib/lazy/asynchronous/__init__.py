"""Event loops: coroutines in a pipeline, and `async for` over one."""
