"""What docs/matrix-clients.md says of clients: nothing but what tests see."""

import ast
from collections import Counter

from tests.clients import CLIENTS, PAGE, ROOT, STEPS, TABLE, table


def test_the_page_says_what_is_seen() -> None:
    assert TABLE.findall(PAGE.read_text(encoding="utf-8")) == [table()], "run: python -m tests.clients"


def test_every_step_is_seen_by_a_test_that_there_is() -> None:
    named = [test for client in CLIENTS for test in (*client.shown, *client.lacks)]
    assert Counter(named).most_common(1)[0][1] == 1
    for test in named:
        path, _, name = test.partition("::")
        functions = ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        found = [f for f in functions if isinstance(f, (ast.FunctionDef, ast.AsyncFunctionDef)) and f.name == name]
        assert len(found) == 1, f"{test} is no test"
        # The fixture demands of a test that has run that it has shown its steps; so it must run.
        assert "shows" in [argument.arg for argument in found[0].args.args], f"{test} does not take `shows`"
        assert not found[0].decorator_list, f"{test} may be left out"


def test_every_step_has_its_place() -> None:
    for client in CLIENTS:
        shown = [step for steps in client.shown.values() for step in steps]
        missed = [step for steps in client.lacks.values() for step in steps]
        assert max(Counter(shown + missed).values()) == 1, f"{client.name}: a step is told twice"
        assert set(shown) | set(missed) | set(client.notes) <= set(STEPS), client.name
