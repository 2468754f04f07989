"""The word `class`: the teacher's board. Who is where, which exercise stalls, what the room predicted.

Idea        Our own pipeline, used: each learner's kernel posts its checks and predictions as events to a webhook here;
            they are durable before the answer, count once however often they are sent, and the board reads the rows.
Invariant   Nothing is kept after the end unless `--keep` says where; no name is needed; no other machine is asked.
When wrong  An event that is not one of ours is a row that the board passes over.
See         arion_lib/workbook/record/classroom.py (the learner's side) · tests/web/test_classroom.py

Read in this order: room (what the board knows: plain values), board (webhook, page, live updates), board.html.j2.
"""
