"""Filters by date: from a day to a day, the newest first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_lazy as _

# Quick choices, each with the days that it begins before today.
RANGES = ((_("Today"), 0), (_("Past 7 days"), 6), (_("Past 30 days"), 29))


class DateFilter(admin.ListFilter):
    """
    Days of a date that is in an index, both ends included.

    A list that is narrowed by a date is also sorted by it: one walk through the
    index then finds what there is, however long ago that was.
    """

    template = "admin/django_button_orders/date_filter.html"
    field_name: str
    parameter_name: str

    def __init__(
        self, request: HttpRequest, params: Any, model: Any, model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        self.first, self.last = (self.take(params, name) for name in self.names())
        self.others: list[tuple[str, Any]] = []

    def take(self, params: Any, name: str) -> date | None:
        text = params.pop(name, [""])[-1]
        if not text:
            return None
        try:
            day = parse_date(text)
        except ValueError:
            day = None
        # The end of a day that has none after it, or the calendar before its start.
        if day is None or not 1 < day.year < 9999:
            raise IncorrectLookupParameters
        self.used_parameters[name] = text
        return day

    @property
    def is_active(self) -> bool:
        return bool(self.used_parameters)

    def has_output(self) -> bool:
        return True

    def names(self) -> list[str]:
        return [f"{self.parameter_name}_from", f"{self.parameter_name}_to"]

    def expected_parameters(self) -> list[str | None]:
        return [*self.names()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.first is not None:
            start = beginning(self.first)
            queryset = queryset.filter(**{f"{self.field_name}__gte": start})
        if self.last is not None:
            end = beginning(self.last + timedelta(days=1))
            queryset = queryset.filter(**{f"{self.field_name}__lt": end})
        return queryset

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        names = self.names()
        self.others = hidden_fields(changelist, names)
        yield {
            "selected": not self.is_active,
            "query_string": changelist.get_query_string(remove=names),
            "display": _("Any date"),
        }
        for label, days in RANGES:
            first = today() - timedelta(days=days)
            query = {names[0]: first.isoformat(), names[1]: None}
            yield {
                "selected": (self.first, self.last) == (first, None),
                "query_string": changelist.get_query_string(query),
                "display": label,
            }


def today() -> date:
    now = timezone.now()
    return (timezone.localtime(now) if timezone.is_aware(now) else now).date()


def beginning(day: date) -> datetime:
    start = datetime.combine(day, time.min)
    return timezone.make_aware(start) if settings.USE_TZ else start


def hidden_fields(changelist: Any, names: list[str]) -> list[tuple[str, str]]:
    """Return what else the list is narrowed by, for a form that narrows it more."""
    return [
        (name, value)
        for name, values in changelist.filter_params.items()
        if name not in names
        for value in values
    ]


class BoughtFilter(DateFilter):
    title = _("purchase date")
    field_name = "purchase_date"
    parameter_name = "bought"
