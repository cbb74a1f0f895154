"""The lock on a file, in a folder that may be writable for everyone."""

import os
from pathlib import Path

import pytest

from post_office.exceptions import CannotLock, FileLocked
from post_office.lockfile import FileLock


@pytest.mark.parametrize("content", [None, b"somebody else's"], ids=["to nothing", "to a file"])
@pytest.mark.parametrize("mode", [0o644, 0o444], ids=["writable", "read-only"])
def test_no_link_is_followed(tmp_path: Path, content: bytes | None, mode: int) -> None:
    """Else whoever may write there would have a file made, or held, where it pleases him."""
    target = tmp_path / "target"
    if content is not None:
        target.write_bytes(content)
        target.chmod(mode)
    (tmp_path / "ours.lock").symlink_to(target)
    with pytest.raises(CannotLock, match=r"ours\.lock cannot be used"):
        FileLock(tmp_path / "ours").acquire()
    assert target.exists() == (content is not None)


def test_a_lock_is_had_by_one(tmp_path: Path) -> None:
    with FileLock(tmp_path / "ours"):
        assert FileLock(tmp_path / "ours").is_locked()
        with pytest.raises(FileLocked):
            FileLock(tmp_path / "ours").acquire()
    assert not FileLock(tmp_path / "ours").is_locked()


def test_another_users_file_is_locked_by_reading(tmp_path: Path) -> None:
    file = tmp_path / "ours.lock"
    file.touch()
    file.chmod(0o444)
    with FileLock(tmp_path / "ours"):
        assert FileLock(tmp_path / "ours").is_locked()
    assert os.stat(file).st_size == 0
