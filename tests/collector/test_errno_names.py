from __future__ import annotations

import pytest

from collector.errno_names import error_name


@pytest.mark.parametrize(
    ("result", "name"),
    [
        (0, None),
        (3, None),
        (-1, "EPERM"),
        (-2, "ENOENT"),
        (-35, "EDEADLK"),
        (-95, "EOPNOTSUPP"),
        (-111, "ECONNREFUSED"),
        (-512, "ERESTARTSYS"),
        (-4000, "E4000"),
        (-5000, None),  # an address, not an error
    ],
)
def test_errors_by_name(result: int, name: str | None) -> None:
    assert error_name(result) == name
