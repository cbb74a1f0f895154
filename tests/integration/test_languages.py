"""Which languages serve which."""

from typing import Any

import pytest

from post_office import mail
from post_office.models import EmailTemplate
from post_office.rendering import languages
from post_office.rendering.lookup import get_email_template

pytestmark = pytest.mark.django_db


@pytest.fixture
def fallback(settings: Any) -> None:
    settings.POST_OFFICE = {**settings.POST_OFFICE, "LANGUAGE_FALLBACK": True}


@pytest.mark.parametrize(
    ("language", "chain"),
    [
        ("", [""]),
        ("de", ["de", ""]),
        ("pt-br", ["pt-br", "pt", ""]),
        ("pt-BR", ["pt-BR", "pt-br", "pt", ""]),
        ("zh-tw", ["zh-tw", "zh-hant", "zh", ""]),
        ("sr-latn-rs", ["sr-latn-rs", "sr-latn", "sr", ""]),
    ],
)
def test_a_special_language_is_served_by_more_general_ones(language: str, chain: list[str]) -> None:
    assert languages.chain(language) == chain


@pytest.fixture
def greeting() -> EmailTemplate:
    template = EmailTemplate.objects.create(name="greeting", subject="Hello")
    template.translated_templates.create(language="pt", subject="Olá")
    template.translated_templates.create(language="de", subject="Hallo")
    return template


@pytest.mark.usefixtures("greeting")
def test_without_the_setting_another_language_is_refused() -> None:
    with pytest.raises(EmailTemplate.DoesNotExist, match="'greeting' in language 'pt-br'"):
        get_email_template("greeting", "pt-br")


@pytest.mark.usefixtures("fallback")
@pytest.mark.parametrize(
    ("language", "subject"),
    [("pt-br", "Olá"), ("pt", "Olá"), ("id", "Hello"), ("", "Hello"), ("de", "Hallo")],
)
@pytest.mark.parametrize("by", ["name", "instance"])
def test_with_the_setting_the_nearest_language_serves(
    greeting: EmailTemplate, language: str, subject: str, by: str
) -> None:
    template: Any = {"name": "greeting", "instance": greeting}[by]
    for _ in range(2):
        sent = mail.send("ann@example.com", "me@example.com", template=template, language=language)
        assert sent.subject == subject
        assert sent.language == (language or None)


@pytest.mark.usefixtures("fallback", "greeting")
def test_a_translation_that_comes_later_is_used_at_once(django_assert_num_queries: Any) -> None:
    assert get_email_template("greeting", "pt-br").subject == "Olá"
    with django_assert_num_queries(0):
        assert get_email_template("greeting", "pt-br").subject == "Olá"
    EmailTemplate.objects.get(name="greeting", language="").translated_templates.create(
        language="pt-br", subject="Oi"
    )
    assert get_email_template("greeting", "pt-br").subject == "Oi"


@pytest.mark.usefixtures("fallback")
def test_a_template_that_there_is_not_in_any_language_is_refused_each_time_anew() -> None:
    with pytest.raises(EmailTemplate.DoesNotExist):
        get_email_template("later", "de")
    EmailTemplate.objects.bulk_create([EmailTemplate(name="later", language="")])
    assert get_email_template("later", "de").language == ""


@pytest.mark.parametrize(
    ("present", "missing"),
    [
        ([""], ["de", "id", "pt-br"]),
        (["", "de", "id"], ["pt-br"]),
        (["de"], ["en", "id", "pt-br"]),
        (["", "de", "id", "pt-br"], []),
        (["", "de", "id", "pt"], ["pt-br"]),
    ],
)
def test_missing_languages_are_those_that_readers_would_be_refused(
    present: list[str], missing: list[str], settings: Any
) -> None:
    settings.LANGUAGE_CODE = "en-us"
    settings.LANGUAGES = [("en", "English"), ("de", "German"), ("id", "Indonesian"), ("pt-br", "Portuguese")]
    assert languages.missing(present) == missing
    settings.POST_OFFICE = {**settings.POST_OFFICE, "LANGUAGE_FALLBACK": True}
    assert languages.missing(present) == [code for code in missing if "pt" not in present or code != "pt-br"]
    settings.USE_I18N = False
    assert languages.missing(present) == []
