"""Model fields: address lists as text, and the context of a mail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import jsonfield
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.fields.files import FieldFile
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from jsonfield.encoder import JSONEncoder

from .addresses import join_mailboxes, split_mailboxes
from .conf import conf
from .packing import Unreadable, pack, unpack
from .validators import validate_comma_separated_emails

if TYPE_CHECKING:
    TextField = models.TextField[Sequence[str] | str, list[str]]
    NullableTextField = models.TextField[Sequence[str] | None, list[str] | None]
    PackedTextField = models.TextField[dict[str, Any] | None, dict[str, Any] | None]
else:
    TextField = NullableTextField = PackedTextField = models.TextField


class CommaSeparatedEmailField(TextField):
    """A list of mailboxes in one column, separated by commas.

    Reads as a list of str. Takes a list, or text with commas; display names may hold commas in
    quotes. `filter(to="ann@example.com")` and `filter(to=["ann@…", "bob@…"])` find exact lists.
    """

    default_validators = [validate_comma_separated_emails]
    description = _("Comma-separated emails")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["blank"] = True
        super().__init__(*args, **kwargs)

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(
            **{"error_messages": {"invalid": _("Only comma separated emails are allowed.")}, **kwargs}
        )

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return join_mailboxes(str(mailbox) for mailbox in value)
        return value if value is None else str(value)

    def from_db_value(self, value: str | None, *_: Any) -> Any:
        return self.to_python(value)

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str):
            return split_mailboxes(value)
        return value

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.get_prep_value(self.value_from_object(obj)))


class PackedField(PackedTextField):
    """A dict of plain Python values, given back exactly as they were; see `packing`."""

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else pack(value)

    def from_db_value(self, value: str | None, *_: Any) -> Any:
        try:
            return None if value is None else unpack(value)
        except Exception as fault:
            # Raised here, it would stop the mails that are read along with this one.
            return Unreadable(fault)

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.get_prep_value(self.value_from_object(obj)) or "")

    def to_python(self, value: Any) -> Any:
        # Text comes from a fixture. What is kept here is a dict.
        return (unpack(value) if value else None) if isinstance(value, str) else value

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        refuse_unreadable(value)
        return super().clean(value, model_instance)


class ReadableJSON(json.JSONEncoder):
    """JSON with its letters as they are, so that a search for a word finds it on every database."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "ensure_ascii": False})


class AttachmentFile(FieldFile):
    def save(self, name: str, content: File, save: bool = True) -> None:  # type: ignore[type-arg]
        # It was that of the file which this one takes the place of.
        cast(Any, self.instance).digest = None
        super().save(name, content, save=save)


class AttachmentFileField(models.FileField):
    """A file whose row forgets the digest when other content takes its place."""

    attr_class = AttachmentFile

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.FileField", list(args), kwargs


class TagsField(NullableTextField):
    """A set of labels in one column, in their order; reads as a list of str.

    Each stands on a line of its own, with an end of line on both sides, so that `tagged` finds a label
    exactly, and `tags__icontains` a part of one.
    """

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return "\n{}\n".format("\n".join(value)) if value else None
        return value

    def from_db_value(self, value: str | None, *_: Any) -> Any:
        return self.to_python(value)

    def to_python(self, value: Any) -> Any:
        return value.strip("\n").split("\n") if isinstance(value, str) and value else value or []

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.get_prep_value(self.value_from_object(obj)) or "")


class ContextJSONField(jsonfield.JSONField):
    """jsonfield's field, in a `jsonb` column on PostgreSQL.

    Databases made by earlier versions have a jsonb column there, which refuses the text that the
    plain field sends as soon as two rows are inserted together.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        if connection.vendor == "postgresql":
            return "jsonb"
        return super().db_type(connection)  # type: ignore[no-any-return]

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        if not prepared:
            value = self.get_prep_value(value)
        if connection.vendor == "postgresql" and value is not None:
            return connection.ops.adapt_json_value(json.loads(value), JSONEncoder)
        return value


class TypedByItsColumn:
    """Leaves it to the column what type a value has: jsonb in databases made before, text in new ones.

    When Django inserts several rows at once on PostgreSQL, it names the type that the field would have in
    a new database, but for fields with a placeholder of their own.
    """

    def get_placeholder(self, value: Any, compiler: Any, connection: BaseDatabaseWrapper) -> str:
        return "%s"

    # The same, as Django asks for it since 6.1.
    def get_placeholder_sql(
        self, value: Any, compiler: Any, connection: BaseDatabaseWrapper
    ) -> tuple[str, tuple[Any]]:
        return "%s", (value,)


def refuse_unreadable(value: Any) -> None:
    """Raise ValidationError for a value whose column must not be overwritten by what stands for it."""
    if isinstance(value, Unreadable):
        raise ValidationError(f"{value}, so it must not be written back.", code="invalid")


def ContextField(**options: Any) -> models.Field[Any, Any]:
    """Make the field for contexts: of the class in CONTEXT_FIELD_CLASS, known by one name only.

    Migrations name this function whatever the class is, so that choosing one asks for no
    migration inside an installed package.
    """
    base: type[models.Field[Any, Any]] = import_string(conf.CONTEXT_FIELD_CLASS)
    if issubclass(base, jsonfield.JSONField) and not issubclass(base, ContextJSONField):
        base = type(base.__name__, (TypedByItsColumn, base), {})

    class Field(base):  # type: ignore[misc, valid-type]
        def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
            name, _path, _args, kwargs = super().deconstruct()
            kept = {key: kwargs[key] for key in ("blank", "null", "verbose_name") if key in kwargs}
            return name, "post_office.fields.ContextField", [], kept

        def from_db_value(self, value: Any, *args: Any) -> Any:
            # Not every class of field has something to do here.
            read = getattr(super(), "from_db_value", None)
            try:
                return read(value, *args) if read else value
            except Exception as fault:
                # Raised here, it would stop the mails that are read along with this one.
                return Unreadable(fault)

        def clean(self, value: Any, model_instance: models.Model | None) -> Any:
            refuse_unreadable(value)
            return super().clean(value, model_instance)

        def validate(self, value: Any, model_instance: models.Model | None) -> None:
            super().validate(value, model_instance)
            try:
                json_text = self.get_prep_value(value)
            except Exception as fault:
                raise ValidationError(
                    [_("Value must be valid JSON."), f"{value!r} cannot be stored: {fault}"], code="invalid"
                ) from fault
            # Not JSON, although Python writes and reads it; databases refuse it.
            if (
                isinstance(json_text, str)
                and isinstance(base, type)
                and issubclass(base, jsonfield.JSONField)
            ):
                _refuse_what_databases_refuse(value, json_text)

    Field.__name__ = Field.__qualname__ = base.__name__
    return Field(**options)


def _refuse_what_databases_refuse(value: Any, json_text: str) -> None:
    def refuse(constant: str) -> None:
        raise ValidationError(
            [_("Value must be valid JSON."), f"{value!r} cannot be stored: it holds {constant}"],
            code="invalid",
        )

    json.loads(json_text, parse_constant=refuse)
    if "\\u0000" in json_text:
        refuse("a null character")
