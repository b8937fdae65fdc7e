"""
What an operator asks for: retry, cancel, dismiss, resume, backfill, erase, prune.

These functions change rows, and ring for a worker where a row becomes due. They wait
for the database, never for a network. Read ``orders`` first: it applies an action to
orders, and logs it. ``queue`` leaves the same to the next sweep, for many orders.
``accounts`` resumes paused accounts. ``backfill`` adds rows for a shop's older orders,
by means of ``batches``. ``erase`` erases a customer. ``retention`` prunes what is old,
and has ``expiry`` erase the customers of old orders. ``throttle`` limits how fast a
command works.
"""
