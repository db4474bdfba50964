"""Passwords: each in a file of its own, named as its user, that its owner alone can read."""

import os
import secrets
from pathlib import Path


class PasswordMissing(Exception):
    """A user has no password."""

    def __init__(self, file: Path, error: OSError) -> None:
        super().__init__(
            f"{file} should hold a password and cannot be read ({error.strerror}): "
            "`onward passwords FOLDER` makes those that are missing"
        )


def password_of(folder: Path, user: str) -> str:
    """The password of a user. Raises PasswordMissing."""
    file = folder / user
    try:
        return file.read_text().strip()
    except OSError as error:
        raise PasswordMissing(file, error) from error


def make_password(folder: Path, user: str) -> str:
    """The password of a user, made if there is none."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / user
    if not file.exists():
        write_private(file, f"{secrets.token_urlsafe(32)}\n".encode())
    return password_of(folder, user)


def write_private(file: Path, content: bytes) -> None:
    """Replace a file in one step by one that its owner alone can read."""
    draft = file.with_name(f"{file.name}.draft")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(content)
    draft.replace(file)
