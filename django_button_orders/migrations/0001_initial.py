# The tables of 0.1.0.
import django.db.models.deletion
import django.db.models.fields.json
import django.db.models.functions.text
import django_button_orders.models.clock
import django_button_orders.models.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CallRate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "account",
                    django_button_orders.models.fields.ExactCharField(
                        help_text="The account that RATE_LIMIT limits.",
                        max_length=100,
                        unique=True,
                        verbose_name="account",
                    ),
                ),
                (
                    "next_call_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        help_text="The earliest time of the account's next call.",
                        verbose_name="next call",
                    ),
                ),
            ],
            options={
                "verbose_name": "call rate",
                "verbose_name_plural": "call rates",
            },
        ),
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "name",
                    django_button_orders.models.fields.ExactCharField(
                        help_text="The command and the orders that it goes through.",
                        max_length=255,
                        unique=True,
                        verbose_name="name",
                    ),
                ),
                (
                    "position",
                    django_button_orders.models.fields.AnyTextField(
                        blank=True,
                        help_text="The last finished order; empty at the start.",
                        verbose_name="position",
                    ),
                ),
                (
                    "counts",
                    django_button_orders.models.fields.StrictJSONField(
                        default=dict,
                        help_text="The number of orders by result, as JSON.",
                        verbose_name="counts",
                    ),
                ),
                (
                    "errors",
                    django_button_orders.models.fields.StrictJSONField(
                        default=list,
                        help_text="The first errors, as JSON.",
                        verbose_name="errors",
                    ),
                ),
                (
                    "started_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        db_default=django_button_orders.models.clock.DatabaseNow(),
                        help_text="When the command started.",
                        verbose_name="started",
                    ),
                ),
                (
                    "updated_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        db_default=django_button_orders.models.clock.DatabaseNow(),
                        help_text="When the position was last stored.",
                        verbose_name="updated",
                    ),
                ),
            ],
            options={
                "verbose_name": "checkpoint",
                "verbose_name_plural": "checkpoints",
            },
        ),
        migrations.CreateModel(
            name="PausedAccount",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "account",
                    django_button_orders.models.fields.ExactCharField(
                        help_text="The account whose API key Button refused.",
                        max_length=100,
                        unique=True,
                        verbose_name="account",
                    ),
                ),
                (
                    "paused_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        db_default=django_button_orders.models.clock.DatabaseNow(),
                        help_text="When Button refused the API key.",
                        verbose_name="paused",
                    ),
                ),
                (
                    "probe_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        help_text="When one order tests the API key.",
                        verbose_name="next probe",
                    ),
                ),
                (
                    "last_error",
                    django_button_orders.models.fields.AnyTextField(
                        blank=True,
                        help_text="The error of the last refusal.",
                        verbose_name="last error",
                    ),
                ),
            ],
            options={
                "verbose_name": "paused account",
                "verbose_name_plural": "paused accounts",
                "permissions": [("resume_pausedaccount", "Can resume paused accounts")],
            },
        ),
        migrations.CreateModel(
            name="QueuedAction",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "action",
                    django_button_orders.models.fields.ExactCharField(
                        help_text="Retry, cancel, dismiss or erase.",
                        max_length=20,
                        verbose_name="action",
                    ),
                ),
                (
                    "keys",
                    django_button_orders.models.fields.StrictJSONField(
                        default=list,
                        help_text="The primary keys of the Button orders, as JSON.",
                        verbose_name="keys of the orders",
                    ),
                ),
                (
                    "entry_id",
                    models.BigIntegerField(
                        help_text="The entry of the admin's log that has the user and the note.",
                        verbose_name="log entry",
                    ),
                ),
            ],
            options={
                "verbose_name": "queued action",
                "verbose_name_plural": "queued actions",
            },
        ),
        migrations.CreateModel(
            name="SentAlert",
            fields=[
                (
                    "cause",
                    django_button_orders.models.fields.StrictCharField(
                        help_text="The cause of the message, such as account_paused.",
                        max_length=20,
                        primary_key=True,
                        serialize=False,
                        verbose_name="cause",
                    ),
                ),
                (
                    "sent_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        help_text="When the last message was sent; empty before the first.",
                        null=True,
                        verbose_name="sent",
                    ),
                ),
            ],
            options={
                "verbose_name": "sent alert",
                "verbose_name_plural": "sent alerts",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Snapshot",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1,
                        help_text="Always 1, because each database has one snapshot.",
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "swept_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        db_default=django_button_orders.models.clock.DatabaseNow(),
                        help_text="When the last sweep ended, to within 10 seconds.",
                        verbose_name="last sweep",
                    ),
                ),
                (
                    "next_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        db_default=django_button_orders.models.clock.DatabaseNow(),
                        help_text="The earliest time of the next count.",
                        verbose_name="next count",
                    ),
                ),
                (
                    "taken_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        help_text="When the figures were counted; empty before the first count.",
                        null=True,
                        verbose_name="counted",
                    ),
                ),
                (
                    "seconds",
                    models.FloatField(
                        default=0,
                        help_text="How long counting took, in seconds.",
                        verbose_name="duration in seconds",
                    ),
                ),
                (
                    "figures",
                    django_button_orders.models.fields.StrictJSONField(
                        default=dict,
                        help_text="The counted figures, as JSON.",
                        verbose_name="figures",
                    ),
                ),
            ],
            options={
                "verbose_name": "snapshot",
                "verbose_name_plural": "snapshots",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="SubmissionHour",
            fields=[
                (
                    "hour",
                    django_button_orders.models.fields.AwareDateTimeField(
                        help_text="When the hour began.",
                        primary_key=True,
                        serialize=False,
                        verbose_name="hour",
                    ),
                ),
                (
                    "durations",
                    django_button_orders.models.fields.StrictJSONField(
                        default=dict,
                        help_text="The number of calls by outcome and by duration in milliseconds, as JSON.",
                        verbose_name="durations",
                    ),
                ),
            ],
            options={
                "verbose_name": "hour of submissions",
                "verbose_name_plural": "hours of submissions",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="ButtonOrder",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "account",
                    django_button_orders.models.fields.ExactCharField(
                        default="default",
                        help_text="The account at Button, as BUTTON_ORDERS names it.",
                        max_length=100,
                        verbose_name="account",
                    ),
                ),
                (
                    "order_id",
                    django_button_orders.models.fields.ExactCharField(
                        help_text="The shop's unique ID of the order. Button finds the order by it.",
                        max_length=255,
                        verbose_name="order ID",
                    ),
                ),
                (
                    "total",
                    django_button_orders.models.fields.MinorUnitsField(
                        blank=True,
                        help_text="In minor units (1234 is 12.34 USD), after discounts, without taxes and delivery.",
                        null=True,
                        verbose_name="total",
                    ),
                ),
                (
                    "currency",
                    django_button_orders.models.fields.StrictCharField(
                        blank=True,
                        help_text="The ISO 4217 code of all amounts, such as USD.",
                        max_length=3,
                        null=True,
                        verbose_name="currency",
                    ),
                ),
                (
                    "purchase_date",
                    django_button_orders.models.fields.AwareDateTimeField(
                        blank=True,
                        help_text="When the customer placed the order.",
                        null=True,
                        verbose_name="purchase date",
                    ),
                ),
                (
                    "btn_ref",
                    django_button_orders.models.fields.StrictCharField(
                        blank=True,
                        default="",
                        help_text="The btn_ref of the Button link that the customer followed; empty without one.",
                        max_length=255,
                        null=True,
                        verbose_name="attribution token",
                    ),
                ),
                (
                    "customer_order_id",
                    django_button_orders.models.fields.ExactCharField(
                        blank=True,
                        default="",
                        help_text="The order number that the customer sees, if it is not the order ID.",
                        max_length=255,
                        null=True,
                        verbose_name="customer order ID",
                    ),
                ),
                (
                    "customer",
                    django_button_orders.models.fields.PersonalJSONField(
                        blank=True,
                        help_text="JSON with id, email_sha256, device_id and is_new; each is optional.",
                        null=True,
                        verbose_name="customer",
                    ),
                ),
                (
                    "line_items",
                    django_button_orders.models.fields.StrictJSONField(
                        blank=True,
                        help_text="A JSON list; each line needs an identifier and a total in minor units.",
                        null=True,
                        verbose_name="line items",
                    ),
                ),
                (
                    "partner_order_channel",
                    django_button_orders.models.fields.StrictCharField(
                        blank=True,
                        default="",
                        help_text="The sales channel: app or webview; empty for a browser.",
                        max_length=10,
                        null=True,
                        verbose_name="channel",
                    ),
                ),
                (
                    "finalization_date",
                    django_button_orders.models.fields.AwareDateTimeField(
                        blank=True,
                        help_text="Button accepts no changes from then on; Button advises to leave it empty.",
                        null=True,
                        verbose_name="finalization date",
                    ),
                ),
                (
                    "source_id",
                    django_button_orders.models.fields.ExactCharField(
                        blank=True,
                        editable=False,
                        help_text="The primary key of the shop's order; empty if it is reported directly.",
                        max_length=255,
                        null=True,
                        verbose_name="source ID",
                    ),
                ),
                (
                    "cancel_requested_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        blank=True,
                        editable=False,
                        help_text="When somebody requested to cancel it at Button; empty if nobody has.",
                        null=True,
                        verbose_name="cancellation requested",
                    ),
                ),
                (
                    "status",
                    django_button_orders.models.fields.StrictCharField(
                        choices=[
                            ("pending", "Pending"),
                            ("reported", "Reported"),
                            ("cancelled", "Cancelled"),
                            ("closed", "Closed"),
                            ("failed", "Failed"),
                            ("dismissed", "Dismissed"),
                        ],
                        default="pending",
                        editable=False,
                        help_text="Whether the order is still to be reported, or how its report ended.",
                        max_length=9,
                        verbose_name="status",
                    ),
                ),
                (
                    "reason",
                    django_button_orders.models.fields.StrictCharField(
                        blank=True,
                        choices=[
                            ("invalid", "No valid report could be built"),
                            ("refused", "Button refused it"),
                            ("finalized", "Too late to change"),
                            ("taken", "Button has another order under this ID"),
                            ("exhausted", "Gave up after all attempts"),
                            ("unauthorized", "Button does not accept the key"),
                            ("unavailable", "Button is not available"),
                            ("no_token", "No attribution token"),
                        ],
                        editable=False,
                        help_text="Why it failed, waits or was dismissed; empty otherwise.",
                        max_length=12,
                        verbose_name="reason",
                    ),
                ),
                (
                    "revision",
                    models.IntegerField(
                        default=1,
                        editable=False,
                        help_text="Starts at 1 and rises by 1 with each recorded change.",
                        verbose_name="revision",
                    ),
                ),
                (
                    "reported_revision",
                    models.IntegerField(
                        blank=True,
                        editable=False,
                        help_text="The revision that Button last acknowledged; empty if there is none.",
                        null=True,
                        verbose_name="reported revision",
                    ),
                ),
                (
                    "reported_digest",
                    django_button_orders.models.fields.StrictCharField(
                        blank=True,
                        editable=False,
                        help_text="A hash of what Button last acknowledged; empty if there is nothing.",
                        max_length=64,
                        verbose_name="reported digest",
                    ),
                ),
                (
                    "reported_btn_ref",
                    django_button_orders.models.fields.StrictCharField(
                        blank=True,
                        editable=False,
                        help_text="The token that Button tied to the order at its first report, as far as known.",
                        max_length=255,
                        null=True,
                        verbose_name="reported token",
                    ),
                ),
                (
                    "has_late_token",
                    models.BooleanField(
                        default=False,
                        editable=False,
                        help_text="Whether the order now has another token than Button tied to it.",
                        verbose_name="has a late token",
                    ),
                ),
                (
                    "late_token_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        blank=True,
                        editable=False,
                        help_text="When the token was seen that came after the first report; empty if none did.",
                        null=True,
                        verbose_name="late token seen",
                    ),
                ),
                (
                    "reported_total",
                    django_button_orders.models.fields.MinorUnitsField(
                        blank=True,
                        editable=False,
                        help_text="The total that Button last acknowledged; 0 once cancelled, empty if it is not known.",
                        null=True,
                        verbose_name="reported total",
                    ),
                ),
                (
                    "finalizes_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        blank=True,
                        editable=False,
                        help_text="When Button stops accepting changes, by its answer or FINALIZATION_DAYS; empty if unknown.",
                        null=True,
                        verbose_name="can be changed until",
                    ),
                ),
                (
                    "late_amount",
                    models.BigIntegerField(
                        blank=True,
                        editable=False,
                        help_text="The amount that Button holds too much of a closed order; empty for others.",
                        null=True,
                        verbose_name="late amount",
                    ),
                ),
                (
                    "erased_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        blank=True,
                        editable=False,
                        help_text="When the personal data was erased; empty if it was not.",
                        null=True,
                        verbose_name="erased",
                    ),
                ),
                (
                    "erased_digest",
                    django_button_orders.models.fields.StrictCharField(
                        blank=True,
                        editable=False,
                        help_text="A hash of the order without its personal data, for which no update is sent.",
                        max_length=64,
                        verbose_name="erased digest",
                    ),
                ),
                (
                    "site",
                    django_button_orders.models.fields.ExactCharField(
                        blank=True,
                        default="",
                        editable=False,
                        help_text="SITE of the installation that first reported the order; empty if there is none.",
                        max_length=100,
                        verbose_name="site",
                    ),
                ),
                (
                    "attempts",
                    models.IntegerField(
                        default=0,
                        editable=False,
                        help_text="The number of attempts since the last change or retry by an operator.",
                        verbose_name="attempts",
                    ),
                ),
                (
                    "unanswered",
                    models.IntegerField(
                        default=0,
                        editable=False,
                        help_text="The number of attempts since Button's last definite answer.",
                        verbose_name="unanswered attempts",
                    ),
                ),
                (
                    "next_attempt_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        blank=True,
                        db_default=django_button_orders.models.clock.DatabaseNow(),
                        editable=False,
                        help_text="When the Button order is due next; empty if nothing is to be sent.",
                        null=True,
                        verbose_name="next attempt",
                    ),
                ),
                (
                    "lease_expires_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        blank=True,
                        editable=False,
                        help_text="A worker holds the Button order until then; empty if none holds it.",
                        null=True,
                        verbose_name="lease expires",
                    ),
                ),
                (
                    "lease_token",
                    models.UUIDField(
                        blank=True,
                        editable=False,
                        help_text="Identifies the worker's claim; empty if no worker holds the Button order.",
                        null=True,
                        verbose_name="lease token",
                    ),
                ),
                (
                    "button_order_id",
                    django_button_orders.models.fields.StrictCharField(
                        blank=True,
                        editable=False,
                        help_text="Button's ID of the order; empty until Button returns one.",
                        max_length=255,
                        verbose_name="Button's order ID",
                    ),
                ),
                (
                    "reported_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        blank=True,
                        editable=False,
                        help_text="When Button last acknowledged a report or a cancellation; empty before.",
                        null=True,
                        verbose_name="reported",
                    ),
                ),
                (
                    "last_status_code",
                    models.SmallIntegerField(
                        blank=True,
                        editable=False,
                        help_text="The HTTP status of the last call; empty if no answer arrived.",
                        null=True,
                        verbose_name="last answer",
                    ),
                ),
                (
                    "email_sha256",
                    models.GeneratedField(
                        db_persist=True,
                        expression=django.db.models.functions.text.Lower(
                            django.db.models.functions.text.Right(
                                django.db.models.fields.json.KeyTextTransform(
                                    "email_sha256", "customer"
                                ),
                                64,
                            )
                        ),
                        help_text="The customer's email_sha256 in lower case, for the search; empty without one.",
                        null=True,
                        output_field=django_button_orders.models.fields.StrictCharField(
                            max_length=64
                        ),
                        verbose_name="hash of the e-mail address",
                    ),
                ),
                (
                    "last_error",
                    django_button_orders.models.fields.AnyTextField(
                        blank=True,
                        editable=False,
                        help_text="The error of the last attempt, or the note of a dismissal; empty if there is none.",
                        verbose_name="last error",
                    ),
                ),
                (
                    "created_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        db_default=django_button_orders.models.clock.DatabaseNow(),
                        editable=False,
                        help_text="When the Button order was created.",
                        verbose_name="created",
                    ),
                ),
                (
                    "updated_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        db_default=django_button_orders.models.clock.DatabaseNow(),
                        editable=False,
                        help_text="When the Button order last changed.",
                        verbose_name="updated",
                    ),
                ),
                (
                    "source_type",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        editable=False,
                        help_text="The content type of the shop's order; empty if it is reported directly.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="contenttypes.contenttype",
                        verbose_name="source type",
                    ),
                ),
            ],
            options={
                "verbose_name": "Button order",
                "verbose_name_plural": "Button orders",
                "permissions": [
                    ("retry_buttonorder", "Can retry Button orders"),
                    ("cancel_buttonorder", "Can cancel orders at Button"),
                    ("dismiss_buttonorder", "Can dismiss failed Button orders"),
                    ("ask_buttonorder", "Can ask Button about orders"),
                    (
                        "overwrite_buttonorder",
                        "Can report over another order at Button",
                    ),
                    ("erase_buttonorder", "Can erase personal data of Button orders"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Difference",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "side",
                    django_button_orders.models.fields.StrictCharField(
                        choices=[
                            ("shop", "The shop and the Button order"),
                            ("button", "The Button order and Button"),
                        ],
                        help_text="The two sides that were compared.",
                        max_length=6,
                        verbose_name="comparison",
                    ),
                ),
                (
                    "kind",
                    django_button_orders.models.fields.StrictCharField(
                        choices=[
                            ("missing", "The order has no Button order"),
                            ("changed", "Changed, not reported"),
                            ("gone", "The shop's order is gone"),
                            ("invalid", "No valid report can be built"),
                            ("unknown", "Button does not know the order"),
                            ("different", "Button has other values"),
                            ("active", "Cancelled here, not at Button"),
                            ("deleted", "Cancelled at Button, not here"),
                            ("token", "Reported without its current attribution token"),
                        ],
                        help_text="How the two sides differ.",
                        max_length=9,
                        verbose_name="difference",
                    ),
                ),
                (
                    "account",
                    django_button_orders.models.fields.ExactCharField(
                        default="default",
                        help_text="The account at Button, as BUTTON_ORDERS names it.",
                        max_length=100,
                        verbose_name="account",
                    ),
                ),
                (
                    "order_id",
                    django_button_orders.models.fields.ExactCharField(
                        help_text="The shop's unique ID of the order. Button finds the order by it.",
                        max_length=255,
                        verbose_name="order ID",
                    ),
                ),
                (
                    "source_id",
                    django_button_orders.models.fields.ExactCharField(
                        blank=True,
                        help_text="The primary key of the shop's order; empty if it is reported directly.",
                        max_length=255,
                        null=True,
                        verbose_name="source ID",
                    ),
                ),
                (
                    "values",
                    django_button_orders.models.fields.StrictJSONField(
                        blank=True,
                        default=dict,
                        help_text="The values of both sides by field, as JSON; personal data as hashes.",
                        verbose_name="values",
                    ),
                ),
                (
                    "error",
                    django_button_orders.models.fields.AnyTextField(
                        blank=True,
                        help_text="Why the two sides cannot be compared or fixed; empty otherwise.",
                        verbose_name="error",
                    ),
                ),
                (
                    "found_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        db_default=django_button_orders.models.clock.DatabaseNow(),
                        help_text="When the difference was last found.",
                        verbose_name="found",
                    ),
                ),
                (
                    "fixed_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        blank=True,
                        help_text="When the order was marked due, or both sides agreed again; empty until then.",
                        null=True,
                        verbose_name="fixed",
                    ),
                ),
                (
                    "source_type",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        help_text="The content type of the shop's order; empty if it is reported directly.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="contenttypes.contenttype",
                        verbose_name="source type",
                    ),
                ),
            ],
            options={
                "verbose_name": "difference",
                "verbose_name_plural": "differences",
            },
        ),
        migrations.CreateModel(
            name="Submission",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "operation",
                    django_button_orders.models.fields.StrictCharField(
                        choices=[
                            ("create", "Create"),
                            ("update", "Update"),
                            ("cancel", "Cancel"),
                            ("retrieve", "Retrieve"),
                        ],
                        help_text="The request to Button: create, update, cancel or retrieve.",
                        max_length=8,
                        verbose_name="operation",
                    ),
                ),
                (
                    "trigger",
                    django_button_orders.models.fields.StrictCharField(
                        choices=[
                            ("save", "Save"),
                            ("sweep", "Sweep"),
                            ("admin", "Admin"),
                            ("backfill", "Backfill"),
                            ("command", "Command"),
                            ("reconcile", "Reconcile"),
                        ],
                        help_text="The cause of the attempt, such as a save of the order or the sweep.",
                        max_length=9,
                        verbose_name="trigger",
                    ),
                ),
                (
                    "revision",
                    models.IntegerField(
                        help_text="The revision of the Button order that the attempt was for.",
                        verbose_name="revision",
                    ),
                ),
                (
                    "started_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        help_text="When the call started.", verbose_name="started"
                    ),
                ),
                (
                    "duration_ms",
                    models.IntegerField(
                        help_text="How long the call took, in milliseconds.",
                        verbose_name="duration in ms",
                    ),
                ),
                (
                    "method",
                    django_button_orders.models.fields.StrictCharField(
                        help_text="The HTTP method of the call.",
                        max_length=6,
                        verbose_name="method",
                    ),
                ),
                (
                    "url",
                    django_button_orders.models.fields.AnyTextField(
                        help_text="The URL of the call.", verbose_name="URL"
                    ),
                ),
                (
                    "request_body",
                    django_button_orders.models.fields.AnyTextField(
                        blank=True,
                        help_text="The JSON that was sent; empty if there was none or it was pruned.",
                        verbose_name="request body",
                    ),
                ),
                (
                    "status_code",
                    models.SmallIntegerField(
                        blank=True,
                        help_text="The HTTP status of the answer; empty if no answer arrived.",
                        null=True,
                        verbose_name="status code",
                    ),
                ),
                (
                    "response_body",
                    django_button_orders.models.fields.AnyTextField(
                        blank=True,
                        help_text="The body of the answer; empty if there was none or it was pruned.",
                        verbose_name="response body",
                    ),
                ),
                (
                    "outcome",
                    django_button_orders.models.fields.StrictCharField(
                        choices=[
                            ("succeeded", "Succeeded"),
                            ("will_retry", "Will retry"),
                            ("failed", "Failed"),
                        ],
                        help_text="Whether the call succeeded, failed, or will be retried.",
                        max_length=10,
                        verbose_name="outcome",
                    ),
                ),
                (
                    "error",
                    django_button_orders.models.fields.AnyTextField(
                        blank=True,
                        help_text="The error of the call; empty if there was none.",
                        verbose_name="error",
                    ),
                ),
                (
                    "has_bodies",
                    models.BooleanField(
                        db_default=True,
                        default=True,
                        editable=False,
                        help_text="Whether a body is stored; false after the bodies were pruned.",
                        verbose_name="has bodies",
                    ),
                ),
                (
                    "button_order",
                    models.ForeignKey(
                        help_text="The Button order that the call was for.",
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="submissions",
                        to="django_button_orders.buttonorder",
                        verbose_name="Button order",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        help_text="The user who started the attempt in the admin; empty for other attempts.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={
                "verbose_name": "submission",
                "verbose_name_plural": "submissions",
                "permissions": [
                    (
                        "view_bodies_submission",
                        "Can view customers and the bodies of calls",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="AttributionToken",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "source_id",
                    django_button_orders.models.fields.ExactCharField(
                        help_text="The primary key of the shop's order.",
                        max_length=255,
                        verbose_name="source ID",
                    ),
                ),
                (
                    "btn_ref",
                    django_button_orders.models.fields.StrictCharField(
                        help_text="The btn_ref of the Button link that the customer followed.",
                        max_length=255,
                        verbose_name="attribution token",
                    ),
                ),
                (
                    "kept_at",
                    django_button_orders.models.fields.AwareDateTimeField(
                        db_default=django_button_orders.models.clock.DatabaseNow(),
                        help_text="When the shop called set_btn_ref() with this token.",
                        verbose_name="kept",
                    ),
                ),
                (
                    "source_type",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        help_text="The content type of the shop's order.",
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="contenttypes.contenttype",
                        verbose_name="source type",
                    ),
                ),
            ],
            options={
                "verbose_name": "attribution token",
                "verbose_name_plural": "attribution tokens",
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("source_type", "source_id"), name="button_token_source"
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="buttonorder",
            index=models.Index(
                fields=["status", "account", "next_attempt_at", "id"],
                name="button_order_due",
            ),
        ),
        migrations.AddIndex(
            model_name="buttonorder",
            index=models.Index(
                condition=models.Q(("lease_expires_at__isnull", False)),
                fields=["lease_expires_at"],
                name="button_order_lease",
            ),
        ),
        migrations.AddIndex(
            model_name="buttonorder",
            index=models.Index(
                fields=["source_type", "source_id"], name="button_order_source"
            ),
        ),
        migrations.AddIndex(
            model_name="buttonorder",
            index=models.Index(
                condition=models.Q(
                    ("status__in", ["cancelled", "closed", "failed", "dismissed"])
                ),
                fields=["status", "id"],
                name="button_order_status",
            ),
        ),
        migrations.AddIndex(
            model_name="buttonorder",
            index=models.Index(
                condition=models.Q(("reason__gt", "")),
                fields=["reason", "id"],
                name="button_order_reason",
            ),
        ),
        migrations.AddIndex(
            model_name="buttonorder",
            index=models.Index(
                condition=models.Q(("last_status_code__gte", 300)),
                fields=["last_status_code", "id"],
                name="button_order_answer",
            ),
        ),
        migrations.AddIndex(
            model_name="buttonorder",
            index=models.Index(
                condition=models.Q(
                    ("currency__isnull", False),
                    ("purchase_date__isnull", False),
                    _connector="OR",
                ),
                fields=["currency", "id"],
                name="button_order_currency",
            ),
        ),
        migrations.AddIndex(
            model_name="buttonorder",
            index=models.Index(
                fields=["purchase_date", "id"], name="button_order_bought"
            ),
        ),
        migrations.AddIndex(
            model_name="buttonorder",
            index=models.Index(
                condition=models.Q(
                    ("btn_ref__gt", ""),
                    ("purchase_date__isnull", False),
                    _connector="OR",
                ),
                fields=["btn_ref", "id"],
                name="button_order_token",
            ),
        ),
        migrations.AddIndex(
            model_name="buttonorder",
            index=models.Index(
                condition=models.Q(("has_late_token", True)),
                fields=["has_late_token", "id"],
                name="button_order_late_token",
            ),
        ),
        migrations.AddIndex(
            model_name="buttonorder",
            index=models.Index(
                condition=models.Q(("customer_order_id__gt", "")),
                fields=["customer_order_id"],
                name="button_order_customer_id",
            ),
        ),
        migrations.AddIndex(
            model_name="buttonorder",
            index=models.Index(
                condition=models.Q(("button_order_id__gt", "")),
                fields=["button_order_id"],
                name="button_order_button_id",
            ),
        ),
        migrations.AddIndex(
            model_name="buttonorder",
            index=models.Index(
                condition=models.Q(("email_sha256__gt", "")),
                fields=["email_sha256", "id"],
                name="button_order_email",
            ),
        ),
        migrations.AddConstraint(
            model_name="buttonorder",
            constraint=models.UniqueConstraint(
                fields=("account", "order_id"), name="button_order_unique"
            ),
        ),
        migrations.AddIndex(
            model_name="difference",
            index=models.Index(
                fields=["found_at", "id"], name="button_difference_found"
            ),
        ),
        migrations.AddIndex(
            model_name="difference",
            index=models.Index(
                fields=["kind", "found_at", "id"], name="button_difference_kind"
            ),
        ),
        migrations.AddIndex(
            model_name="difference",
            index=models.Index(
                fields=["fixed_at", "found_at", "id"], name="button_difference_fixed"
            ),
        ),
        migrations.AddConstraint(
            model_name="difference",
            constraint=models.UniqueConstraint(
                fields=("order_id", "account", "side"), name="button_difference_unique"
            ),
        ),
        migrations.AddIndex(
            model_name="submission",
            index=models.Index(
                fields=["started_at", "outcome", "duration_ms"],
                name="button_submission_lately",
            ),
        ),
        migrations.AddIndex(
            model_name="submission",
            index=models.Index(
                fields=["has_bodies", "started_at", "id"],
                name="button_submission_bodies",
            ),
        ),
    ]
