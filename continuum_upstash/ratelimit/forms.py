"""A login form whose rate limit is a form error instead of a 429 response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.utils.translation import ngettext

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.http.check_request import check_attempt
from continuum_upstash.ratelimit.http.headers import get_retry_after
from continuum_upstash.ratelimit.recipes import LOGIN


class LimitedAuthenticationForm(AuthenticationForm):
    """Django's login form, which does not check the password after a limit is reached.

        LoginView.as_view(authentication_form=LimitedAuthenticationForm)

    Each validation of a form with data counts, whatever the method of the request. Keys by
    ``post:`` read the validated fields of the form, such as ``post:username``, by their names with
    or without the form's prefix.

    Attributes:
        policies: names in CONTINUUM_RATELIMIT; by default those of the recipe LOGIN.
    """

    policies: Sequence[str] = tuple(LOGIN)

    def clean(self) -> dict[str, Any]:
        """Validate the form.

        Raises:
            ValidationError: the password is wrong, or a limit is reached (code ``ratelimited``).
            ConfigurationError: the form was made without a request.
        """
        if self.request is None:
            raise ConfigurationError(
                "LimitedAuthenticationForm requires the request, whose address is limited: "
                "LimitedAuthenticationForm(request, data=request.POST)."
            )
        policies = map(conf.get_policy, self.policies)
        decision = check_attempt(self.request, policies, self._get_limited_data())
        if not decision.allowed:
            seconds = get_retry_after(decision)
            raise ValidationError(
                ngettext(
                    "Too many attempts. Try again in %(seconds)d second.",
                    "Too many attempts. Try again in %(seconds)d seconds.",
                    seconds,
                )
                % {"seconds": seconds},
                code="ratelimited",
            )
        return super().clean()

    def _get_limited_data(self) -> dict[str, object]:
        data: dict[str, object] = {
            name: value if isinstance(value, str | int) else str(value)
            for name, value in self.cleaned_data.items()
            if value is not None
        }
        return data | {self.add_prefix(name): value for name, value in data.items()}
