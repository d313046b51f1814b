"""The client's directory and its `config.toml`: read with the reference's rules, written with its keys in its order.

Source: the Nym 2019 Loopix client, "files".
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kpclientd.loopix.config_table import Section, read_config
from kpclientd.loopix.errors import LoopixConfigError
from kpclientd.loopix.inbox import BUFFER_LIMIT
from kpclientd.loopix.profile import DEFAULT, Profile
from kpclientd.loopix.schedule import DEFAULT_RATE

REMOTE_TOPOLOGY: Final = "https://directory.nymtech.net/api/presence/topology"
LOCAL_TOPOLOGY: Final = "http://localhost:8080/api/presence/topology"

PRIVATE_KEY_FILE: Final = Path("config/private_key.pem")
PUBLIC_KEY_FILE: Final = Path("config/public_key.pem")
CONFIG_FILE: Final = Path("config/config.toml")
MIXAPPS_DIRECTORY: Final = Path("mixapps")

LOG_LEVELS: Final = ("panic", "fatal", "error", "warn", "warning", "info", "debug", "trace")
DEFAULT_LEVEL: Final = "info"
DIRECTORY_MODE: Final = 0o700
CONFIG_FILE_MODE: Final = 0o600
"""Of `config.toml`; the reference lets everybody read it."""

LONGEST_ID: Final = 200
"""Bytes of a client's name: with what stands around it in the log file's name, no file system's limit is reached."""

_EXPONENTIAL: Final = "parameter of an exponential distribution, 1 / mean seconds; negative:"
_DELETE: Final = "\x7f"
"""The one control character that JSON leaves as it is and TOML does not allow."""


@dataclass(frozen=True, slots=True)
class Logging:
    """Where the log goes.

    Attributes:
        disable: whether there is none.
        file: None for standard output.
        level: one of `LOG_LEVELS`.
    """

    disable: bool = False
    file: Path | None = None
    level: str = DEFAULT_LEVEL


@dataclass(frozen=True, slots=True)
class LoopixConfig:
    """One client's configuration; every path is absolute.

    Attributes:
        id: the client's name among those of this user; not its address in the network.
        profile: the generation to be.
        topology_url: where the directory describes the network.
        private_key_file: PEM.
        public_key_file: PEM.
        provider_id: the provider's key in base64url; empty where none was chosen.
        mixapps_directory: for applications.
        home_directory: holds all clients.
        logging: where the log goes.
        loop_cover_traffic_rate: loops per second; negative for none.
        fetch_message_rate: pulls per second; negative for none.
        message_sending_rate: turns of the out queue per second; negative to send nothing that applications ask for.
        covers_disabled: whether the out queue is silent when nothing waits.
        allowed_origins: web origins, beside this machine's own, that may use the WebSocket. Not the reference's.
        receive_buffer: bytes of messages that wait for applications. Not the reference's.
        hardened_loops: whether loops are made as long as messages, each with a content of its own. Not the reference's.
    """

    id: str
    profile: Profile
    topology_url: str
    private_key_file: Path
    public_key_file: Path
    provider_id: str
    mixapps_directory: Path
    home_directory: Path
    logging: Logging = Logging()
    loop_cover_traffic_rate: float = DEFAULT_RATE
    fetch_message_rate: float = DEFAULT_RATE
    message_sending_rate: float = DEFAULT_RATE
    covers_disabled: bool = False
    allowed_origins: tuple[str, ...] = ()
    receive_buffer: int = BUFFER_LIMIT
    hardened_loops: bool = False

    @property
    def directory(self) -> Path:
        """The client's own directory."""
        return self.home_directory / self.id

    @property
    def config_file(self) -> Path:
        """Where this configuration belongs."""
        return self.directory / CONFIG_FILE


def clients_home(home: Path, profile: Profile = DEFAULT) -> Path:
    """Return the directory that holds all clients of the user whose home directory is `home`."""
    return home / profile.home / "clients"


def config_path(home: Path, client_id: str, profile: Profile = DEFAULT) -> Path:
    """Return where the configuration of a client belongs.

    Raises:
        LoopixConfigError: if the id can not be the name of a directory.
    """
    return clients_home(home, profile) / checked_id(client_id) / CONFIG_FILE


def checked_id(client_id: str) -> str:
    """Return `client_id` if it can be the name of a directory and of a log file.

    Raises:
        LoopixConfigError: if it can not.
    """
    if not client_id:
        raise LoopixConfigError("config: client ID was not specified")
    if "/" in client_id or client_id in (".", "..") or not client_id.isprintable():
        raise LoopixConfigError(f"config: client ID {client_id!r} cannot be the name of a directory")
    if len(client_id.encode()) > LONGEST_ID:
        raise LoopixConfigError(
            f"config: client ID of {len(client_id.encode())} bytes; at most {LONGEST_ID} are possible"
        )
    return client_id


def user_home() -> Path:
    """Return the user's home directory.

    Raises:
        LoopixConfigError: if the environment's is none: relative, empty, or of a user whom the system does not know.
    """
    try:
        home = Path(os.environ["HOME"]) if "HOME" in os.environ else Path.home()
    except RuntimeError as error:
        raise LoopixConfigError(f"config: {error}; set HOME") from None
    if not home.is_absolute():
        raise LoopixConfigError(f"config: HOME is {str(home)!r}, expected the absolute path of your home directory")
    return home


def new_config(
    client_id: str, home: Path, provider_id: str, *, local: bool = False, profile: Profile = DEFAULT
) -> LoopixConfig:
    """Return what `init` writes.

    Args:
        client_id: the client's name.
        home: the user's home directory, absolute.
        provider_id: of the chosen provider.
        local: whether the directory server runs on this machine.
        profile: the generation to be.

    Raises:
        LoopixConfigError: if the id can not be the name of a directory.
    """
    clients = clients_home(home, profile)
    directory = clients / checked_id(client_id)
    return LoopixConfig(
        id=client_id,
        profile=profile,
        topology_url=LOCAL_TOPOLOGY if local else REMOTE_TOPOLOGY,
        private_key_file=directory / PRIVATE_KEY_FILE,
        public_key_file=directory / PUBLIC_KEY_FILE,
        provider_id=provider_id,
        mixapps_directory=directory / MIXAPPS_DIRECTORY,
        home_directory=clients,
        logging=Logging(file=default_log_file(client_id, profile)),
    )


def default_log_file(client_id: str, profile: Profile = DEFAULT) -> Path:
    """Return where a client's log goes unless its configuration says otherwise."""
    return Path("/tmp") / f"{profile.log_prefix}_{client_id}.log"


def load_config(path: Path, profile: Profile = DEFAULT, *, home: Path | None = None) -> LoopixConfig:
    """Read a configuration.

    Args:
        path: the file.
        profile: the generation to be; it decides how the directory of the clients is called.
        home: the user's home directory, for a file that does not name that of the clients.

    Raises:
        LoopixConfigError: if it cannot be read or makes no sense.
    """
    root = read_config(path)
    client = root.section("client")
    if client is None:
        raise LoopixConfigError("config: No Client block was present")
    name = checked_id(client.string("id"))
    home_directory = Path(client.string(profile.home_key) or clients_home(home or user_home(), profile))
    if not home_directory.is_absolute():
        raise LoopixConfigError("config: specified home directory is not an absolute path")
    directory = home_directory / name
    debug = root.section("debug") or Section("debug", {})
    extensions = root.section("extensions") or Section("extensions", {})
    return LoopixConfig(
        id=name,
        profile=profile,
        topology_url=client.string("directory_server_topology") or REMOTE_TOPOLOGY,
        private_key_file=directory / (client.string("priv_key_file") or PRIVATE_KEY_FILE),
        public_key_file=directory / (client.string("pub_key_file") or PUBLIC_KEY_FILE),
        provider_id=client.string("provider_id"),
        mixapps_directory=directory / (client.string("mixapps_directory") or MIXAPPS_DIRECTORY),
        home_directory=home_directory,
        logging=_logging(root.section("logging"), directory, default_log_file(name, profile)),
        loop_cover_traffic_rate=debug.rate("loop_cover_traffic_rate", DEFAULT_RATE),
        fetch_message_rate=debug.rate("fetch_message_rate", DEFAULT_RATE),
        message_sending_rate=debug.rate("message_sending_rate", DEFAULT_RATE),
        covers_disabled=debug.boolean("rate_compliant_cover_messages_disabled"),
        allowed_origins=extensions.strings("allowed_origins"),
        receive_buffer=extensions.positive("receive_buffer", BUFFER_LIMIT),
        hardened_loops=extensions.boolean("hardened_loops"),
    )


def _logging(section: Section | None, directory: Path, default_file: Path) -> Logging:
    if section is None:
        return Logging(file=default_file)
    level = section.string("level")
    if level.lower() not in LOG_LEVELS:
        raise LoopixConfigError(f'config: invalid logging level: {level} (not a valid logrus Level: "{level}")')
    file = section.string("file")
    return Logging(section.boolean("disable"), directory / file if file else None, level.lower())


def render_config(config: LoopixConfig) -> str:
    """Return the file's text; reading it gives an equal configuration."""
    log_file = "" if config.logging.file is None else str(config.logging.file)
    lines = [
        "# Configuration of a Loopix client.",
        f"# Paths are absolute, or relative to <{config.profile.home_key}>/<id>.",
        "",
        "[client]",
        *_entry("name of this client, for its user", "id", config.id),
        *_entry("where the directory server describes the network", "directory_server_topology", config.topology_url),
        *_entry("private key, PEM", "priv_key_file", _relative(config, config.private_key_file)),
        *_entry("public key, PEM", "pub_key_file", _relative(config, config.public_key_file)),
        *_entry("key of the provider that keeps our messages, base64url", "provider_id", config.provider_id),
        *_entry("directory for applications", "mixapps_directory", _relative(config, config.mixapps_directory)),
        *_entry("directory of all clients, absolute", config.profile.home_key, str(config.home_directory)),
        "",
        "[logging]",
        *_entry("whether to write no log at all", "disable", config.logging.disable),
        *_entry("log file; standard output if empty", "file", log_file),
        *_entry("least severity logged; trace and debug are not for production", "level", config.logging.level),
        "",
        "[debug]",
        *_entry(f"loops to ourselves: {_EXPONENTIAL} none", "loop_cover_traffic_rate", config.loop_cover_traffic_rate),
        *_entry(f"asking for our messages: {_EXPONENTIAL} never", "fetch_message_rate", config.fetch_message_rate),
        *_entry(
            f"messages, or loops if none wait: {_EXPONENTIAL} nothing is sent",
            "message_sending_rate",
            config.message_sending_rate,
        ),
        *_entry(
            "send no loops when no message waits; this lowers anonymity",
            "rate_compliant_cover_messages_disabled",
            config.covers_disabled,
        ),
    ]
    return "\n".join((*lines, *_extensions(config), ""))


def _extensions(config: LoopixConfig) -> list[str]:
    """What the reference does not know, only where it is not the default."""
    lines: list[str] = []
    if config.allowed_origins:
        origins = ", ".join(_quoted(origin) for origin in config.allowed_origins)
        lines += ["# web origins that may use the WebSocket", f"allowed_origins = [{origins}]"]
    if config.receive_buffer != BUFFER_LIMIT:
        lines += ["# bytes of messages that wait for applications", f"receive_buffer = {config.receive_buffer}"]
    if config.hardened_loops:
        lines += ["# make loops as long as messages, each with a content of its own", "hardened_loops = true"]
    return ["", "[extensions]", *lines] if lines else []


def _entry(comment: str, key: str, value: str | bool | float) -> list[str]:
    if isinstance(value, str):
        written = _quoted(value)
    elif isinstance(value, bool):
        written = str(value).lower()
    else:
        written = _float(value)
    return [f"# {comment}", f"{key} = {written}"]


def _float(value: float) -> str:
    """With two decimals as the reference writes it, if that is the number."""
    short = f"{value:.2f}"
    if float(short) == value:
        return short
    return repr(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace(_DELETE, "\\u007f")


def _relative(config: LoopixConfig, path: Path) -> str:
    return str(path.relative_to(config.directory)) if path.is_relative_to(config.directory) else str(path)
