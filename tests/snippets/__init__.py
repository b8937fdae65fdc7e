"""
Run the code blocks of the README and of the documentation.

``python -m tests.snippets`` runs all pages, ``python -m tests.snippets PAGE ...`` some.
Read ``page`` (which blocks a page has), ``python``, ``shell`` and ``formats`` (what is
done with a block), ``state`` (what a page may change until it ends) and ``plugin``
(pytest's way in), in this order. ``shop`` is the shop that the pages talk about, and
``stand_ins`` has as much of other packages as they use.
"""
