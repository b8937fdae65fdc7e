"""
Benchmarks: this package beside what shops write by hand (``naive``).

``run`` starts private servers and the scenarios. A scenario starts a ``system`` (fake
Button, workers, shops) on a database of ``bases``, and adds figures and targets to
``results``. ``desk``, ``calls`` and ``load`` run as separate processes.
"""
