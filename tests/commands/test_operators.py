from __future__ import annotations

import json

from django.contrib.auth.models import Group, Permission, User
from django.test import TestCase, override_settings

from tests.commands.utils import call

COMMAND = "button_orders_operators"
ALL = {
    "view_buttonorder",
    "view_difference",
    "view_pausedaccount",
    "retry_buttonorder",
    "cancel_buttonorder",
    "dismiss_buttonorder",
    "resume_pausedaccount",
    "ask_buttonorder",
    "view_bodies_submission",
}


class ArchiveRouter:
    """Users and groups live in another database than the orders."""

    def db_for_read(self, model, **hints):
        is_of_users = model._meta.app_label in ("auth", "contenttypes")
        return "archive" if is_of_users else None

    db_for_write = db_for_read


def permissions_of(name="Button operators", using="default"):
    group = Group.objects.using(using).get(name=name)
    return set(group.permissions.values_list("codename", flat=True))


class OperatorsTests(TestCase):
    databases = {"default", "archive"}

    def test_all(self):
        out, _, error = call(COMMAND)

        assert error == ""
        assert out.startswith("Button operators: 9 granted, 0 taken away. It has ask_")
        assert permissions_of() == ALL

    def test_again(self):
        call(COMMAND)

        out, _, error = call(COMMAND)

        assert error == ""
        assert "Button operators: 0 granted, 0 taken away." in out
        assert permissions_of() == ALL

    def test_members_may(self):
        call(COMMAND)
        user = User.objects.create(username="ada")
        user.groups.add(Group.objects.get())

        assert all(user.has_perm(f"django_button_orders.{name}") for name in ALL)
        assert not user.has_perm("django_button_orders.change_buttonorder")

    def test_without(self):
        call(COMMAND)

        out, _, _ = call(COMMAND, "--without", "view_bodies_submission")

        assert "0 granted, 1 taken away" in out
        assert permissions_of() == ALL - {"view_bodies_submission"}

    def test_only(self):
        names = ["view_buttonorder", "retry_buttonorder"]

        call(COMMAND, *(f"--only={name}" for name in names), "--name=Night shift")

        assert permissions_of("Night shift") == set(names)

    def test_what_else_the_group_has_stays(self):
        group = Group.objects.create(name="Button operators")
        others = Permission.objects.filter(
            codename__in=["change_buttonorder", "view_user"]
        )
        group.permissions.set(others)
        user = User.objects.create(username="ada")
        user.groups.add(group)

        call(COMMAND)

        assert permissions_of() == ALL | {"change_buttonorder", "view_user"}
        assert group.user_set.get() == user

    def test_dry_run(self):
        out, _, _ = call(COMMAND, "--dry-run")

        assert "Dry run, nothing was changed. Would be: Button operators: 9" in out
        assert not Group.objects.exists()

    def test_json(self):
        out, _, _ = call(COMMAND, "--format=json", "--only=view_buttonorder")

        assert json.loads(out) == {
            "dry_run": False,
            "group": "Button operators",
            "granted": 1,
            "taken_away": 0,
            "permissions": ["view_buttonorder"],
        }

    def test_both_selections(self):
        _, _, error = call(
            COMMAND, "--only=view_buttonorder", "--without=ask_buttonorder"
        )

        assert error == "Use either --only or --without."

    def test_names(self):
        for name in ("", " ", "x" * 151):
            with self.subTest(name=name):
                assert "1 to 150 characters" in call(COMMAND, "--name", name)[2]

        assert not Group.objects.exists()

    def test_before_migrating(self):
        Permission.objects.filter(codename="ask_buttonorder").delete()

        error = call(COMMAND)[2]

        assert "no permissions ask_buttonorder yet. Run 'manage.py migrate'" in error
        assert not Group.objects.exists()

    @override_settings(DATABASE_ROUTERS=[ArchiveRouter()])
    def test_users_in_another_database(self):
        _, _, error = call(COMMAND)

        assert error == ""
        assert permissions_of(using="archive") == ALL
        assert not Group.objects.using("default").exists()
