"""
The pages of Django's admin: the list of Button orders, the page of each, and more.

The pages show ``monitoring`` and call ``operations``; they decide nothing themselves.
Read in this order:

* ``orders``: the list as declared, and the page of each order. Its parts, from top to
  bottom, are in ``standing`` (the box with the buttons), ``explain`` and ``warn`` (the
  sentences in it), ``history`` (the calls so far), ``payload`` (what is reported),
  ``window`` (until when the order can be changed), ``view_of_button`` (what Button
  holds in another way; ``ask`` asks it), ``preview`` (the next call) and ``earnings``
  (why it earned a commission, or not). ``timeline`` is the page behind "History".
* ``changelist``: the list, with its columns. Its parts are in ``filters``, ``search``,
  ``panel`` (the figures above it), ``check_adapter`` (a preflight) and ``export``
  (CSV).
* ``actions``: Retry, dismiss, cancel, overwrite and erase, for one order or many. Their
  texts are in ``verbs``, and the counted orders in ``selection``.
* ``host``: the box on the page of the shop's own order.
* ``accounts`` and ``differences``: the other lists.
* ``base``, ``formatting`` and ``compare``: what several of these use.
"""

from __future__ import annotations

from django_button_orders.admin.accounts import PausedAccountAdmin
from django_button_orders.admin.differences import DifferenceAdmin
from django_button_orders.admin.host import ButtonOrderAdminMixin
from django_button_orders.admin.orders import ButtonOrderAdmin

__all__ = [
    "ButtonOrderAdmin",
    "ButtonOrderAdminMixin",
    "DifferenceAdmin",
    "PausedAccountAdmin",
]
