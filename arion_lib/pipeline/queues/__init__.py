"""Queues behind the seam of `broker`: a folder, Redis, RabbitMQ; and the form in which messages travel.

Idea        Messages travel in blocks of JSON lines that any client can read, each with an id.
Invariant   All queues pass one suite.
When wrong  Every error of a client becomes a `BrokerError` that says whether to come again.
See         tests/pipeline/test_broker.py
"""
