"""
From a save in the shop to a due row, in the shop's own transaction.

Read ``receivers`` (the shop's signals), ``marking`` (the whole way of a save),
``identity`` (which row an order has), ``upsert`` (the one write), ``ownership`` (two
orders with one id). ``adapters`` is how a shop describes its orders, and ``savepoints``
keeps a failing statement from breaking the shop's transaction.
"""
