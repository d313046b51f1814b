"""What differs between two readings of a file, and whether the running daemon can take it over."""

from dataclasses import dataclass

from kpclientd.config.declared import Table, declared_keys


@dataclass(frozen=True, slots=True)
class Changes:
    """Dotted names of keys whose values differ; of tables that only one of the two has, the table's.

    Attributes:
        reloadable: those that a running daemon takes over.
        after_restart: those that it does not.
    """

    reloadable: tuple[str, ...] = ()
    after_restart: tuple[str, ...] = ()


def changes_between(old: Table, new: Table) -> Changes:
    """What differs between two tables of one declaration; arrays of tables are compared as a whole."""
    reloadable: list[str] = []
    after_restart: list[str] = []
    for declared in declared_keys(type(old)):
        former, present = getattr(old, declared.name), getattr(new, declared.name)
        if former == present:
            continue
        if isinstance(former, Table) and isinstance(present, Table):
            inner = changes_between(former, present)
            reloadable += (f"{declared.key}.{name}" for name in inner.reloadable)
            after_restart += (f"{declared.key}.{name}" for name in inner.after_restart)
        elif declared.about.reloadable:
            reloadable.append(declared.key)
        else:
            after_restart.append(declared.key)
    return Changes(tuple(reloadable), tuple(after_restart))
