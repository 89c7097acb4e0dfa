"""`cached` with Django's own caches: what does not depend on the database."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import traceback
import weakref
from contextlib import suppress

import pytest
from asgiref.sync import iscoroutinefunction
from django.contrib.auth.models import User
from django.core.cache import cache, caches
from django.test import override_settings
from django.test.utils import isolate_apps

from continuum_upstash.decorators import cached
from continuum_upstash.errors import ConfigurationError

LOCMEM = "django.core.cache.backends.locmem.LocMemCache"
DUMMY = "django.core.cache.backends.dummy.DummyCache"


@pytest.fixture(autouse=True)
def empty_cache(settings):
    settings.CACHES = {
        alias: {"BACKEND": LOCMEM, "LOCATION": f"test_decorators:{alias}"}
        for alias in ("default", "other")
    }
    stores = caches.all(initialized_only=False)
    yield
    for each in stores:
        each.clear()


class Counter:
    """A function that counts its calls."""

    def __init__(self):
        self.calls = []

    def record(self, *call):
        self.calls.append(call)
        return len(self.calls)


@pytest.fixture
def counter():
    return Counter()


@pytest.fixture
def no_cycle_collection():
    gc.disable()
    yield
    gc.enable()


class TestFunctions:
    def test_an_error_keeps_no_local_variable_alive(self, no_cycle_collection):
        kept = []

        @cached(key="k")
        def load():
            rows = Counter()
            kept.append(weakref.ref(rows))
            raise KeyError("row")

        for call in (load, load.refresh):
            with suppress(KeyError):
                call()
        assert [each() for each in kept] == [None, None]

    @pytest.mark.parametrize("argument", [abs, 300])
    def test_missing_parentheses_are_an_error_that_shows_them(self, argument):
        with pytest.raises(ConfigurationError, match=r"@cached\(\) or @cached\(timeout=300\)"):
            cached(argument)

    def test_a_function_is_called_once_for_each_call(self, counter):
        @cached(key="k:{a}:{b}")
        def load(a, b=2):
            return counter.record(a, b)

        assert [load(1), load(1, 2), load(a=1, b=2), load(1, b=3)] == [1, 1, 1, 2]
        assert counter.calls == [(1, 2), (1, 3)]
        assert cache.get("k:1:2") == 1

    async def test_an_async_function_is_called_once_for_each_call(self, counter):
        @cached(key="k:{a}:{b}")
        async def load(a, b=2):
            return counter.record(a, b)

        assert [await load(1), await load(1, 2), await load(1, b=3)] == [1, 1, 2]
        assert await load.refresh(1) == 3
        assert await load(1) == 3
        assert await load.ainvalidate(1)
        assert await load(1) == 4
        assert load.invalidate(1)
        assert not load.invalidate(1)
        assert iscoroutinefunction(load)
        assert iscoroutinefunction(load.refresh) is False  # it returns what the function returns

    def test_a_result_can_be_invalidated_and_refreshed(self, counter):
        @cached(key="k:{a}")
        def load(a):
            return counter.record(a)

        assert load(1) == 1
        assert load.refresh(1) == 2
        assert load(1) == 2
        assert load.invalidate(1)
        assert not load.invalidate(a=1)
        assert load(1) == 3
        assert load.cache_key(1) == "k:1"

    def test_the_timeout_and_version_are_those_of_the_entry(self):
        @cached(key="k", timeout=0, version=5)
        def load():
            return 1

        load()
        assert cache.get("k", version=5) is None
        with override_settings(CACHES={"default": {"BACKEND": LOCMEM, "VERSION": 5}}):
            cached(key="k", timeout=60)(load.__wrapped__)()
            assert cache.get("k") == 1
            cache.clear()

    def test_the_cache_is_looked_up_at_each_call(self, counter):
        @cached(key="k", using="other")
        def load():
            return counter.record()

        assert load() == 1
        assert caches["other"].get("k") == 1
        with override_settings(CACHES={"default": {}, "other": {"BACKEND": DUMMY}}):
            assert [load(), load()] == [2, 3]
        assert load() == 1

    @pytest.mark.parametrize("is_stored", [True, False])
    def test_none_is_stored_by_choice(self, is_stored, counter):
        @cached(key="k", cache_none=is_stored)
        def load():
            counter.record()

        assert [load(), load()] == [None, None]
        assert len(counter.calls) == (1 if is_stored else 2)

    def test_the_decorated_function_looks_like_the_function(self):
        @cached(key="k:{a}")
        def load(a: int, *, b: str = "x") -> list[int]:
            """Load it."""
            return [a]

        assert load.__name__ == "load"
        assert load.__doc__ == "Load it."
        assert str(inspect.signature(load)) == "(a: 'int', *, b: 'str' = 'x') -> 'list[int]'"

    def test_an_argument_may_have_any_name(self):
        @cached(key="names:{self}")
        def function(**names):
            return names

        assert function(self=1, args=2) == {"self": 1, "args": 2}
        assert function.cache_key(self=1) == "names:1"
        assert function.invalidate(self=1) is True

    def test_wrong_arguments_are_reported_with_the_name_of_the_function(self):
        @cached(key="k:{a}")
        def load(a):
            return a

        with pytest.raises(TypeError, match=r"load\(\): missing a required argument: 'a'"):
            load()


@cached()
def load_number(number):
    return number


class Report:
    def __init__(self, pk):
        self.pk = pk

    @cached(key="report:{self.pk}:{year}")
    def total(self, year):
        """Sum it."""
        return [self.pk, year]

    @cached(key="areport:{self.pk}:{year}")
    async def atotal(self, year):
        return [self.pk, year]

    @cached()
    def nameless(self):
        return self

    @cached()
    @classmethod
    def best(cls, year):
        return [cls.__name__, year]

    @cached()
    @staticmethod
    def worst(year):
        return year

    @staticmethod
    @cached()
    def middle(year):
        return year


class Subreport(Report):
    pass


with isolate_apps("django.contrib.auth"):

    class Member(User):
        class Meta:
            proxy = True
            app_label = "auth"

        @cached()
        def greet(self, word="hello"):
            return f"{word} {self.pk}"


class TestMethods:
    def test_a_method_is_bound_to_its_instance(self):
        report = Report(7)
        assert report.total(2026) == [7, 2026]
        assert report.total.cache_key(2026) == Report.total.cache_key(report, 2026)
        assert cache.get("report:7:2026") == [7, 2026]
        assert report.total.refresh(year=2026) == [7, 2026]
        assert report.total.invalidate(2026)
        assert Report(8).total(2026) == [8, 2026]
        assert str(inspect.signature(report.total)) == "(year)"
        assert report.total.__doc__ == "Sum it."

    async def test_an_async_method_is_bound_to_its_instance(self):
        report = Report(7)
        assert await report.atotal(2026) == [7, 2026]
        assert await report.atotal.ainvalidate(2026)
        assert iscoroutinefunction(report.atotal)

    def test_an_instance_without_a_stable_text_needs_a_key(self):
        with pytest.raises(ConfigurationError, match="the argument self has no stable text"):
            Report(7).nameless()

    def test_a_model_instance_is_identified_by_its_primary_key(self):
        assert Member(pk=7).greet() == "hello 7"
        assert Member.greet.cache_key(Member(pk=7)) == (
            f"{__name__}.Member.greet:self={__name__}.Member(7),word='hello'"
        )

    def test_a_class_method_is_bound_to_the_class(self):
        assert Report.best(2026) == ["Report", 2026]
        assert Subreport.best(2026) == Subreport(7).best(2026) == ["Subreport", 2026]
        assert Report.best.invalidate(2026)
        assert not Report(7).best.invalidate(2026)
        assert Subreport.best.cache_key(1) == (
            f"{__name__}.Report.best:cls=<{__name__}.Subreport>,year=1"
        )

    @pytest.mark.parametrize("name", ["worst", "middle"])
    def test_a_static_method_is_not_bound(self, name):
        for owner in (Report, Report(7)):
            assert getattr(owner, name)(2026) == 2026
            assert getattr(owner, name).cache_key(1) == f"{__name__}.Report.{name}:year=1"


class TestPickles:
    @pytest.mark.parametrize("function", [load_number, Report.total, Report.worst], ids=repr)
    def test_a_function_is_pickled_and_copied_by_name(self, function):
        assert pickle.loads(pickle.dumps(function)) is function
        assert copy.deepcopy([function])[0] is copy.copy(function) is function

    def test_a_method_is_pickled_with_its_instance(self):
        method = pickle.loads(pickle.dumps(Report(7).total))
        assert method(2026) == [7, 2026]
        assert pickle.loads(pickle.dumps(Subreport.best))(2026) == ["Subreport", 2026]


class TestErrors:
    def test_the_traceback_of_the_function_has_one_frame_of_this_package(self, api, runner):
        def fail():
            raise LookupError("no row")

        @cached(key="k")
        def load():
            fail()

        @cached(key="k")
        async def aload():
            fail()

        with pytest.raises(LookupError) as raised:
            load() if api == "sync" else runner.run(aload())
        frames = traceback.extract_tb(raised.value.__traceback__)
        assert frames[-1].name == "fail"
        assert frames[-2].name in {"load", "aload"}
        assert sum("continuum_upstash/" in each.filename for each in frames) <= 1
        assert raised.value.__cause__ is raised.value.__context__ is None

    def test_the_context_of_an_error_stays(self):
        @cached(key="k")
        def load():
            try:
                raise KeyError("first")
            except KeyError:
                raise LookupError("second")  # noqa: B904 the context is the subject

        with pytest.raises(LookupError) as raised:
            load()
        assert isinstance(raised.value.__context__, KeyError)
        assert raised.value.__suppress_context__ is False

    @pytest.mark.parametrize(
        "option", [{"early": True}, {"grace": 60}, {"wait": 5}, {"tags": ["a"]}]
    )
    def test_another_cache_lacks_some_options(self, option, settings):
        load = cached(key="k", **option)(lambda: 1)
        name = next(iter(option))
        with pytest.raises(ConfigurationError, match=rf" with {name} requires .*LocMemCache\."):
            load()
        settings.CACHES = {"default": {"BACKEND": DUMMY}}
        assert load() == 1

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            (Report, "functions and methods"),
            (Report(7), "functions and methods"),
            ((each for each in ()), "functions and methods"),
            (lambda: (yield 1), "a generator cannot be stored"),
        ],
    )
    def test_what_is_no_function_cannot_be_decorated(self, function, message):
        with pytest.raises(ConfigurationError, match=message):
            cached(key="k")(function)
