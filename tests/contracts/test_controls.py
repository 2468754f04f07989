"""The controls of tests about old faults: each test fails when the fault that it was written for is put in again."""

from __future__ import annotations

import importlib.util
import logging
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from arion_lib.contracts import judge, options, registry, resolution, subtypes
from arion_lib.contracts.checks import attributes, callables, glance, guards, hints, patches, plans, predicates, streams
from arion_lib.contracts.contract import Contract, _define
from arion_lib.contracts.registry import Registry
from tests.contracts import test_attributes, test_discovery, test_guards, test_overrides, test_patches, test_registry
from tests.contracts import test_never_breaks as never
from tests.contracts.shop import a_shelf, define
from tests.with_fault import fails_with

Fault = tuple[Any, str, str]
Control = tuple[list[Fault], Callable[[], object]]


def again(module: ModuleType) -> Any:
    """Run a test module once more: its classes are new, and may be spoilt."""
    assert module.__file__ is not None
    spec = importlib.util.spec_from_file_location(f"{module.__name__}_spoilt", module.__file__)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def patched_and_undone(name: str) -> None:
    module = again(test_patches)
    module.test_mock_patches_a_member_and_puts_back_what_stood_there(module.Made, name)
    assert vars(module.Made).get(name) is module.STOOD[module.Made][name]


def by_autospec() -> None:
    module = again(test_patches)
    module.test_a_mock_by_autospec_is_a_mock_whatever_it_returns(module.Made, "go")


def deleted() -> None:
    again(test_patches).test_a_deletion_falls_back_to_what_is_inherited()


def unlocked() -> None:
    again(test_patches).test_inside_unlocked_anything_goes_and_all_of_it_comes_back()


def logged() -> None:
    records: list[logging.LogRecord] = []
    handler, logger = logging.Handler(), logging.getLogger("made")
    handler.emit = records.append  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        never.test_a_warning_and_a_log_line_name_the_caller(Contract, SimpleNamespace(records=records))  # type: ignore[arg-type]
    finally:
        logger.removeHandler(handler)


def with_files() -> None:
    with tempfile.TemporaryDirectory() as folder:
        never.test_a_real_file_is_a_file(Contract, Path(folder))


def run_and_imported() -> None:
    """Define a class in `__main__`, run as `python -m jobs`, and in the module `jobs`."""
    space = define("""
    class Source(Contract, registry=registry): ...
    """)
    main, before = ModuleType("__main__"), sys.modules["__main__"]
    main.__spec__ = ModuleSpec("jobs", None)
    sys.modules["__main__"] = main
    try:
        for name in ("__main__", "jobs"):
            exec("class Never(Source): ...", {"Source": space["Source"], "__name__": name})  # noqa: S102 - the text is ours
    finally:
        sys.modules["__main__"] = before


def pair(name: str) -> Callable[[], object]:
    return partial(test_overrides.test_ours_agrees_with_mypy_or_the_reason_is_listed, name, "")


def word(name: str, value: object) -> Callable[[], object]:
    return lambda: test_registry.test_a_word_of_the_wrong_type_is_refused_where_it_is_written(a_shelf(), name, value)


DECORATED: Fault = (callables.called_signature, "if inner is None or", "if True or")
CONTROLS: dict[str, Control] = {
    "C1 what a decorator wraps is taken for what is called": (
        [DECORATED], partial(never.test_a_decorator_may_take_an_argument_of_its_own, Contract),
    ),
    "C1 what a decorator injects is asked of the caller": (
        [DECORATED], partial(never.test_a_decorator_may_inject_an_argument, Contract),
    ),
    "C2 what stood there is judged like anything new": (
        [(patches.assign, "in spec.stood.get(name, ()):", "in ():")], partial(patched_and_undone, "go"),
    ),
    "C2 a mock is judged like a method": (
        [(patches.assign, "elif _is_mock(value):", "elif False:")], partial(patched_and_undone, "size"),
    ),
    "C2 a mock is judged like a value": (
        [(patches._assign_attribute, "and not _is_mock(value)", "")], partial(patched_and_undone, "version"),
    ),
    "C2 a mock by autospec is judged like a method": (
        [(patches._is_mock, "if type(value) is FunctionType else value", "if False else value")], by_autospec,
    ),
    "C2 a deletion is refused": ([(patches.delete, "if any(judge(case)", "if True or any(judge(case)")], deleted),
    "C2 there is no way out": ([(patches.unlocked, "spec.locked = False", "pass")], unlocked),
    "C4 an error that is thrown in does not arrive": (
        [(streams._watched_async_generator, "step = source.athrow(error)", "raise")],
        partial(never.test_an_error_thrown_into_an_async_generator_reaches_its_clean_up, Contract, "all"),
    ),
    "C5 a file must derive from typing's": ([(predicates._class, "if is_file(cls):", "if False:")], with_files),
    "C5 a file's type must derive from typing's": (
        [(subtypes._single, "if is_file(wide_class):", "if False:")], pair("StringIO for a text file"),
    ),
    "C6 an operator may not decline": (
        [(plans._result_checks, "NotImplemented if what.member.name in OPERATORS else EMPTY", "EMPTY")],
        partial(never.test_an_operator_may_decline, Contract),
    ),
    "C7 names count in a special method": (
        [(judge._method, "if _is_special(offer.name):", "if False:")],
        pair("special method with a renamed parameter"),
    ),
    "C8 every class is asked for": (
        [(predicates._type_of, "if not all(map(_may_be_asked, members)):", "if False:")],
        partial(never.test_types_of_any_kind_are_taken_as_values, Contract),
    ),
    "C9 plugins are kept by their contract's bare name": (
        [(registry.Plugin.key.fget, "of = self.contract", "of = None")],
        test_registry.test_contracts_of_one_name_in_two_packages_do_not_share_their_plugins,
    ),
    "C9 a fake of another test is another class": (
        [(Registry.refuse_duplicate, "there.origin != plugin.origin", "there.cls is not plugin.cls")],
        lambda: test_registry.test_fakes_of_one_name_in_two_tests_of_a_module_do_not_clash(a_shelf()),
    ),
    "C9 one class statement makes one plugin": (
        [(Registry.add, "with self._lock:", "self._plugins.pop(key, None)\n    with self._lock:")],
        lambda: test_registry.test_a_factory_may_make_several_plugins_of_one_class_statement(a_shelf()),
    ),
    "C9 a module that is run is another one": (
        [(registry.module_of, 'if cls.__module__ == "__main__" else None', "if False else None")], run_and_imported,
    ),
    "C9 a version that is no number is none": (
        [(options.version_of, "if isinstance(value, str) else", 'if str(value).replace(".", "").isdigit() else')],
        lambda: test_registry.test_a_version_attribute_is_taken_as_it_is_or_refused(a_shelf(), "1.0rc1", "1.0rc1"),
    ),
    "C9 each class is listed": (
        [(_define, 'if inherited(cls, "register") is not False:', "if True:")],
        lambda: test_registry.test_a_class_that_says_register_false_is_checked_and_not_listed(a_shelf()),
    ),
    "C10 a guard has no annotations": (
        [
            (guards._annotate_like, "made.__annotate__ = annotate", "pass"),
            (guards._annotate_like, "made.__annotations__ = found", "pass"),
        ],
        partial(never.test_annotations_of_a_method_are_seen_by_those_who_look, Contract),
    ),
    "C11 any word is taken": (
        [(options.options_of, 'for name in ("replace", "abstract", "metrics", "register"):', "for name in ():")],
        word("abstract", "no"),
    ),
    "C11 any registry is taken": (
        [(options.options_of, 'if not isinstance(found.get("registry", _NO_REGISTRY), Registry):', "if False:")],
        word("registry", "mine"),
    ),
    "C11 any tags are taken": (
        [(options._tags, "if not isinstance(given, Iterable) or", "if not isinstance(given, Iterable) and")],
        word("tags", [5]),
    ),
    "C12 a guard's own name hides a keyword": (
        [(plans.through_super, "lambda this, /, *args", "lambda this, *args")],
        partial(never.test_parameters_and_keywords_may_have_any_name, Contract),
    ),
    "C12 a parameter has a name that generated code needs": (
        [(plans._writable, "name.startswith(PREFIX)", "False")],
        test_guards.test_a_parameter_named_like_generated_code_is_the_users_own,
    ),
    "C14 names around a function count for nothing": (
        [(glance.same_names, "return all(", "return True or all(")],
        never.test_two_local_classes_of_one_name_are_told_apart,
    ),
    "C15 what a decorator supplies is missing": (
        [(judge._absent, "or name in _SUPPLIED_BY_DECORATORS", "")],
        partial(never.test_what_a_class_decorator_or_a_constructor_supplies_is_there, Contract),
    ),
    "C15 what a constructor sets is missing": (
        [(resolution._sets, "if code is None", "if True")],
        partial(never.test_what_a_class_decorator_or_a_constructor_supplies_is_there, Contract),
    ),
    "C16 a setter may take less": (
        [(judge._property, "elif not is_subtype(wanted :=", "elif False and not is_subtype(wanted :=")],
        pair("setter narrowed"),
    ),
    "C16 a deleter may be missing": (
        [(judge._property, 'if getattr(promise.raw, "fdel"', 'if False and getattr(promise.raw, "fdel"')],
        pair("deleter lost"),
    ),
    "C18 an async generator is told to be async": (
        [(judge._wrong_flow, "if case.promise", "if False and case.promise")],
        never.test_an_async_generator_against_a_coroutine_s_promise_is_told_what_to_change_in_the_contract,
    ),
    "C19 an array is asked for its truth": (
        [(predicates._is_empty, "if origin in _SAY_WHETHER_EMPTY else", "if True else")],
        partial(never.test_an_array_is_a_collection, Contract),
    ),
    "C20 a guard is a frame like others": ([(guards.compiled, ", {UNSEEN}>", ">")], logged),
    "C21 a recursive type is looked at once": (
        [(predicates.expression, "if source.level is Level.ALL else None", "if False else None")],
        never.test_every_element_of_a_recursive_type_is_looked_at_at_level_all,
    ),
    "C22 a star stands for one type": (
        [(callables.written_out, "if not has_unpacked(signature):", "if True:")],
        never.test_unpacked_parameters_are_judged_and_checked,
    ),
    "C22 what a star stands for is not looked at": (
        [(plans._own_check, "unpacked or (", "(")], never.test_unpacked_parameters_are_judged_and_checked,
    ),
    "C23 the report is thrown away": (
        [(Registry._ensure_discovered, "self.report = report", "pass")],
        test_discovery.test_the_report_of_automatic_discovery_stays_with_the_registry,
    ),
    "C24 reading takes one call more": (
        [(attributes.ContractAttribute.__get__, "self._fallback)", "self._fallback) if self._of_class(owner) else 0")],
        test_attributes.test_reading_an_attribute_calls_one_function_and_reading_any_other_none,
    ),
}  # fmt: skip
if sys.version_info >= (3, 12):
    for number, text in enumerate(never.ALIASES):
        CONTROLS[f"C17 a name for type checkers only ends the class statement, {number}"] = (
            [
                (hints._alias_value, "except Exception:", "except KeyError:"),
                (predicates._type_variable, "except Exception:", "except KeyError:"),
            ],
            partial(never.test_a_name_for_type_checkers_only_may_stand_in_an_alias_or_a_bound, Contract, text),
        )


@pytest.mark.parametrize(("faults", "test"), CONTROLS.values(), ids=CONTROLS)
def test_a_test_fails_with_its_fault_in_place(faults: list[Fault], test: Callable[[], object]) -> None:
    test()
    fails_with(faults, test)


def test_two_who_hold_what_the_other_wants_wait_for_ever() -> None:
    """C3: an import that registers, and a look-up that imports under the registry's lock."""
    importing, registering, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
    got: list[bool] = []

    def one(mine: threading.Lock, theirs: threading.Lock) -> None:
        with mine:
            both.wait()
            got.append(theirs.acquire(timeout=0.05))
            both.wait()  # neither gives up its own while the other still waits

    threads = [
        threading.Thread(target=one, args=locks) for locks in ((importing, registering), (registering, importing))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [False, False]


def test_a_hook_may_supply_what_is_missing_for_a_class_is_judged_after_it() -> None:
    """C13: judged before the hooks ran, a class that a hook completes would be refused."""
    space = define("""
    class Source(Contract, registry=registry):
        @abstractmethod
        def go(self, n: int) -> int: ...
    seen = []
    class Completing:
        def __init_subclass__(cls):
            super().__init_subclass__()
            seen.append(cls.__name__)
            if cls.__name__ == "Completed":
                cls.go = lambda self, n: n
    class Completed(Completing, Source): ...
    try:
        class Refused(Completing, Source): ...
    except TypeError as error: ...
    """)
    assert space["seen"] == ["Completed", "Refused"]
    assert [plugin.name for plugin in space["registry"].plugins()] == ["completed"]
    assert space["Completed"]().go(3) == 3
