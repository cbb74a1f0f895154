"""Templates that are being written: mistakes with their place, variables, previews."""

import pytest

from post_office.models import EmailTemplate
from post_office.rendering import drafts

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("source", "line", "column", "said"),
    [
        ("Hello {{ name }}", None, None, ""),
        ("Hello\n  {% endif %}", 2, 3, "endif"),
        ("{% if a %}\n{% for b in c %}", 2, 1, "Unclosed tag"),
        ("a\r\nb {{ name|nope }}", 2, 3, "nope"),
        ("{% load nothing %}", 1, 1, "nothing"),
        ("{{ a b }}", 1, 1, "a b"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    source: str, line: int | None, column: int | None, said: str
) -> None:
    found = drafts.check(source, field="content")
    if line is None:
        assert found == []
        return
    (problem,) = found
    assert (problem.field, problem.line, problem.column) == ("content", line, column)
    assert said in problem.message


def test_all_texts_of_a_template_are_checked_and_its_sample_context() -> None:
    template = EmailTemplate(
        name="t", subject="{% nope %}", html_content="<p>\n{{ x|nope }}", sample_context='{"a": 1,\n b}'
    )
    found = [(problem.field, problem.line, problem.column) for problem in drafts.problems(template)]
    assert found == [("subject", 1, 1), ("html_content", 2, 1), ("sample_context", 2, 2)]
    assert drafts.problems(EmailTemplate(name="t", subject="{{ a }}", sample_context='{"a": 1}')) == []
    (problem,) = drafts.problems(EmailTemplate(name="t", sample_context="[1]"))
    assert (problem.field, problem.line) == ("sample_context", None)


def test_the_variables_of_a_template_are_those_that_somebody_must_give() -> None:
    template = EmailTemplate(
        name="t",
        subject="{{ shop.name }}: {{ order.number|default:fallback }}",
        content="{% load i18n %}"
        "{% for item in order.items %}{{ forloop.counter }} {{ item.name }} {{ currency }}"
        "{% empty %}{{ none }}{% endfor %}"
        "{% with total=order.total %}{{ total }}"
        "{% if total > limit and not paid %}{{ late }}{% endif %}{% endwith %}"
        "{% blocktranslate with who=user.name %}{{ who }} {{ greeting }}{% endblocktranslate %}"
        "{% url 'x' slug as link %}{{ link }} {{ 'text' }} {{ 5 }} {% now 'Y' as year %}{{ year }}",
        html_content="{% extends layout %}{% block body %}"
        "{{ block.super }}{{ shop.name }}{{ html }}{% endblock %}",
    )
    assert drafts.variables(template) == [
        "shop.name",
        "order.number",
        "fallback",
        "order.items",
        "currency",
        "none",
        "order.total",
        "limit",
        "paid",
        "late",
        "user.name",
        "greeting",
        "slug",
        "layout",
        "html",
    ]


def test_what_does_not_compile_names_no_variables() -> None:
    assert drafts.variables(EmailTemplate(name="t", subject="{{ a }}", content="{% nope %}{{ b }}")) == ["a"]


def test_a_draft_is_rendered_with_its_sample_context_without_being_saved() -> None:
    template = EmailTemplate(
        name="t",
        subject="Hi\n{{ name }}",
        content="{{ name }}",
        html_content="<p>{{ name }}</p>",
        sample_context='{"name": "A & B"}',
    )
    preview = drafts.render_draft(template)
    assert preview.problems == ()
    assert preview.rendered.subject == "Hi A & B"
    assert preview.rendered.message == "A & B"
    assert preview.rendered.html_message == "<p>A &amp; B</p>"
    assert drafts.render_draft(template, context={"name": "C"}).rendered.message == "C"
    assert not EmailTemplate.objects.exists()


def test_a_text_with_a_problem_does_not_hide_the_others() -> None:
    template = EmailTemplate(
        name="t", subject="{{ a }}", content="\n{% nope %}", html_content="<p>{{ a }}</p>"
    )
    preview = drafts.render_draft(template, context={"a": "x"})
    assert (preview.rendered.subject, preview.rendered.html_message) == ("x", "<p>x</p>")
    (problem,) = preview.problems
    assert (problem.field, problem.line, problem.column) == ("content", 2, 1)


@pytest.mark.parametrize("broken", ["{", "[]"])
def test_a_translation_has_the_sample_context_of_its_default_where_its_own_says_nothing(broken: str) -> None:
    default = EmailTemplate.objects.create(name="t", sample_context='{"name": "Ann"}')
    assert drafts.sample_context(EmailTemplate(default_template=default)) == {"name": "Ann"}
    assert drafts.sample_context(EmailTemplate(default_template=default, sample_context='{"b": 1}')) == {
        "b": 1
    }
    assert drafts.sample_context(EmailTemplate(default_template=default, sample_context=broken)) == {
        "name": "Ann"
    }


def test_a_fault_while_rendering_is_told_with_its_place_and_template() -> None:
    EmailTemplate.objects.create(
        name="footer", content="line\n {{ name|add:broken.thing }}{% include missing %}"
    )
    EmailTemplate.objects.create(name="bad", content="{% nope %}")
    for content, place, said in [
        ("a\n  {% include 'nothing' %}", (2, 3, ""), "TemplateDoesNotExist: nothing"),
        ("{% include 'footer' %}", (2, 29, "footer (content)"), "No template names provided"),
        (" {% include 'bad' %}", (1, 2, ""), "bad (content): "),
    ]:
        draft = EmailTemplate(name="t", content=content)
        (problem,) = drafts.render_draft(draft, context={"name": "x", "broken": {"thing": 1}}).problems
        assert (problem.field, problem.line, problem.column, problem.template) == ("content", *place)
        assert said in problem.message


def test_a_draft_that_goes_round_is_told() -> None:
    EmailTemplate.objects.create(name="a", content="{% include 'b' %}")
    EmailTemplate.objects.create(name="b", content="{% include 'a' %}")
    (problem,) = drafts.render_draft(EmailTemplate.objects.get(name="a")).problems
    assert "without end" in problem.message


def test_a_draft_is_rendered_in_its_language_and_a_time_zone() -> None:
    draft = EmailTemplate(
        name="t", language="de", content="{% load i18n %}{% translate 'Yes' %} {% now 'e' %}"
    )
    assert drafts.render_draft(draft, time_zone="Asia/Tokyo").rendered.message == "Ja JST"
    assert drafts.render_draft(draft, language="en", time_zone="Asia/Tokyo").rendered.message == "Yes JST"


def test_previews_leave_nothing_among_what_is_kept_compiled() -> None:
    from post_office.rendering.engines import _compile

    before = _compile.cache_info().currsize
    drafts.render_draft(EmailTemplate(name="t", content="{{ once_and_never_again }}"))
    assert _compile.cache_info().currsize == before
