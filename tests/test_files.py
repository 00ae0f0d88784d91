import errno
import os

import pytest

from loradar.errors import InputError
from loradar.files import atomic_path, check_writable, write_json, write_text


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / "new" / "a.txt"
    write_text(target, "one")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half of tw")
        raise RuntimeError
    assert target.read_text() == "one"
    assert [path.name for path in target.parent.iterdir()] == ["a.txt"]
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_cannot_be_written_is_named_as_the_user_named_it(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    for target in (tmp_path, blocked / "a.json"):
        with pytest.raises(InputError, match="cannot be written") as caught:
            write_json(target, {})
        assert str(caught.value).startswith(f"{target}: ")
        with pytest.raises(InputError):
            check_writable(target)
    check_writable(tmp_path / "fresh.json")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_fails_while_writing_is_named_with_the_target(tmp_path):
    target = tmp_path / "a.txt"
    full = pytest.raises(InputError, match=r"a\.txt: cannot be written: No space")
    with full, atomic_path(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError), atomic_path(target):
        (tmp_path / "another").read_text()
    assert not list(tmp_path.iterdir())


def test_names_may_be_as_long_as_the_file_system_allows(tmp_path):
    target = tmp_path / ("n" * 251 + ".txt")
    write_text(target, "one")
    assert target.read_text() == "one"
