"""The web application: challenge 1's webhook as a service, the pages around it, and a sender to try it with.

Idea        FastAPI for what is looked at, plain ASGI for what is called twenty thousand times a second; the only part
            that imports a web framework.
Invariant   A 2xx means durable; what is in flight, waiting or lingering is bounded.
When wrong  A refusal is a problem document that says what must be, what was got and what to do.
See         notebooks/1_streaming_pipeline.ipynb · tests/web/

The book, to read in this order:

    serve         the command: judge the options, open store and queue, listen
    streams       what holds for a stream: recipe, signature, delivery id
    application   one ASGI application: the hot route, and the pages behind their door
    requests      a post's head: what is asked for, and what is refused at once
    bodies        its bytes: all at once when few, otherwise block by block
    signatures    who sent them
    webhook       events in, a 2xx once they are durable
    group_commit  one thread commits what waits, together
    service       the threads' life: start, drain, end
    problems      every refusal, and what an error means for its sender

    socket --> edge/protocol --> edge/fast_path ---------------------> group_commit --> store
                            \\-> application --> requests --> webhook --> bodies --^
                                            \\-> pages/, monitoring/, scheduling/

`edge/fast_path` is the same as the webhook for one plain event in one packet, at half the cost: read it last.

The annex, a folder for each idea: edge (server, bounds, gate, fast path), committing (joining, telling), startup
(options, the file that `--config` names), pages, monitoring, scheduling, playing (a sender, a playground), classroom
(the teacher's board).
"""
