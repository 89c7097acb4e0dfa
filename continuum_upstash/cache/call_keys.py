"""Cache keys and tags of calls: templates, and keys made from the arguments of a function."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from string import Formatter
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from django.utils.translation import get_language

from continuum_upstash.cache.argument_text import (
    UnsupportedArgument,
    describe,
    escape_field,
    has_separator,
    to_text,
)
from continuum_upstash.errors import ConfigurationError, suggest_similar

# memcached allows 250 characters with KEY_PREFIX and version; Django warns about longer keys.
MAX_LENGTH: Final = 200
_READABLE_LENGTH: Final = 120
_DIGEST_LENGTH: Final = 40

_LIST: Final = 'not a list or tuple of them. Write ["user:{user_id}"].'

_formatter: Final = Formatter()


_signature_options: Mapping[str, Any] = MappingProxyType({})
if sys.version_info >= (3, 14):
    from annotationlib import Format

    # Annotations may name what is only imported for type checkers.
    _signature_options = MappingProxyType({"annotation_format": Format.FORWARDREF})

Tags: TypeAlias = Sequence[str] | Callable[..., Iterable[str]]


class Field(NamedTuple):
    """A field of a template.

    Attributes:
        path: a name, possibly with attributes and items: ``article.author_id``.
        spec: a format specification, or an empty text.
    """

    path: str
    spec: str

    @property
    def name(self) -> str:
        return self.path.replace("[", ".").partition(".")[0]


class Template:
    """A text with fields, such as the tag ``user:{user_id}``.

    Args:
        text: the template.
        owner: the function or model that the template belongs to, for messages.

    Raises:
        ConfigurationError: the text is no template of this kind.
    """

    def __init__(self, text: str, owner: str) -> None:
        self._text, self._owner = text, owner
        try:
            parsed = list(_formatter.parse(text))
        except (ValueError, TypeError) as error:  # a single brace; no str
            raise ConfigurationError(f"{owner}: {text!r} is no template: {error}.") from None
        self._parts: list[tuple[str, Field | None]] = []
        for literal, path, spec, conversion in parsed:
            if path is not None:
                self._check_field(path, spec or "", conversion)
            self._parts.append((literal, None if path is None else Field(path, spec or "")))
        if not text:
            raise ConfigurationError(f"{owner}: a key or tag is empty.")

    def _check_field(self, path: str, spec: str, conversion: str | None) -> None:
        if not path or not path[0].isidentifier() or conversion or "{" in spec:
            raise ConfigurationError(
                f"{self._owner}: {self._text!r} has a field that is no name: write "
                '"report:{user_id}", with the name of an argument or attribute.'
            )

    @property
    def fields(self) -> list[Field]:
        return [field for _, field in self._parts if field is not None]

    def check_names(self, known: Iterable[str]) -> None:
        """
        Raises:
            ConfigurationError: the name of a field is not among the known ones.
        """
        for field in self.fields:
            if field.name not in known:
                raise ConfigurationError(
                    f"{self._owner}: {self._text!r} names {field.name!r}, which does not exist."
                    f"{suggest_similar(field.name, known)}"
                )

    @property
    def prefix(self) -> str:
        """The text before the first field."""
        return self._parts[0][0]

    def render(self, values: Mapping[str, Any]) -> str:
        """Return the text with the values of the fields.

        Raises:
            ConfigurationError: a value has no stable text.
        """
        text = ""
        for literal, field in self._parts:
            text += literal
            if field is not None:
                text += self._render_field(field, values)
        return text

    def _render_field(self, field: Field, values: Mapping[str, Any]) -> str:
        if field.path in values:
            value = values[field.path]
        else:
            self.check_names(values)  # **kwargs may lack one
            value = _formatter.get_field(field.path, (), values)[0]
        if field.spec:
            return format(value, field.spec)
        try:
            return to_text(value)
        except UnsupportedArgument as error:
            raise ConfigurationError(
                f"{self._owner}: the field {{{field.path}}} has no stable text; its type is "
                f"{error}. Name an attribute of it that has one, such as {{{field.path}.pk}}."
            ) from None


class KeyTemplate(Template):
    """A template whose texts differ if the values of its fields do.

    The values are percent-encoded, and two fields are separated by a character that no encoded
    value contains.
    """

    def __init__(self, text: str, owner: str) -> None:
        super().__init__(text, owner)
        between, is_first = "", True
        for literal, field in self._parts:
            between += literal
            if field is None:
                continue
            if not is_first and not has_separator(between):
                raise ConfigurationError(
                    f"{owner}: {text!r} has two fields without a separator, so different values "
                    'would have the same key. Separate them by ":" or "/".'
                )
            between, is_first = "", False

    def _render_field(self, field: Field, values: Mapping[str, Any]) -> str:
        return escape_field(super()._render_field(field, values))


def bound_length(text: str, readable: str) -> str:
    """Return the text, or a digest of it after a readable beginning if it is too long.

    A short text that ends like a digest is replaced by its digest, too. Otherwise a text that a
    user has chosen could be the key of a longer one.
    """
    if len(text) <= MAX_LENGTH and text[-_DIGEST_LENGTH - 1 : -_DIGEST_LENGTH] != "#":
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    digest = blake2b(encoded, digest_size=_DIGEST_LENGTH // 2).hexdigest()
    return f"{readable[:_READABLE_LENGTH]}#{digest}"


class TagTemplates:
    """The tags of a call or of a model instance: templates, or a function that returns the tags.

    Raises:
        ConfigurationError: the tags are neither.
    """

    def __init__(self, tags: Tags, owner: str) -> None:
        self._owner = owner
        self._function = tags if callable(tags) else None
        if isinstance(tags, str):
            raise ConfigurationError(f"{owner}: tags is a str, {_LIST}")
        self.templates = [] if callable(tags) else [Template(each, owner) for each in tags]

    def check_names(self, known: Iterable[str]) -> None:
        for each in self.templates:
            each.check_names(known)

    def render(
        self, values: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[str, ...]:
        """Return the tags, each once.

        Args:
            values: of the fields.
            args: for the function.
            kwargs: for the function.
        """
        if self._function:
            tags = self._function(*args, **kwargs)
            if isinstance(tags, str):
                raise ConfigurationError(
                    f"{self._owner}: the function tags returned a str, {_LIST}"
                )
            return tuple(dict.fromkeys(tags))
        return tuple(dict.fromkeys(each.render(values) for each in self.templates))


class Variants(NamedTuple):
    """What a key depends on besides the arguments.

    Attributes:
        user: the user of the argument ``user`` or ``request``.
        language: the active language.
        function: called with the arguments, returns one more value.
    """

    user: bool = False
    language: bool = False
    function: Callable[..., object] | None = None


class SimpleParameters:
    """Parameters that can all be passed by name.

    `bind` has the result of `inspect.Signature.bind`, and takes a tenth of its time.
    """

    def __init__(self, parameters: Iterable[inspect.Parameter]) -> None:
        every = list(parameters)
        self._positional = [each.name for each in every if each.kind is not each.KEYWORD_ONLY]
        self._defaults = {each.name: each.default for each in every}
        self._required = {each.name for each in every if each.default is each.empty}

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the arguments by name with defaults; None if the function rejects them."""
        passed = {**dict(zip(self._positional, args, strict=False)), **kwargs}
        arguments = {**self._defaults, **passed}
        is_accepted = (
            len(args) <= len(self._positional)
            and len(passed) == len(args) + len(kwargs)
            and len(arguments) == len(self._defaults)
            and passed.keys() >= self._required
        )
        return arguments if is_accepted else None


class BoundCall(NamedTuple):
    """One call of a function.

    Attributes:
        args: as they were passed.
        kwargs: as they were passed.
        arguments: by name, in the order of the signature, with defaults.
        user: see `Variants`, or None.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    arguments: Mapping[str, Any]
    user: Any = None


class CallKeys:
    """The cache keys and tags of the calls of one function.

    Args:
        function: its module and qualified name begin the keys, unless there is `key`.
        key: a template, or a function of the same arguments that returns the key.
        tags: see `TagTemplates`.
        variants: they are appended to the key.

    Raises:
        ConfigurationError: the function has no stable name, or a template names no argument.
    """

    def __init__(
        self,
        function: Callable[..., object],
        *,
        key: str | Callable[..., str] | None,
        tags: Tags,
        variants: Variants,
    ) -> None:
        self.name = f"{function.__module__}.{function.__qualname__}"
        self.signature = inspect.signature(function, **_signature_options)
        self.owner = f"@cached on {self.name}"
        self._key_function: Callable[..., object] | None = key if callable(key) else None
        self._template = None if key is None or callable(key) else KeyTemplate(key, self.owner)
        self._tags = TagTemplates(tags, self.owner)
        self._variants = variants
        self._user_source = self._find_user_source() if variants.user else ""
        parameters = self.signature.parameters.values()
        self._other_names = "".join(
            each.name for each in parameters if each.kind is each.VAR_KEYWORD
        )
        by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        is_simple = all(each.kind in by_name for each in parameters)
        self._parameters = SimpleParameters(parameters) if is_simple else None
        if key is None and "<" in function.__qualname__:  # <lambda> or <locals>
            raise ConfigurationError(
                f"{self.owner}: a lambda, or a function inside of a function, has no name of its "
                'own to begin its keys with. Set one: @cached(key="report:{user_id}").'
            )
        if not self._other_names:
            known = {*self.signature.parameters, *(("user",) if variants.user else ())}
            self._tags.check_names(known)
            if self._template:
                self._template.check_names(known)

    def _find_user_source(self) -> str:
        for name in ("user", "request"):
            if name in self.signature.parameters:
                return name
        raise ConfigurationError(
            f"{self.owner}: vary_on_user needs an argument that is called user or request."
        )

    @cached_property
    def bound_signature(self) -> inspect.Signature:
        """The signature without its first parameter, which is `self` or `cls`."""
        return self.signature.replace(parameters=list(self.signature.parameters.values())[1:])

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> BoundCall:
        """Return a call.

        Raises:
            TypeError: the function does not accept the arguments.
        """
        call = self._bind(args, kwargs)
        if not self._user_source:
            return call
        source = call.arguments[self._user_source]
        return call._replace(user=source.user if self._user_source == "request" else source)

    async def abind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> BoundCall:
        """Async `bind`: it may load the user of a request."""
        if self._user_source != "request":
            return self.bind(args, kwargs)
        call = self._bind(args, kwargs)
        return call._replace(user=await call.arguments["request"].auser())

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> BoundCall:
        arguments = self._parameters.bind(args, kwargs) if self._parameters else None
        if arguments is not None:
            return BoundCall(args, kwargs, arguments)
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}(): {error}") from None
        bound.apply_defaults()
        return BoundCall(args, kwargs, bound.arguments)

    def make_key(self, call: BoundCall) -> str:
        """Return the key of a call, without prefix and version; at most 200 characters.

        Raises:
            ConfigurationError: an argument has no stable text.
        """
        if self._key_function:
            key = self._key_function(*call.args, **call.kwargs)
            if not isinstance(key, str):
                kind = type(key).__qualname__
                raise ConfigurationError(
                    f"{self.owner}: the function key returned a {kind}, no str."
                )
            text = readable = key
        elif self._template:
            text, readable = self._template.render(self._get_values(call)), self._template.prefix
        else:
            readable = f"{self.name}:"
            text = readable + self._describe_arguments(call)
        return bound_length(text + self._describe_variants(call), readable)

    def make_tags(self, call: BoundCall) -> tuple[str, ...]:
        """Return the tags of a call, each once."""
        return self._tags.render(self._get_values(call), call.args, call.kwargs)

    def _get_values(self, call: BoundCall) -> Mapping[str, Any]:
        """Return the values of the fields of templates."""
        values = dict(call.arguments)
        if self._other_names:
            values = {**values.pop(self._other_names), **values}
        if self._user_source:
            values["user"] = call.user
        return values

    def _describe_arguments(self, call: BoundCall) -> str:
        return ",".join(
            f"{name}={self._describe(f'the argument {name}', value)}"
            for name, value in call.arguments.items()
            if name != self._user_source
        )

    def _describe_variants(self, call: BoundCall) -> str:
        user, language, function = self._variants
        text = ""
        if user:
            text += f"|user={self._describe('the user', call.user)}"
        if language:
            text += f"|language={describe(get_language())}"
        if function:
            value = function(*call.args, **call.kwargs)
            text += f"|vary_on={self._describe('the result of vary_on', value)}"
        return text

    def _describe(self, what: str, value: object) -> str:
        try:
            return describe(value)
        except UnsupportedArgument as error:
            raise ConfigurationError(
                f"{self.owner}: {what} has no stable text for a key; its type is {error}. Set "
                'key= to a template that names what matters, such as key="report:{user.pk}", or '
                "to a function that returns the key."
            ) from None
