import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.loopix.config import (
    LOCAL_TOPOLOGY,
    REMOTE_TOPOLOGY,
    Logging,
    LoopixConfig,
    config_path,
    load_config,
    new_config,
    render_config,
    user_home,
)
from kpclientd.loopix.errors import LoopixConfigError
from kpclientd.loopix.inbox import BUFFER_LIMIT
from kpclientd.loopix.profile import DEFAULT, PROFILES

HOME = Path("/home/you")
CLIENT = '[client]\nid = "alice"\n'


def loaded(folder: Path, text: str, profile: str = "0.2") -> LoopixConfig:
    path = folder / "config.toml"
    path.write_text(text)
    return load_config(path, PROFILES[profile], home=HOME)


def test_init_writes_the_reference_s_keys_in_its_order_with_its_values() -> None:
    sections = tomllib.loads(render_config(new_config("alice", HOME, "key=", local=True)))
    assert list(sections) == ["client", "logging", "debug"]
    assert list(sections["client"].items()) == [
        ("id", "alice"),
        ("directory_server_topology", LOCAL_TOPOLOGY),
        ("priv_key_file", "config/private_key.pem"),
        ("pub_key_file", "config/public_key.pem"),
        ("provider_id", "key="),
        ("mixapps_directory", "mixapps"),
        ("loopix_home_directory", "/home/you/.loopix/clients"),
    ]
    assert list(sections["logging"].items()) == [
        ("disable", False),
        ("file", "/tmp/loopix_alice.log"),
        ("level", "info"),
    ]
    assert list(sections["debug"].items()) == [
        ("loop_cover_traffic_rate", 10.0),
        ("fetch_message_rate", 10.0),
        ("message_sending_rate", 10.0),
        ("rate_compliant_cover_messages_disabled", False),
    ]


def test_rates_are_written_as_floats_that_the_reference_can_read() -> None:
    text = render_config(replace(new_config("alice", HOME, ""), fetch_message_rate=0.001, message_sending_rate=-1.0))
    assert "loop_cover_traffic_rate = 10.00\n" in text
    assert "fetch_message_rate = 0.001\n" in text
    assert "message_sending_rate = -1.00\n" in text


def test_the_last_generation_has_other_names() -> None:
    config = new_config("alice", HOME, "", profile=PROFILES["0.4"])
    client = tomllib.loads(render_config(config))["client"]
    assert client["nym_home_directory"] == "/home/you/.nym/clients"
    assert config.logging.file == Path("/tmp/nym_alice.log")
    assert config.config_file == Path("/home/you/.nym/clients/alice/config/config.toml")


@pytest.mark.parametrize("profile", PROFILES)
def test_files_stand_where_the_reference_puts_them(profile: str) -> None:
    config = new_config("alice", HOME, "", profile=PROFILES[profile])
    directory = HOME / PROFILES[profile].home / "clients" / "alice"
    assert config.directory == directory
    assert config_path(HOME, "alice", PROFILES[profile]) == config.config_file == directory / "config/config.toml"
    assert config.private_key_file == directory / "config/private_key.pem"
    assert config.public_key_file == directory / "config/public_key.pem"
    assert config.mixapps_directory == directory / "mixapps"
    assert config.topology_url == REMOTE_TOPOLOGY


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
paths = names.map(lambda name: Path("/elsewhere") / name)
rates = st.floats(allow_nan=False, allow_infinity=False).filter(bool)


@given(
    client_id=st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="/"), min_size=1).filter(
        lambda name: name not in (".", "..")
    ),
    profile=st.sampled_from(list(PROFILES.values())),
    file=paths,
    provider_id=names,
    logging=st.builds(Logging, st.booleans(), st.none() | paths, st.sampled_from(["info", "trace", "panic"])),
    numbers=st.tuples(rates, rates, rates),
    off=st.booleans(),
    origins=st.lists(names, max_size=2).map(tuple),
    buffer=st.integers(1, 2**40),
)
def test_every_configuration_survives_its_file(
    tmp_path_factory: pytest.TempPathFactory,
    client_id: str,
    profile: object,
    file: Path,
    provider_id: str,
    logging: Logging,
    numbers: tuple[float, float, float],
    off: bool,
    origins: tuple[str, ...],
    buffer: int,
) -> None:
    assert isinstance(profile, type(DEFAULT))
    config = replace(
        new_config(client_id, HOME, provider_id, profile=profile),
        private_key_file=file,
        logging=logging,
        loop_cover_traffic_rate=numbers[0],
        fetch_message_rate=numbers[1],
        message_sending_rate=numbers[2],
        covers_disabled=off,
        allowed_origins=origins,
        receive_buffer=buffer,
    )
    path = tmp_path_factory.getbasetemp() / "round-trip.toml"
    path.write_text(render_config(config))
    assert load_config(path, profile) == config


def test_a_file_of_an_id_alone_has_all_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path, CLIENT) == new_config("alice", HOME, "")


def test_empty_values_are_defaults_too(tmp_path: Path) -> None:
    empty = 'directory_server_topology = ""\npriv_key_file = ""\nmixapps_directory = ""\nloopix_home_directory = ""\n'
    assert loaded(tmp_path, CLIENT + empty) == new_config("alice", HOME, "")


def test_names_are_matched_exactly_or_else_in_any_case_and_unknown_ones_are_ignored(tmp_path: Path) -> None:
    text = '[CLIENT]\nID = "other"\nId = "other"\nid = "alice"\nColour = 3\n[Debug]\nFetch_Message_Rate = 2.5\n[what]\n'
    config = loaded(tmp_path, text)
    assert (config.id, config.fetch_message_rate) == ("alice", 2.5)


def test_paths_are_absolute_or_relative_to_the_client_s_directory(tmp_path: Path) -> None:
    keys = 'priv_key_file = "/keys/a.pem"\npub_key_file = "b.pem"\nloopix_home_directory = "/clients"\n'
    config = loaded(tmp_path, CLIENT + keys + '[logging]\nlevel = "INFO"\nfile = "client.log"')
    assert config.private_key_file == Path("/keys/a.pem")
    assert config.public_key_file == Path("/clients/alice/b.pem")
    assert config.logging == Logging(False, Path("/clients/alice/client.log"), "info")


def test_a_logging_section_without_a_file_means_standard_output(tmp_path: Path) -> None:
    assert loaded(tmp_path, CLIENT + '[logging]\nlevel = "warn"').logging == Logging(False, None, "warn")


def test_rates_are_honoured_also_integers_and_zero_is_the_default(tmp_path: Path) -> None:
    text = "[debug]\nloop_cover_traffic_rate = 3\nfetch_message_rate = 0.0\nmessage_sending_rate = -1.5\n"
    config = loaded(tmp_path, CLIENT + text)
    assert (config.loop_cover_traffic_rate, config.fetch_message_rate, config.message_sending_rate) == (3.0, 10.0, -1.5)


def test_the_other_generation_s_key_for_the_home_directory_is_unknown(tmp_path: Path) -> None:
    text = CLIENT + 'loopix_home_directory = "/clients"\n'
    assert loaded(tmp_path, text).home_directory == Path("/clients")
    assert loaded(tmp_path, text, "0.4").home_directory == HOME / ".nym/clients"


def test_what_the_reference_does_not_know_stands_in_a_section_of_its_own(tmp_path: Path) -> None:
    text = '[extensions]\nallowed_origins = ["https://a.example"]\nreceive_buffer = 5\nhardened_loops = true\n'
    config = loaded(tmp_path, CLIENT + text)
    assert (config.allowed_origins, config.receive_buffer) == (("https://a.example",), 5)
    assert config.hardened_loops and not loaded(tmp_path, CLIENT).hardened_loops
    assert loaded(tmp_path, CLIENT).receive_buffer == BUFFER_LIMIT


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "config: No Client block was present"),
        ("[client]\n", "config: client ID was not specified"),
        ('[client]\nid = ""\n', "config: client ID was not specified"),
        ('[client]\nid = "../x"\n', "cannot be the name of a directory"),
        ('[client]\nid = ".."\n', "cannot be the name of a directory"),
        ('[client]\nid = "a\\u0001b"\n', "cannot be the name of a directory"),
        ('[client]\nid = "a\\u0000b"\n', r"\[client\] id has a NUL character"),
        (CLIENT + 'loopix_home_directory = "/a\\u0000b"', "loopix_home_directory has a NUL character"),
        (CLIENT + 'priv_key_file = "a\\u0000b"', "priv_key_file has a NUL character"),
        (CLIENT + 'pub_key_file = "a\\u0000b"', "pub_key_file has a NUL character"),
        (CLIENT + '[logging]\nlevel = "info"\nfile = "/a\\u0000b"', r"\[logging\] file has a NUL character"),
        ("[client]\nid = 5\n", r"\[client\] id is of type int, expected a str"),
        ("client = 5\n", "client is of type int, expected a table"),
        (
            CLIENT + 'loopix_home_directory = "clients"',
            "config: specified home directory is not an absolute path",
        ),
        (CLIENT + "[logging]\n", 'config: invalid logging level:  \\(not a valid logrus Level: ""\\)'),
        (CLIENT + '[logging]\nlevel = "loud"\n', 'not a valid logrus Level: "loud"'),
        (CLIENT + '[logging]\nlevel = "info"\ndisable = "yes"\n', "disable is of type str, expected a bool"),
        (CLIENT + '[debug]\nfetch_message_rate = "1"\n', "fetch_message_rate is of type str, expected a float"),
        (CLIENT + "[debug]\nfetch_message_rate = true\n", "fetch_message_rate is of type bool, expected a float"),
        (CLIENT + "[debug]\nfetch_message_rate = inf\n", "fetch_message_rate is not a finite number"),
        (CLIENT + "[debug]\nfetch_message_rate = nan\n", "fetch_message_rate is not a finite number"),
        (CLIENT + f"[debug]\nfetch_message_rate = {10**400}\n", "fetch_message_rate is not a finite number"),
        (CLIENT + "[extensions]\nreceive_buffer = 0\n", "receive_buffer is 0, expected a positive integer"),
        (CLIENT + "[extensions]\nreceive_buffer = true\n", "receive_buffer is True, expected a positive integer"),
        (CLIENT + "[extensions]\nallowed_origins = [5]\n", "allowed_origins is of type list, expected an array"),
        ("[client\n", "toml: "),
        ("a = " + "[" * 5000, "toml: "),
    ],
)
def test_a_bad_file_is_refused_and_the_fault_named(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(LoopixConfigError, match=fault):
        loaded(tmp_path, text)


@pytest.mark.parametrize("home", ["", "rel", "./x"])
def test_a_home_that_is_no_absolute_path_is_refused(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    with pytest.raises(LoopixConfigError, match=r"HOME is .* expected the absolute path of your home directory"):
        user_home()
    monkeypatch.delenv("HOME")
    assert user_home().is_absolute()


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    with pytest.raises(LoopixConfigError, match="cannot be read"):
        load_config(path)
    for content in (b"\xff\xfe", b" " * (2 * 1024 * 1024)):
        path.write_bytes(content)
        with pytest.raises(LoopixConfigError):
            load_config(path)


@pytest.mark.parametrize("client_id", ["", "a/b", ".", "..", "a\nb", "n" * 201, "\N{SNOWMAN}" * 67])
def test_an_id_that_is_no_name_of_a_directory_is_refused(client_id: str) -> None:
    with pytest.raises(LoopixConfigError):
        config_path(HOME, client_id)
    with pytest.raises(LoopixConfigError):
        new_config(client_id, HOME, "")
