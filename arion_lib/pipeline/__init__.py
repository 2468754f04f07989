"""Challenge 1: a stream of webhook events into a database and a message queue, in constant memory, losing nothing.

Idea        Chunks of bytes become records, records become rows or sums, and each batch of them is one transaction.
Invariant   Live memory is bounded by one chunk, one record and one batch, whatever the length of the stream.
When wrong  A bad record becomes a dead letter with its place; a sink that is down pushes back; a crash resumes where
            the last committed batch ended.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/

The flow, from a sender's bytes to a consumer's message:

    chunks -> decoder -> records -> ingest -> batch -> commit -> store -> outbox -> broker -> consumer
              ndjson     projection  rows, or         one          rows, sums,   relay     at least once,
              (formats)              groups           transaction  deliveries              with an id

Read in this order, the book:

    batch       the values that travel                      deliveries  a delivery counts once
    decoder     one record's bytes, or why not              ingest      the loop: body in, receipt out
    ndjson      chunks to lines to records                  store       what a store promises
    projection  read the wanted fields only                 outbox      what was committed goes to the queue
    groups      count and sum by key                        broker      what a queue promises

The annex, a folder for each idea: formats (arrays, documents, gzip), shapes (the recipe, records to rows or sums, what
is known beside them), numbers (exact sums, windows), stores (the group commit, one SQL store in two dialects,
retention, dead letters), queues (a folder, Redis, RabbitMQ, the form of a message), files (ranges over workers,
samples).
"""
