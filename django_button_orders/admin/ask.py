"""
Ask Button about an order now, while the user waits.

The call is recorded as a submission, from which ``view_of_button`` shows the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from django_button_orders.admin.actions import OrderActionsMixin
from django_button_orders.admin.base import shown_error, user_may
from django_button_orders.admin.explain import as_sentence
from django_button_orders.admin.standing import Button
from django_button_orders.client.answers import Answer, parse_object
from django_button_orders.delivery import verdicts
from django_button_orders.delivery.ask import retrieve
from django_button_orders.models import ButtonOrder, Submission
from django_button_orders.monitoring.explain.evidence import shown_order
from django_button_orders.report.privacy import describe_exception
from django_button_orders.report.validation import as_line

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

STATUSES = {
    "open": _("Button has this order, and it is open: it can be changed."),
    "finalized": _("Button has this order, and it is finalized: it cannot be changed."),
    "deleted": _("Button has this order as deleted: it was cancelled."),
}
HAS_ORDER = _("Button has this order.")
UNREADABLE = _("Button has answered, but not with an order.")
UNKNOWN = _("Button does not know this order.")
REFUSED_KEY = _(
    "Button refused the API key of the account %(account)s. This does "
    "not pause the account. If the workers use the same key, their next "
    "call pauses it."
)
NOT_ALLOWED = _(
    "Button does not allow the key of the account %(account)s to ask: %(error)s"
)
NO_ANSWER = _("Asking Button failed: %(error)s Ask again later.")
REFUSALS: dict[verdicts.Verdict | verdicts.Next, _StrPromise] = {
    verdicts.KEY_REFUSED: REFUSED_KEY,
    verdicts.FORBIDDEN: NOT_ALLOWED,
}
NOT_ASKED = _("Button was not asked: %(error)s")


class AskMixin(OrderActionsMixin):
    """Add the button Ask Button to the page of an order."""

    def has_ask_permission(self, request: HttpRequest) -> bool:
        return user_may(request, "ask_buttonorder")

    def buttons_for(self, request: HttpRequest, order: ButtonOrder) -> list[Button]:
        buttons = super().buttons_for(request, order)
        if self.has_ask_permission(request):
            url = self.button_url(request, order, "ask")
            buttons.append(Button(name="ask", label=_("Ask Button"), url=url))
        return buttons

    def get_urls(self) -> list[URLPattern]:
        ask = self.post_path("<path:object_id>/ask/", self.ask_view, "ask")
        return [ask, *super().get_urls()]

    def ask_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask Button about one order, and return to the page with the button."""
        is_allowed = self.has_ask_permission(request)
        order = self.find_order(request, object_id, is_allowed=is_allowed)
        try:
            submission = retrieve(order, trigger="admin", user_id=str(request.user.pk))
        except (ImproperlyConfigured, ValidationError) as exc:
            error = as_line(exc) if isinstance(exc, ValidationError) else str(exc)
            text = NOT_ASKED % {"error": as_sentence(error)}
            self.message_user(request, text, messages.ERROR)
        except (DatabaseError, InterfaceError) as exc:
            error = as_sentence(
                shown_error(request, describe_exception(exc, "The database"))
            )
            self.message_user(request, NO_ANSWER % {"error": error}, messages.ERROR)
        else:
            self.log_change(request, order, gettext("Asked Button about the order."))
            self.message_user(request, *summarize_answer(submission, order))
        return self.go_back(request, order)


def summarize_answer(submission: Submission, order: ButtonOrder) -> tuple[str, int]:
    """Return a sentence about Button's answer, and its level as a message."""
    answer = recorded_answer(submission)
    if verdicts.knows_order(answer) is False:
        return str(UNKNOWN), messages.WARNING
    if answer.is_success and submission.outcome == Submission.Outcome.SUCCEEDED:
        found = shown_order(submission)
        status = found.get("status")
        known = STATUSES.get(status) if isinstance(status, str) else None
        text = (known or HAS_ORDER) if found else UNREADABLE
        return str(text), messages.SUCCESS if found else messages.WARNING
    text = REFUSALS.get(verdicts.find_retrieve_rule(answer), NO_ANSWER)
    values = {
        "account": order.account,
        "error": as_sentence(verdicts.message_of(submission.error)),
    }
    return str(text) % values, messages.ERROR


def recorded_answer(submission: Submission) -> Answer:
    """Return the answer that a submission recorded. Its body may be pruned."""
    body = submission.response_body
    data = parse_object(body)
    # Without the body, only the outcome says whether Button has answered.
    has_succeeded = submission.outcome == Submission.Outcome.SUCCEEDED
    return Answer(
        status_code=submission.status_code or 0,
        body=body,
        data=data,
        is_json=data is not None if body else has_succeeded,
    )
