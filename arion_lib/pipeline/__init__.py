"""Challenge 1: a stream of webhook events into a database and a message queue, in constant memory, losing nothing.

Idea        Chunks of bytes become records, records pass through generator stages, and each batch of results is
            one transaction.
Invariant   Live memory is bounded by one chunk, one record and one batch, whatever the length of the stream.
When wrong  A bad record becomes a dead letter with its place; a sink that is down pushes back; a crash resumes where
            the last committed batch ended.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/
"""
