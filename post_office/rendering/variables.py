"""Which variables of its context a template uses, found in its compiled text without rendering it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.template import Node, NodeList, Variable
from django.template.base import FilterExpression, Template, TokenType
from django.template.defaulttags import ForNode, TemplateLiteral
from django.template.loader_tags import BlockNode
from django.template.smartif import TokenBase

# What the template language itself puts into the context.
_ITS_OWN = {"forloop", "block", "True", "False", "None"}
# Attributes of nodes that hold the name under which a tag keeps its result: {% url … as link %}.
_NAMES_KEPT = ("asvar", "target_var", "var_name", "variable_name", "countervar", "variable")


def variables(compiled: Template) -> list[str]:
    """Return the variables of the context that this template names, as "order.total", in their order.

    What a tag of the template defines for others is left out, and so is what included templates use.
    """
    found = _Finder()
    found.visit_all(compiled.nodelist, frozenset())
    return list(found.names)


class _Finder:
    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self._kept: set[str] = set()

    def visit_all(self, nodes: NodeList | list[Any], local: frozenset[str]) -> None:
        for node in nodes:
            self.visit(node, local)

    def visit(self, node: Any, local: frozenset[str]) -> None:
        attributes = vars(node)
        inner = local
        if isinstance(node, ForNode):
            self._note(node.sequence, local)
            attributes = {name: value for name, value in attributes.items() if name != "sequence"}
            inner = local | set(node.loopvars)
        elif isinstance(attributes.get("extra_context"), Mapping):  # {% with %}, {% include … with … %}
            self._note(attributes["extra_context"], local)
            inner = local | set(attributes["extra_context"])
        # What a tag takes comes before what stands between it and its end.
        for name, value in sorted(attributes.items(), key=lambda item: isinstance(item[1], NodeList)):
            if name in _NAMES_KEPT and isinstance(value, str):
                self._kept.add(value)
            elif not (isinstance(node, BlockNode) and name in ("context", "parent")):
                self._note(value, inner)

    def _note(self, value: Any, local: frozenset[str]) -> None:
        if isinstance(value, Node):
            self.visit(value, local)
        elif isinstance(value, FilterExpression):
            self._note(value.var, local)
            for _function, arguments in value.filters:
                self._note([argument for is_lookup, argument in arguments if is_lookup], local)
        elif isinstance(value, Variable):
            self._name(value, local)
        elif isinstance(value, Mapping):
            self._note(list(value.values()), local)
        elif isinstance(value, (list, tuple)):
            for item in value:
                self._note(item, local)
        elif getattr(value, "token_type", None) is TokenType.VAR:  # as {% blocktranslate %} keeps them
            self._name(Variable(value.contents.partition("|")[0].strip()), local)
        elif isinstance(value, TemplateLiteral):
            self._note(value.value, local)
        elif isinstance(value, TokenBase):  # an operator in the condition of {% if %}
            self._note([value.first, value.second], local)

    def _name(self, variable: Variable, local: frozenset[str]) -> None:
        if variable.lookups and variable.lookups[0] not in local | self._kept | _ITS_OWN:
            self.names[".".join(variable.lookups)] = None


def in_order(*lists: Iterator[str] | list[str]) -> list[str]:
    """Return what is in these lists, each once."""
    return list(dict.fromkeys(name for names in lists for name in names))
