from __future__ import annotations

import re
from pathlib import Path

import polib
import pytest
from django.test import override_settings
from django.utils import translation

import django_button_orders
from django_button_orders.models import ButtonOrder, Submission
from tests.admin.utils import LIST_URL, AdminTestCase, page_url
from tests.utils import create_row

LOCALE = Path(django_button_orders.__file__).parent / "locale"
LANGUAGES = ("de", "es", "fr", "ja")
# A placeholder, as in "%(count)d orders", "{{ name }}" or "100 %%".
PLACEHOLDER = re.compile(r"%\([a-z_]+\)[a-z]|%%|\{[a-z_]*\}")
TAG = re.compile(r"</?[a-z]+>")


def catalogue(language):
    return polib.pofile(LOCALE / language / "LC_MESSAGES" / "django.po")


def texts_of(entry):
    """Return each text of an entry with its translations."""
    if not entry.msgid_plural:
        return [(entry.msgid, [entry.msgstr])]
    forms = list(entry.msgstr_plural.values())
    return [(entry.msgid_plural, forms)]


def key_of(entry):
    return entry.msgctxt, entry.msgid, entry.msgid_plural


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("pattern", [PLACEHOLDER, TAG])
def test_placeholders(language, pattern):
    """A singular may omit the number: "an order" instead of "1 order"."""
    for entry in catalogue(language).translated_entries():
        for text, forms in texts_of(entry):
            *_, most = forms
            assert sorted(pattern.findall(most)) == sorted(pattern.findall(text)), text
            for form in forms:
                assert set(pattern.findall(form)) <= set(pattern.findall(text)), text


@pytest.mark.parametrize("language", LANGUAGES)
def test_compiled(language):
    """Django reads the .mo file, which ``make messages`` compiles."""
    compiled = polib.mofile(LOCALE / language / "LC_MESSAGES" / "django.mo")
    found = {key_of(entry): texts_of(entry) for entry in compiled}

    translated = catalogue(language).translated_entries()
    assert found == {key_of(entry): texts_of(entry) for entry in translated}


class PageTests(AdminTestCase):
    def test_every_language(self):
        row = create_row(order_id="failed")
        ButtonOrder.objects.update(status="failed", reason="refused")
        seen = set()
        for language in ("en", *LANGUAGES):
            with (
                self.subTest(language=language),
                override_settings(LANGUAGE_CODE=language),
                translation.override(language),
            ):
                verbs = str(ButtonOrder.Status.FAILED.label)
                for url in (LIST_URL, page_url(row)):
                    response = self.client.get(
                        url, headers={"accept-language": language}
                    )
                    self.assertContains(response, verbs)
                seen.add(verbs)
        assert len(seen) == 1 + len(LANGUAGES)

    def test_words_that_stand_on_other_buttons(self):
        """Django merges the apps' catalogues, so ours must not translate "Cancel"."""
        for language in LANGUAGES:
            with self.subTest(language=language), translation.override(language):
                for choices in (Submission.Operation, Submission.Trigger):
                    for choice in choices:
                        word = choice.name.capitalize()
                        assert (None, word, "") not in map(key_of, catalogue(language))
