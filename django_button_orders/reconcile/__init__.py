"""
Compare what should be known of orders with what is known, and fix what differs.

There are two comparisons. ``with_shop`` compares the shop's orders with our rows, by
means of ``rows``. ``with_button`` compares our rows with Button's orders, which
``questions`` asks for. Read ``run`` first: it goes through the pages of either
comparison, marks rows due if that is asked for, and records the ``findings``.
``values`` compares two payloads. ``recent`` is the comparison that runs by itself.

``walk`` goes through Button's own guide with invented orders, before a shop goes live.
``samples`` invents them, and ``steps`` compares what Button shows with what was sent.
"""
