"""
Check the reports of a shop's orders before they are sent. Sends and writes nothing.

Read ``run`` first: ``run_preflight`` builds the reports of the newest orders, as a
worker does, and returns a ``Preflight``. ``findings`` has that result, and the table of
the mistakes that are looked for. ``texts`` checks one report alone, ``amounts`` its
money, and ``repeats`` what several orders have in common. ``rehearsal`` undoes what
adapters write. ``newest`` yields the reports themselves, for ``reconcile.walk``.
"""
