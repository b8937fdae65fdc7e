"""
The search of the lists: what a term may mean, and how orders are found by it.

An index finds only exact texts, and none of them ignores case: MariaDB has no index on
an expression, and another index would make each checkout slower. So a term is looked
for in the few ways in which a shop may have written it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from django import forms
from django.contrib.admin.views.main import ChangeListSearchForm
from django.core.exceptions import ValidationError

from django_button_orders.models.orders import ButtonOrderQuerySet
from django_button_orders.report.erasing import hash_any_email

# A token or a customer may have many orders. The search finds the newest ones.
MAX_FOUND = 1000
# No ID is longer.
MAX_LENGTH = 255
# The newest orders, which show how the shop writes its IDs.
EXAMPLES = 20

LETTERS = re.compile(r"[^\W\d_]+")
HASH = re.compile(r"[0-9a-fA-F]{64}")


class AnyTermField(forms.CharField):
    """Accept any text. Nothing is found by a null character, which Django refuses."""

    def to_python(self, value: object) -> str:
        return (super().to_python(value) or "").replace("\0", "\ufffd")


class AnyTermForm(ChangeListSearchForm):
    """The search form of a list, which has no invalid terms."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        # Their types are Django's.
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields = {
            name: AnyTermField(required=False, strip=False) for name in self.fields
        }


def search_orders(
    orders: ButtonOrderQuerySet, term: str, *, with_customers: bool
) -> list[int]:
    """
    Return the keys of the orders that have a search term as an ID or as their token.

    ``with_customers`` also finds orders by the e-mail address of their customer, or by
    its hash. Each kind of ID is one query on its index, because databases do not
    combine several indexes reliably.
    """
    terms = search_terms(term)
    if not terms:
        return []
    accounts = orders.values_in("account", "order_id")
    examples = orders.order_by("-pk").values_list("order_id", flat=True)[:EXAMPLES]
    spellings = {*terms, *spell_like(terms, list(examples))}
    conditions: list[dict[str, object]] = [
        {"account__in": accounts, "order_id__in": spellings},
        # SQLite uses a partial index only if the query repeats its condition.
        {"customer_order_id__in": spellings, "customer_order_id__gt": ""},
        {"btn_ref__in": terms, "btn_ref__gt": ""},
        {"button_order_id__in": terms, "button_order_id__gt": ""},
    ]
    digest = email_hash(term) if with_customers else ""
    if digest:
        conditions.append({"email_sha256": digest, "email_sha256__gt": ""})
    found: set[int] = set()
    for condition in conditions:
        keys = orders.filter(**condition).order_by("-pk").values_list("pk", flat=True)
        found.update(keys[:MAX_FOUND])
    return sorted(found)


def search_terms(term: str) -> set[str]:
    """
    Return the ways in which a shop may have written a search term.

    They are the term without spaces around it, without quotes, with and without "#",
    and in capitals and small letters. A term that is longer than any ID has none.
    """
    term = term.strip()
    texts = {term}
    # Django's admin takes quotes for delimiters, but an ID may contain them.
    if term[:1] == term[-1:] == '"':
        texts.add(term[1:-1].strip())
    for text in list(texts):
        bare = text.lstrip("#").strip()
        texts |= {bare, f"#{bare}"} if bare else set()
    spelled = {way for text in texts for way in (text, text.upper(), text.lower())}
    # An empty term would match all orders without an ID of that kind.
    return {text for text in spelled if 0 < len(text) <= MAX_LENGTH}


def spell_like(terms: set[str], examples: list[str]) -> Iterator[str]:
    """Yield the terms with their words written as the IDs of some orders have them."""
    words = {
        word.casefold(): word for text in examples for word in LETTERS.findall(text)
    }
    for term in terms:
        yield LETTERS.sub(lambda found: words.get(found[0].casefold(), found[0]), term)


def email_hash(term: str) -> str:
    """Return the hash that a term is, or that of the address that it is, or ""."""
    term = term.strip().strip('"')
    if HASH.fullmatch(term):
        return term.lower()
    try:
        return hash_any_email(term)
    except ValidationError:
        return ""
