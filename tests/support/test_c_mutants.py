"""The mutants of code in C are what they say, and leave alone what says nothing about behaviour."""

import pytest

from tests.support.c_mutants import mutant, sites


def changes(source: str) -> list[str]:
    return [mutant("module.c", source, site).what for site in sites(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("    x = a + b;\n", ["x = a + b;  ->  x = a - b;"]),
        ("    x ^= a << b;\n", ["x ^= a << b;  ->  x |= a << b;", "x ^= a << b;  ->  x ^= a >> b;"]),
        ("    if (a <= 7u)\n", ["if (a <= 7u)  ->  if (a < 7u)", "if (a <= 7u)  ->  if (a <= 0x8u)"]),
        ("    call(a, &b->c);\n", ["call(a, &b->c);  ->  ;"]),
        ('    "addq %[a], %%rax\\n\\t"\n', ['"addq %[a], %%rax\\n\\t"  ->  ""']),
    ],
)
def test_each_kind_of_code_has_its_changes(source: str, expected: list[str]) -> None:
    assert changes(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "/* a + b, 7 */\n",
        "#define MORE (7 + \\\n    8)\n",
        "typedef int kp_call(const uint8_t *key, uint8_t out[32]);\n",
        "static int call(const uint8_t *key, field *out)\n{\n",
        "    x = *a->b;\n",
        "    x = -a;\n",
        "    x = (uint8_t)~a;\n",
    ],
)
def test_what_says_nothing_about_behaviour_is_left_alone(source: str) -> None:
    assert changes(source) == []


def test_a_mutant_is_the_whole_module_with_one_change() -> None:
    source = "int f(void)\n{\n    return a + 1;\n}\n"
    found = [mutant("module.c", source, site) for site in sites(source)]
    assert [(each.line, each.source) for each in found] == [
        (3, source.replace("a + 1", "a - 1")),
        (3, source.replace("a + 1", "a + 0x2")),
    ]
