"""Searching for an order by what somebody has of it: a whole id or token."""

from __future__ import annotations

from django_button_orders.models.querysets import ButtonOrderQuerySet

# A token may stand for many orders. The newest ones are found.
MOST_FOUND = 1000


def find(orders: ButtonOrderQuerySet, term: str) -> list[int]:
    """
    Return the keys of the orders that a term may mean.

    One look into an index for each kind of id: no database is trusted to find the
    four ways at once. What is not exactly the same is not found, because no index
    knows of parts.
    """
    terms = spellings(term)
    accounts = orders.values_in("account", "order_id")
    ways = (
        {"account__in": accounts, "order_id__in": terms},
        {"customer_order_id__in": terms},
        # SQLite has it in the index only if the query says so, too.
        {"btn_ref__in": terms, "btn_ref__gt": ""},
        {"button_order_id__in": terms},
    )
    found: set[int] = set()
    for way in ways:
        keys = orders.filter(**way).order_by("-pk").values_list("pk", flat=True)
        found.update(keys[:MOST_FOUND])
    return sorted(found)


def spellings(term: str) -> set[str]:
    """Return a term as it is, since an id may have quotes, and as the admin has it."""
    is_quoted = term[:1] == term[-1:] == '"'
    # What has no id is not what anybody looks for.
    return {term, term[1:-1] or term} if is_quoted else {term}
