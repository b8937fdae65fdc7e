"""
From a due row to a recorded answer: claim, prepare, call, judge, record.

Read the files in that order. ``sweep`` runs the steps, for one row or for every row
that is due. ``claims`` leases due rows and makes an ``attempt`` of each. ``prepare``
finds what Button should know (``desired``) and chooses the call. ``call`` makes it,
and ``verdicts`` says what follows from the answer; ``conflict`` tells whose order it
is that Button has, ``tokens`` which token Button has tied to it, and ``window`` until
when it can be changed. ``outcome`` computes what an attempt changes, and ``record``
writes it down (``batch`` does so for many rows at once). ``troubles`` remembers for a
sweep why orders fail.
``rate_limit`` and ``backoff`` say when to call. ``ask`` is a question that a person
asks, outside of all this.
"""
