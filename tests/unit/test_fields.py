"""Fields of contexts, whatever class the project chose."""

from typing import Any

from django.db import models

from post_office.fields import ContextField


class PlainField(models.TextField):
    """A class that has nothing to do when it reads from the database."""


def test_a_class_of_field_that_does_not_convert_gives_what_is_stored(settings: Any) -> None:
    settings.POST_OFFICE = {"CONTEXT_FIELD_CLASS": f"{__name__}.PlainField"}
    field: Any = ContextField()
    assert isinstance(field, PlainField)
    assert field.from_db_value("stored", None, None) == "stored"
