"""
What happened to one order, and what follows for its commission.

Read ``evidence`` first: the row, its calls, and when the shop got the token. ``chain``
tells it as events, and ``conclusions`` says what follows (``waits``: what a pending
order waits for). They write dates and amounts in ``words``.
"""
