"""Django's template engines as mail uses them.

Behind the loaders of files stands one for the templates of mail, so that these may extend and include
each other by name. Compiled text is kept by its engine, its source and its name; a project's own
engines are left as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from django.template import Engine, Origin, Template, TemplateDoesNotExist, TemplateSyntaxError, engines
from django.template.base import UNKNOWN_SOURCE
from django.template.loaders.base import Loader

from ..exceptions import EndlessTemplate, InvalidTemplate
from . import lookup

# The fields of EmailTemplate that hold the texts of a mail.
FIELDS = {"subject": "subject", "message": "content", "html_message": "html_content"}


@dataclass(frozen=True, kw_only=True)
class Text:
    """One text of a mail, which is about to be rendered.

    Attributes:
        argument: "subject", "message" or "html_message".
        template: Name of the template that it is of; empty where it is of none.
        language: Of the mail.
    """

    argument: str
    source: str
    template: str = ""
    language: str = ""

    @property
    def is_html(self) -> bool:
        return self.argument == "html_message"

    @property
    def place(self) -> str:
        """The name of the template with what tells its texts apart."""
        return f"{self.template} ({FIELDS[self.argument]})" if self.template else UNKNOWN_SOURCE


@dataclass
class _Rendering:
    text: Text
    used: list[str] = field(default_factory=list)


_rendering: ContextVar[_Rendering | None] = ContextVar("post_office_rendering", default=None)


class looking_for:
    """Let templates be found for this text in this block, which is given the names of those that are found.

    A class, since this is done three times for each mail, and a generator takes longer.
    """

    def __init__(self, text: Text) -> None:
        self._state = _Rendering(text=text)

    def __enter__(self) -> list[str]:
        self._token = _rendering.set(self._state)
        return self._state.used

    def __exit__(self, *fault: object) -> None:
        _rendering.reset(self._token)


def backend_named(alias: str) -> Any:
    """Return the backend with this alias in TEMPLATES; Django's default one where it is empty."""
    return engines[alias] if alias else _default_backend()


def compiled(text: Text, backend: Any) -> Any:
    """Return a compiled template, Django's own or that of another engine.

    Raises:
        InvalidTemplate: It does not compile; names the argument.
    """
    try:
        if isinstance(getattr(backend, "engine", None), Engine):
            return _compile(_for_mail(backend), text.source, text.template, text.place)
        return _compile_foreign(backend, text.source, text.is_html)
    except TemplateSyntaxError as fault:
        raise InvalidTemplate(text.argument, text.source, fault) from fault


def compiled_to_debug(text: Text) -> Template:
    """Return a compiled template whose faults know their place. It is not kept.

    Raises:
        TemplateSyntaxError: It does not compile.
    """
    backend = _default_backend()
    engine = copy.copy(backend.engine)
    engine.debug = True
    # Loaders of its own, since those of the project keep templates that do not know their places.
    loaders = engine.get_template_loaders(engine.loaders)
    engine.__dict__["template_loaders"] = [*loaders, MailLoader(engine)]
    return _compile_anew(engine, text.source, text.template, text.place)


def _default_backend() -> Any:
    default = Engine.get_default()
    return next(backend for backend in engines.all() if getattr(backend, "engine", None) is default)


@lru_cache(maxsize=16)
def _for_mail(backend: Any) -> Engine:
    # The backend is the key: changed TEMPLATES make new ones. The loaders of files are shared with it, so
    # that what they keep is kept once, and forgotten when Django tells the engine of a changed file.
    engine: Engine = copy.copy(backend.engine)
    engine.__dict__["template_loaders"] = [*backend.engine.template_loaders, MailLoader(engine)]
    return engine


def _compile_anew(engine: Engine, source: str, template: str, place: str) -> Template:
    loader = next(loader for loader in reversed(engine.template_loaders) if isinstance(loader, MailLoader))
    return Template(source, loader.origin(template, place), template or None, engine)


_compile = lru_cache(maxsize=512)(_compile_anew)


@lru_cache(maxsize=512)
def _compile_foreign(backend: Any, source: str, is_html: bool) -> Any:
    if not is_html and hasattr(getattr(backend, "env", None), "overlay"):  # Jinja2
        backend = copy.copy(backend)
        backend.env = backend.env.overlay(autoescape=False)
    return backend.from_string(source)


class MailLoader(Loader):
    """Finds the templates of mail by name: their text of the kind, and in the language, that is rendered.

    The default text will do for a language that has none of its own, as for layouts without words.
    """

    def get_template(self, template_name: str, skip: list[Origin] | None = None) -> Template:
        state = _rendering.get()
        if state is None:
            raise TemplateDoesNotExist(template_name)
        state.used.append(template_name)
        text = state.text
        place = replace(text, template=template_name).place
        if any(origin.template_name == template_name for origin in skip or ()):
            raise EndlessTemplate(text.argument, state.used)
        found = lookup.find_layout(template_name, text.language)
        if found is None:
            raise TemplateDoesNotExist(template_name)
        source = getattr(found, FIELDS[text.argument])
        try:
            return self.compile(self.engine, source, template_name, place)
        except TemplateSyntaxError as fault:
            raise InvalidTemplate(place, source, fault) from fault

    @property
    def compile(self) -> Callable[[Engine, str, str, str], Template]:
        return _compile_anew if self.engine.debug else _compile

    def origin(self, template: str, place: str) -> Origin:
        """Return where a template comes from, which tells those apart that extend each other."""
        return Origin(name=place, template_name=template or None, loader=self if template else None)
