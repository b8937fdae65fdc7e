from __future__ import annotations

from django.core import signing

from tests.admin.test_actions import Asking, VerbTestCase, many_url, signed_in


class SignatureTests(Asking, VerbTestCase):
    """The view accepts only keys that it has signed for this user and verb."""

    def check_refused(self, selection, text, verb="retry"):
        response = self.client.post(many_url(verb), {"selection": selection})

        assert text in self.message(response)
        assert self.status() == "failed"

    def test_none(self):
        self.check_refused("", "select orders in this list first")

    def test_forged(self):
        forged = signing.dumps([self.row.pk], salt="django_button_orders.retry")

        self.check_refused(forged, "select orders in this list first")

    def test_that_of_another_verb(self):
        selection = signed_in(self.ask("retry"))

        self.check_refused(selection, "select orders in this list first", "cancel")

    def test_that_of_another_user(self):
        selection = signed_in(self.ask("retry"))
        self.log_in("view_buttonorder", "retry_buttonorder")

        self.check_refused(selection, "select orders in this list first")

    def test_too_old(self):
        salt = f"django_button_orders.retry.{self.user.pk}"
        old = OldSigner(salt=salt).sign_object([self.row.pk], compress=True)

        self.check_refused(old, "the confirmation expired after 60 minutes")


class OldSigner(signing.TimestampSigner):
    """Sign with a timestamp of two hours ago."""

    def timestamp(self):
        return signing.b62_encode(signing.b62_decode(super().timestamp()) - 7200)
