"""The outbox: a row for each order says what Button should know, and what it knows."""

from __future__ import annotations

from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, router, transaction
from django.db.models import Q
from django.db.models.expressions import DatabaseDefault
from django.db.models.fields.json import KT
from django.db.models.functions import Lower, Right
from django.utils.translation import gettext_lazy as _

from django_button_orders import doorbell
from django_button_orders.conf import (
    ACCOUNT_LENGTH,
    DEFAULT_ACCOUNT,
    first_report_delay,
    this_site,
)
from django_button_orders.models import states
from django_button_orders.models.clock import DatabaseNow, from_now
from django_button_orders.models.contenttypes import model_of
from django_button_orders.models.fields import (
    AnyTextField,
    AwareDateTimeField,
    ExactCharField,
    MinorUnitsField,
    PersonalJSONField,
    StrictCharField,
    StrictJSONField,
    as_aware,
)
from django_button_orders.models.querysets import StateQuerySet
from django_button_orders.report.erasing import erased_lines
from django_button_orders.report.objects import (
    OrderReport,
    is_customer_refused,
    sum_lines,
    with_refused_customer,
)

# The fields that a shop may write. The outbox writes the other fields.
PAYLOAD_FIELDS = (
    "total",
    "currency",
    "purchase_date",
    "btn_ref",
    "customer_order_id",
    "customer",
    "line_items",
    "partner_order_channel",
    "finalization_date",
)

# The payload fields with data about the customer. Line items keep their amounts.
PERSONAL_FIELDS = ["btn_ref", "customer_order_id", "customer", "line_items"]

# The fields that an instance saves. ``cancel_requested_at`` is not among them, because
# an old instance would overwrite a newer request to cancel.
ORDER_FIELDS = ("account", "order_id", *PAYLOAD_FIELDS)
# The fields that a move changes.
OUTBOX_FIELDS = [
    "cancel_requested_at",
    "status",
    "reason",
    "revision",
    "attempts",
    "next_attempt_at",
    "last_error",
    "has_late_token",
    "late_token_at",
    "updated_at",
]
# The digest of a cancelled order, which has no report.
CANCELLED_DIGEST = "cancelled"

# The rows of which it is known whether they have a token: a worker has built them.
TOKEN_IS_KNOWN = Q(btn_ref__gt="") | Q(purchase_date__isnull=False)


class ButtonOrderQuerySet(StateQuerySet["ButtonOrder"]):
    """Select Button orders, and change many of them with one call."""

    # The methods are in models.querysets.StateQuerySet.


class ButtonOrder(models.Model):
    """
    What Button should know about one order, and what Button has acknowledged.

    Saving a new or changed Button order makes it due, and a worker reports it. For
    registered models, the app creates the Button orders. A shop without an order model
    creates and saves them itself.
    """

    Status = states.Status
    Reason = states.Reason

    account = ExactCharField(
        _("account"),
        max_length=ACCOUNT_LENGTH,
        default=DEFAULT_ACCOUNT,
        help_text=_("The account at Button, as BUTTON_ORDERS names it."),
    )
    order_id = ExactCharField(
        _("order ID"),
        max_length=255,
        help_text=_("The shop's unique ID of the order. Button finds the order by it."),
    )
    total = MinorUnitsField(
        _("total"),
        null=True,
        blank=True,
        help_text=_(
            "In minor units (1234 is 12.34 USD), after discounts, without "
            "taxes and delivery."
        ),
    )
    currency = StrictCharField(
        _("currency"),
        max_length=3,
        blank=True,
        null=True,
        help_text=_("The ISO 4217 code of all amounts, such as USD."),
    )
    purchase_date = AwareDateTimeField(
        _("purchase date"),
        null=True,
        blank=True,
        help_text=_("When the customer placed the order."),
    )
    btn_ref = StrictCharField(
        _("attribution token"),
        max_length=255,
        blank=True,
        null=True,
        default="",
        help_text=_(
            "The btn_ref of the Button link that the customer followed; empty"
            " without one."
        ),
    )
    customer_order_id = ExactCharField(
        _("customer order ID"),
        max_length=255,
        blank=True,
        null=True,
        default="",
        help_text=_(
            "The order number that the customer sees, if it is not the order ID."
        ),
    )
    customer = PersonalJSONField(
        _("customer"),
        null=True,
        blank=True,
        help_text=_(
            "JSON with id, email_sha256, device_id and is_new; each is optional."
        ),
    )
    line_items = StrictJSONField(
        _("line items"),
        null=True,
        blank=True,
        help_text=_(
            "A JSON list; each line needs an identifier and a total in minor units."
        ),
    )
    partner_order_channel = StrictCharField(
        _("channel"),
        max_length=10,
        blank=True,
        null=True,
        default="",
        help_text=_("The sales channel: app or webview; empty for a browser."),
    )
    finalization_date = AwareDateTimeField(
        _("finalization date"),
        null=True,
        blank=True,
        help_text=_(
            "Button accepts no changes from then on; Button advises to leave it empty."
        ),
    )

    # There is no constraint, because the content types may be in another database.
    source_type = models.ForeignKey(
        ContentType,
        verbose_name=_("source type"),
        null=True,
        blank=True,
        editable=False,
        on_delete=models.SET_NULL,
        db_constraint=False,
        db_index=False,
        related_name="+",
        help_text=_(
            "The content type of the shop's order; empty if it is reported directly."
        ),
    )
    source_id = ExactCharField(
        _("source ID"),
        max_length=255,
        null=True,
        blank=True,
        editable=False,
        help_text=_(
            "The primary key of the shop's order; empty if it is reported directly."
        ),
    )
    cancel_requested_at = AwareDateTimeField(
        _("cancellation requested"),
        null=True,
        blank=True,
        editable=False,
        help_text=_(
            "When somebody requested to cancel it at Button; empty if nobody has."
        ),
    )

    status = StrictCharField(
        _("status"),
        max_length=9,
        choices=Status,
        default=Status.PENDING,
        editable=False,
        help_text=_(
            "Whether the order is still to be reported, or how its report ended."
        ),
    )
    reason = StrictCharField(
        _("reason"),
        max_length=12,
        choices=Reason,
        blank=True,
        editable=False,
        help_text=_("Why it failed, waits or was dismissed; empty otherwise."),
    )
    revision = models.IntegerField(
        _("revision"),
        default=1,
        editable=False,
        help_text=_("Starts at 1 and rises by 1 with each recorded change."),
    )
    reported_revision = models.IntegerField(
        _("reported revision"),
        null=True,
        blank=True,
        editable=False,
        help_text=_(
            "The revision that Button last acknowledged; empty if there is none."
        ),
    )
    reported_digest = StrictCharField(
        _("reported digest"),
        max_length=64,
        blank=True,
        editable=False,
        help_text=_(
            "A hash of what Button last acknowledged; empty if there is nothing."
        ),
    )
    # Button ties a token to an order at the create only. Null: no create is recorded.
    reported_btn_ref = StrictCharField(
        _("reported token"),
        max_length=255,
        blank=True,
        null=True,
        editable=False,
        help_text=_(
            "The token that Button tied to the order at its first report, as "
            "far as known."
        ),
    )
    # Whether the order has another token now than the one that Button tied to it.
    has_late_token = models.BooleanField(
        _("has a late token"),
        default=False,
        editable=False,
        help_text=_("Whether the order now has another token than Button tied to it."),
    )
    late_token_at = AwareDateTimeField(
        _("late token seen"),
        null=True,
        blank=True,
        editable=False,
        help_text=_(
            "When the token was seen that came after the first report; empty if none "
            "did."
        ),
    )
    # What Button holds: the shop's own total may differ while a change is unsent.
    reported_total = MinorUnitsField(
        _("reported total"),
        null=True,
        blank=True,
        editable=False,
        help_text=_(
            "The total that Button last acknowledged; 0 once cancelled, empty if it is "
            "not known."
        ),
    )
    # Not ``finalization_date``, which is the shop's own wish and is sent to Button.
    finalizes_at = AwareDateTimeField(
        _("can be changed until"),
        null=True,
        blank=True,
        editable=False,
        help_text=_(
            "When Button stops accepting changes, by its answer or FINALIZATION_DAYS; "
            "empty if unknown."
        ),
    )
    # Positive: the shop took back more than Button knows.
    late_amount = models.BigIntegerField(
        _("late amount"),
        null=True,
        blank=True,
        editable=False,
        help_text=_(
            "The amount that Button holds too much of a closed order; empty for others."
        ),
    )
    erased_at = AwareDateTimeField(
        _("erased"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("When the personal data was erased; empty if it was not."),
    )
    erased_digest = StrictCharField(
        _("erased digest"),
        max_length=64,
        blank=True,
        editable=False,
        help_text=_(
            "A hash of the order without its personal data, for which no update is "
            "sent."
        ),
    )
    # ``SITE`` of the installation whose report Button has acknowledged first.
    site = ExactCharField(
        _("site"),
        max_length=100,
        blank=True,
        default="",
        editable=False,
        help_text=_(
            "SITE of the installation that first reported the order; empty if"
            " there is none."
        ),
    )
    attempts = models.IntegerField(
        _("attempts"),
        default=0,
        editable=False,
        help_text=_(
            "The number of attempts since the last change or retry by an operator."
        ),
    )
    # The number of attempts since Button's last definite answer, with the running one.
    # If there are more than one, Button may know more than is recorded.
    unanswered = models.IntegerField(
        _("unanswered attempts"),
        default=0,
        editable=False,
        help_text=_("The number of attempts since Button's last definite answer."),
    )
    next_attempt_at = AwareDateTimeField(
        _("next attempt"),
        null=True,
        blank=True,
        db_default=DatabaseNow(),
        editable=False,
        help_text=_(
            "When the Button order is due next; empty if nothing is to be sent."
        ),
    )
    lease_expires_at = AwareDateTimeField(
        _("lease expires"),
        null=True,
        blank=True,
        editable=False,
        help_text=_(
            "A worker holds the Button order until then; empty if none holds it."
        ),
    )
    lease_token = models.UUIDField(
        _("lease token"),
        null=True,
        blank=True,
        editable=False,
        help_text=_(
            "Identifies the worker's claim; empty if no worker holds the Button order."
        ),
    )
    button_order_id = StrictCharField(
        _("Button's order ID"),
        max_length=255,
        blank=True,
        editable=False,
        help_text=_("Button's ID of the order; empty until Button returns one."),
    )
    reported_at = AwareDateTimeField(
        _("reported"),
        null=True,
        blank=True,
        editable=False,
        help_text=_(
            "When Button last acknowledged a report or a cancellation; empty before."
        ),
    )
    last_status_code = models.SmallIntegerField(
        _("last answer"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("The HTTP status of the last call; empty if no answer arrived."),
    )
    # The database computes it, so that whatever changes the customer changes it too.
    # A shop may have stored anything there, and a hash has 64 characters. Django cannot
    # read the table of SQLite back if it takes the left ones: it stumbles over ", 1,".
    email_sha256 = models.GeneratedField(
        expression=Lower(Right(KT("customer__email_sha256"), 64)),
        output_field=StrictCharField(max_length=64),
        db_persist=True,
        null=True,
        verbose_name=_("hash of the e-mail address"),
        help_text=_(
            "The customer's email_sha256 in lower case, for the search; empty "
            "without one."
        ),
    )
    last_error = AnyTextField(
        _("last error"),
        blank=True,
        editable=False,
        help_text=_(
            "The error of the last attempt, or the note of a dismissal; empty"
            " if there is none."
        ),
    )
    created_at = AwareDateTimeField(
        _("created"),
        db_default=DatabaseNow(),
        editable=False,
        help_text=_("When the Button order was created."),
    )
    updated_at = AwareDateTimeField(
        _("updated"),
        db_default=DatabaseNow(),
        editable=False,
        help_text=_("When the Button order last changed."),
    )

    objects = ButtonOrderQuerySet.as_manager()

    class Meta:
        verbose_name = _("Button order")
        verbose_name_plural = _("Button orders")
        constraints = [
            models.UniqueConstraint(
                fields=["account", "order_id"], name="button_order_unique"
            ),
        ]
        indexes = [
            # For claims, and for lists of due, waiting and stuck rows.
            models.Index(
                fields=["status", "account", "next_attempt_at", "id"],
                name="button_order_due",
            ),
            # For rows in flight.
            models.Index(
                fields=["lease_expires_at"],
                condition=Q(lease_expires_at__isnull=False),
                name="button_order_lease",
            ),
            # For finding the row of a host order.
            models.Index(
                fields=["source_type", "source_id"], name="button_order_source"
            ),
            # The other indexes are for the admin's list: one for each filter and
            # search, with the key, so that the newest rows come first without sorting.
            #
            # At each change PostgreSQL writes the row into all indexes whose condition
            # it meets, and a shop's checkout waits for that. So the conditions leave
            # out rows that were only just saved, and reported rows: most rows are
            # reported, so they are found fast without an index. MySQL and MariaDB have
            # no conditions, and write only the indexes whose columns have changed.
            #
            # Pending rows are in the index of due rows.
            models.Index(
                fields=["status", "id"],
                condition=Q(status__in=["cancelled", "closed", "failed", "dismissed"]),
                name="button_order_status",
            ),
            models.Index(
                fields=["reason", "id"],
                condition=Q(reason__gt=""),
                name="button_order_reason",
            ),
            models.Index(
                fields=["last_status_code", "id"],
                condition=Q(last_status_code__gte=300),
                name="button_order_answer",
            ),
            # A row that a worker has built has both. A row that a shop has written may
            # have only one of them, and is not valid then.
            models.Index(
                fields=["currency", "id"],
                condition=Q(currency__isnull=False) | Q(purchase_date__isnull=False),
                name="button_order_currency",
            ),
            # The list is sorted by it, so it also has rows that are only just saved.
            models.Index(fields=["purchase_date", "id"], name="button_order_bought"),
            # It also finds the rows without a token, in shops where most have one.
            models.Index(
                fields=["btn_ref", "id"],
                condition=TOKEN_IS_KNOWN,
                name="button_order_token",
            ),
            models.Index(
                fields=["has_late_token", "id"],
                condition=Q(has_late_token=True),
                name="button_order_late_token",
            ),
            models.Index(
                fields=["customer_order_id"],
                condition=Q(customer_order_id__gt=""),
                name="button_order_customer_id",
            ),
            models.Index(
                fields=["button_order_id"],
                condition=Q(button_order_id__gt=""),
                name="button_order_button_id",
            ),
            models.Index(
                fields=["email_sha256", "id"],
                condition=Q(email_sha256__gt=""),
                name="button_order_email",
            ),
        ]
        permissions = [
            ("retry_buttonorder", _("Can retry Button orders")),
            ("cancel_buttonorder", _("Can cancel orders at Button")),
            ("dismiss_buttonorder", _("Can dismiss failed Button orders")),
            ("ask_buttonorder", _("Can ask Button about orders")),
            ("overwrite_buttonorder", _("Can report over another order at Button")),
            ("erase_buttonorder", _("Can erase personal data of Button orders")),
        ]

    def __str__(self) -> str:
        return str(self.order_id)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """
        Save the fields that a shop may write, and make the row due if they changed.

        The other fields of an existing row are never saved from an instance, because a
        worker may have written newer values since it was read.
        """
        if self._state.adding:
            delay = self._hold()
            super().save(*args, **kwargs)
            self._ring(delay)
            return
        names = kwargs.pop("update_fields", None)
        names = set(ORDER_FIELDS if names is None else names)
        names &= {*ORDER_FIELDS, "cancel_requested_at"}
        using = kwargs["using"] = kwargs.get("using") or self.write_db
        with transaction.atomic(using=using):
            self.refuse_changed_id(using)
            super().save(*args, update_fields=names, **kwargs)
            if names:
                rows = type(self)._default_manager.using(using).filter(pk=self.pk)
                row = rows.get()
                if row.erased_at is not None:
                    # An instance that was read before the erasing has the old values.
                    row = self.erase_again(rows)
                if not row.is_up_to_date:
                    rows.mark_changed()
                elif row.has_late_token != row.is_late(row.btn_ref):
                    # A new token alone makes no call, and so no attempt.
                    rows.update(**late_token_changes(row.is_late(row.btn_ref)))
                self.refresh_from_db(using=using, fields=OUTBOX_FIELDS)
        self._ring()

    def erase_again(self, rows: ButtonOrderQuerySet) -> ButtonOrder:
        """Empty the personal values just saved on an erased row. Return the row."""
        rows.update(**rows.get().personal_fields_erased())
        self.refresh_from_db(using=rows.db, fields=PERSONAL_FIELDS)
        return rows.get()

    def personal_fields_erased(self) -> dict[str, Any]:
        """Return the values of ``PERSONAL_FIELDS`` without personal data."""
        return {
            "btn_ref": "",
            "customer_order_id": "",
            "customer": None,
            "line_items": erased_lines(self.line_items),
        }

    def refuse_changed_id(self, using: str) -> None:
        """Raise ``ValidationError`` if the id changes although Button may know it."""
        stored = type(self)._default_manager.using(using).filter(pk=self.pk).first()
        # Even one unanswered attempt may have reached Button.
        if stored is None or not (stored.is_acknowledged or stored.unanswered):
            return
        # Integers and UUIDs are stored as texts.
        ours = (str(self.account), str(self.order_id))
        if (stored.account, stored.order_id) != ours:
            raise ValidationError(
                {
                    "order_id": _(
                        "The ID cannot be changed: Button may know the order by it."
                    )
                }
            )

    @property
    def is_up_to_date(self) -> bool:
        """Return whether Button has acknowledged exactly the current values."""
        if self.status not in (self.Status.REPORTED, self.Status.CANCELLED):
            return False
        try:
            digest = self.desired_digest()
        except ValidationError:
            return False
        return self.reported_revision == self.revision and self.has_settled(digest)

    def clean(self) -> None:
        super().clean()
        if self.is_direct:
            self.as_report()

    def as_report(self) -> OrderReport:
        """
        Return this Button order as a report.

        Raises ``ValidationError`` that names the invalid fields.
        """
        values = {name: getattr(self, name) for name in PAYLOAD_FIELDS}
        for name in ("purchase_date", "finalization_date"):
            values[name] = as_aware(values[name])
        return OrderReport(order_id=self.order_id, **values)

    def desired_digest(self) -> str:
        """Return the digest that Button should acknowledge for this row."""
        if self.cancel_requested_at is not None:
            return CANCELLED_DIGEST
        return self.as_report().digest()

    def has_settled(self, digest: str) -> bool:
        """Return whether Button has acknowledged a digest, or all but its customer."""
        settled = (digest, with_refused_customer(digest))
        return self.is_acknowledged and (
            self.reported_digest in settled or self.erased_digest == digest
        )

    @property
    def has_refused_customer(self) -> bool:
        """Return whether Button kept an earlier customer: the update came too late."""
        return is_customer_refused(self.reported_digest)

    def is_late(self, token: str | None) -> bool:
        """Return whether Button has tied another token, or none, to this order."""
        return is_late_token(token, self.reported_btn_ref)

    @property
    def is_direct(self) -> bool:
        """Return whether the shop creates this object without an order model."""
        return self.source_type_id is None and self.source_id is None

    @property
    def is_acknowledged(self) -> bool:
        """Return whether Button has acknowledged this order at least once."""
        return self.reported_revision is not None

    @property
    def lines_total(self) -> int | None:
        """Return the sum of the lines in minor units, or None without valid lines."""
        return sum_lines(self.line_items)

    @property
    def is_of_other_site(self) -> bool:
        """Return whether another site reports the order. This site then skips it."""
        return self.site not in ("", this_site())

    @property
    def may_be_known(self) -> bool:
        """
        Return whether Button may know the order, as the holder of its lease sees it.

        The holder's own attempt counts as one unanswered attempt.
        """
        return self.is_acknowledged or self.unanswered > 1

    def get_source(self) -> models.Model | None:
        """Return the shop's order, or None if there is none or it was deleted."""
        model = self.get_source_model()
        if model is None:
            return None
        return (
            model._base_manager.using(self._state.db).filter(pk=self.source_id).first()
        )

    def get_source_model(self) -> type[models.Model] | None:
        """Return the model of the host order, or None if there is none."""
        return model_of(self.source_type_id, self._state.db)

    def rename(self, order_id: str) -> bool:
        """Change the id of a claimed row. Return False if another row has it."""
        try:
            with transaction.atomic(using=self.write_db):
                rows = self.row().filter(lease_token=self.lease_token)
                renamed = rows.update(order_id=order_id) == 1
        except IntegrityError:
            return False
        self.order_id = order_id
        return renamed

    def cancel(self) -> bool:
        """
        Request the cancellation of this order at Button.

        Return False if the order is already cancelled or its cancellation requested.
        """
        return self._after_move(self.row().cancel())

    def retry(self) -> bool:
        """
        Make a failed, dismissed or closed order due.

        Return False for another status.
        """
        return self._after_move(self.row().retry())

    def dismiss(self, note: str = "") -> bool:
        """Dismiss a failed order. Return False for another status."""
        return self._after_move(self.row().dismiss(note))

    def overwrite(self) -> bool:
        """
        Replace the other order that Button has under this ID.

        Return False unless this order failed with the reason ``taken``.
        """
        return self._after_move(self.row().overwrite())

    @property
    def write_db(self) -> str:
        """
        Return the database to write the row to, which may not be where it was read.

        A row may have been read from a replica. A row that was read from any other
        database belongs there, with its order.
        """
        alias = self._state.db
        if alias is None or alias == router.db_for_read(type(self)):
            return router.db_for_write(type(self))
        if not router.allow_migrate_model(alias, type(self)):
            return router.db_for_write(type(self))
        return alias

    def row(self) -> ButtonOrderQuerySet:
        """Return the queryset of this row alone, for moves."""
        rows = type(self)._default_manager.using(self.write_db)
        return rows.filter(pk=self.pk)

    def _after_move(self, moved: int) -> bool:
        """Refresh this instance, and ring if the row moved. Return whether it did."""
        self.refresh_from_db(using=self.write_db, fields=OUTBOX_FIELDS)
        if moved:
            self._ring()
        return moved == 1

    def _hold(self) -> float:
        """Hold a new row for ``FIRST_REPORT_DELAY``. Return the seconds."""
        delay = first_report_delay()
        is_due = isinstance(self.next_attempt_at, DatabaseDefault)
        if not delay or not is_due or self.status != self.Status.PENDING:
            return 0
        self.next_attempt_at = from_now(delay)
        return delay

    def _ring(self, delay: float = 0) -> None:
        if self.status == self.Status.PENDING:
            doorbell.ring(self.pk, using=self.write_db, delay=delay)


def is_late_token(token: str | None, tied: str | None) -> bool:
    """Return whether a token came too late: after Button tied another one, or none."""
    return bool(token) and tied is not None and token != tied


def late_token_changes(is_late: bool) -> dict[str, Any]:
    """Return the changes to a row whose token has become late, or no longer is."""
    return {
        "has_late_token": is_late,
        "late_token_at": DatabaseNow() if is_late else None,
    }
