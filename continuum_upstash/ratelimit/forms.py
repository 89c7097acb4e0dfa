"""A login form whose rate limit is a form error instead of a 429 response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.utils.translation import ngettext

from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.http.check_request import check_request
from continuum_upstash.ratelimit.http.headers import get_retry_after
from continuum_upstash.ratelimit.recipes import LOGIN


class LimitedAuthenticationForm(AuthenticationForm):
    """Django's login form, which does not check the password after a limit is reached.

        LoginView.as_view(authentication_form=LimitedAuthenticationForm)

    Attributes:
        policies: names in CONTINUUM_RATELIMIT; by default those of the recipe LOGIN.
    """

    policies: Sequence[str] = tuple(LOGIN)

    def clean(self) -> dict[str, Any]:
        """Validate the form.

        Raises:
            ValidationError: the password is wrong, or a limit is reached (code ``ratelimited``).
        """
        if self.request is not None:
            decision = check_request(self.request, map(conf.get_policy, self.policies))
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
