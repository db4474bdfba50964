"""What can go wrong with the backing services; the docstring of each failure is its message."""

import inspect


class BackingFailure(Exception):
    """The backing services cannot be had."""

    def __init__(self, **facts: object) -> None:
        super().__init__(inspect.cleandoc(self.__doc__ or "").format(**facts))


class UnsupportedPlatform(BackingFailure):
    """Kafka and PostgreSQL cannot be embedded on {platform}.
    Their packages exist for Linux with glibc and for macOS, on x86-64 and arm64.
    Set KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL to use servers that run elsewhere."""


class JarUnavailable(BackingFailure):
    """{coordinate}, a part of Apache Kafka, could not be downloaded: {cause}
    It is needed once and then kept in {cache}. Connect to the internet and start again,
    or set KAFKA_BOOTSTRAP_SERVERS to use a Kafka that runs elsewhere."""


class JarRefused(BackingFailure):
    """{file} was downloaded with SHA-256 {found}, but the lock says {expected}. It was not used or kept.
    Something between here and the repository changed it: find out what before starting again."""


class LockUnreadable(BackingFailure):
    """{lock}, line {number}: "{line}" is not "group:artifact:version sha256:<64 hexadecimal digits>".
    Restore the file, or write it again with `make lock`."""


class ServerDied(BackingFailure):
    """{server} stopped while it was starting. Its log, {log}, ends:
    {ending}
    Cure what it names and start again. Its data is kept; to begin with empty data, purge {home}."""


class ServerSilent(BackingFailure):
    """{server} (process {pid}) did not answer within {seconds} seconds and was stopped.
    Its log is {log}. On a busy machine starting again may be enough."""


class SetupFailed(BackingFailure):
    """{server} could not lay out its data folder {data}:
    {ending}
    Cure what it names and start again."""


class PasswordLost(BackingFailure):
    """{server} has data in {data}, and the password of its administrator, {file}, is not there.
    Put the file back; or delete the data and begin again: `onward down --purge --folder {folder}`."""


class FolderBusy(BackingFailure):
    """Process {owner} has been starting or stopping the servers in {folder} for more than {seconds} seconds.
    Wait for it, or end it, and start again."""


class GivenUnreachable(BackingFailure):
    """{variable} gives {address}, and nothing answers there: {cause}
    Start that server, or unset {variable} to have one embedded."""


class ContainersUnavailable(BackingFailure):
    """Containers were asked for and cannot be had: {cause}
    Install the development requirements and start a container engine, or leave `--containers` out."""


class ForeignFolder(BackingFailure):
    """{folder} is not a folder of the user {user}, as whom PostgreSQL runs here, so it cannot be used.
    Start as the user that it belongs to, or choose another folder."""
