"""
How the reporting goes: figures, limits, alerts, ping; what happened to one order.

Read ``current`` first: it gathers the figures of a database. They are counts of
``orders``, counts and durations of ``calls``, and what a sweep has counted before and
stored in a ``snapshot``. ``limits`` and ``alerts`` find what an operator should see to.
``metrics`` names the figures for monitoring systems. ``health_check`` and
``opentelemetry`` serve the packages of those names. ``ping`` asks Button whether it
accepts an account's key. ``mail`` sends what ``causes`` finds to the addresses of
``ALERTS``.

Two folders have their own reading order: ``explain`` tells what happened to one order,
and ``preflight`` checks the reports of a shop before they are sent.
"""
