"""What `serve` judges before it opens anything.

Idea        Options and secrets are understood first, so that a mistake costs a sentence and leaves nothing behind.
Invariant   Nothing here opens a store, a queue or a port.
When wrong  `ValueError` with the option's name, or argparse's sentence.
See         tests/web/test_serve.py · tests/web/test_config.py

Read in this order: options (the command line), config (the file: a table a stream), doors (who may send, who may look),
texts (files that people write), late_broker (a queue that may come later than the service).
"""
