"""The mutation runner changes behaviour, one thing at a time, and nothing else."""

import pytest

from tests.support.mutants import mutant, sites


def changes(source: str) -> list[str]:
    return [mutant("module.py", source, site).what for site in sites(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = a + b", ["a + b  ->  a - b"]),
        ("x = a ^ b", ["a ^ b  ->  a | b"]),
        ("x = a < b <= c", ["a < b <= c  ->  a <= b <= c", "a < b <= c  ->  a < b < c"]),
        ("x = a and b", ["a and b  ->  a or b"]),
        ("x = not a", ["not a  ->  a"]),
        ("x = a if b else c", ["a if b else c  ->  a if not b else c"]),
        ("x = 7", ["7  ->  8"]),
        ("x = True", ["True  ->  False"]),
        ("x = b'ab'", ["b'ab'  ->  b'`b'"]),
        ("x += y", ["x += y  ->  x -= y", "x += y  ->  pass"]),
        ("call(y)", ["call(y)  ->  pass"]),
        ("def f():\n    return y", ["return y  ->  return None"]),
    ],
)
def test_each_kind_of_code_has_its_changes(source: str, expected: list[str]) -> None:
    assert changes(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""Text."""',
        "raise ValueError(f'{1 + 1}')",
        "x: Final[int]",
        "def f(x: Literal[1]) -> Literal[2]: ...",
        "@dataclass(frozen=True)\nclass C: ...",
        "from a import b",
        "__all__ = [1]",
        "x = zip(a, b, strict=True)",
        "Item = TypeVar('Item', bound=f(1 + 1))",
        "if __name__ == '__main__':\n    main(1 + 1)",
    ],
)
def test_what_says_nothing_about_behaviour_is_left_alone(source: str) -> None:
    assert changes(source) == []


def test_a_mutant_is_the_whole_module_with_one_change() -> None:
    source = "a = 1 + 2\nb = 1 + 2\n"
    found = [mutant("module.py", source, site) for site in sites(source)]
    assert [(each.line, each.source) for each in found] == [
        (1, "a = 1 - 2\nb = 1 + 2"),
        (1, "a = 2 + 2\nb = 1 + 2"),
        (1, "a = 1 + 3\nb = 1 + 2"),
        (2, "a = 1 + 2\nb = 1 - 2"),
        (2, "a = 1 + 2\nb = 2 + 2"),
        (2, "a = 1 + 2\nb = 1 + 3"),
    ]
