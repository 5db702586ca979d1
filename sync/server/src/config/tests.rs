use std::fs;

use super::*;

const SOUND: &str = r#"
tenant = "clinic"
data = "/srv/keepwell"
listen = "0.0.0.0:8443"
address = "sync.hospital.test:8443"
keychain = "file:/etc/keepwell/keys"
"#;

fn parse(text: &str) -> Config {
    Config::parse(text, []).expect("a configuration")
}

fn with(line: &str) -> Config {
    // A later key would be a second one: the line takes the place of the one with its name.
    let name = line.split(' ').next().expect("a name");
    let kept: String =
        SOUND.lines().filter(|kept| !kept.starts_with(name)).map(|kept| format!("{kept}\n")).collect();
    parse(&format!("{kept}{line}\n"))
}

#[test]
fn a_sound_configuration_is_accepted() {
    assert_eq!(parse(SOUND).check(), []);
    assert_eq!(parse(SOUND).fhir_base(), "https://sync.hospital.test:8443/fhir");
}

#[test]
fn each_unsafe_setting_is_refused_by_name() {
    for (line, expected) in [
        ("plain_http = true", Unsafe::PlainHttp),
        ("keychain = \"file:/srv/keepwell/keys\"", Unsafe::KeychainInside),
        ("address = \"sync.example.org:8443\"", Unsafe::ExampleAddress),
        ("address = \"0.0.0.0:8443\"", Unsafe::Unreachable),
        ("data = \"/home2/ada/Dropbox/keepwell\"", Unsafe::SyncedFolder),
        ("data = \"/mnt/OneDrive - Clinic/keepwell\"", Unsafe::SyncedFolder),
        ("limits = { connections = 0 }", Unsafe::Limit("connections")),
        ("limits = { head_bytes = 100 }", Unsafe::Limit("head_bytes")),
        ("lease = { renew_h = 48, until_h = 24 }", Unsafe::Limit("renew_h")),
    ] {
        assert_eq!(with(line).check(), [expected], "{line}");
    }
    let local = with("listen = \"127.0.0.1:8080\"");
    assert_eq!(Config { plain_http: true, ..local }.check(), []);
}

#[test]
fn a_folder_that_is_synced_is_known_by_what_lies_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = Config { data: folder.path().join("deep/data"), ..parse(SOUND) };
    assert_eq!(config.check(), []);
    fs::create_dir(folder.path().join(".stfolder")).expect("a mark");
    assert_eq!(config.check(), [Unsafe::SyncedFolder]);
}

#[cfg(unix)]
#[test]
fn what_others_may_read_or_change_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let (data, keys, file) =
        (folder.path().join("data"), folder.path().join("keys"), folder.path().join("server.toml"));
    for path in [&data, &keys] {
        fs::create_dir(path).expect("a folder");
    }
    fs::write(&file, SOUND).expect("a file");
    let allow =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    let config = Config {
        data: data.clone(),
        keychain: KeychainChoice::File(keys.clone()),
        file: Some(file.clone()),
        ..parse(SOUND)
    };
    for (path, mode) in [(&data, 0o700), (&keys, 0o700), (&file, 0o644)] {
        allow(path, mode);
    }
    assert_eq!(config.check(), []);
    for (path, mode, what) in
        [(&data, 0o750, "data directory"), (&keys, 0o704, "keychain"), (&file, 0o664, "configuration")]
    {
        allow(path, mode);
        assert_eq!(config.check(), [Unsafe::OpenFile(what)]);
        allow(path, 0o600);
    }
}

#[test]
fn an_operators_token_that_can_be_guessed_is_refused() {
    let given = |token: &str| {
        let variable = (format!("{VARIABLES}OPERATOR_TOKEN"), token.to_owned());
        Config::parse(SOUND, [variable]).expect("a configuration").check()
    };
    for token in ["", "admin", "changeme", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        assert_eq!(given(token), [Unsafe::WeakToken], "{token}");
    }
    assert_eq!(given("q8Zx0vT3mB5nL7kR2wY9cD4fG6hJ1sPa"), []);
}

#[test]
fn the_environment_goes_before_the_file() {
    let variables = [("LISTEN", "127.0.0.1:9000"), ("DATA", "/data"), ("LOG", "warn")];
    let variables = variables.map(|(name, value)| (format!("{VARIABLES}{name}"), value.to_owned()));
    let config = Config::parse(SOUND, variables).expect("a configuration");
    assert_eq!((config.listen.to_string().as_str(), config.log), ("127.0.0.1:9000", LogLevel::Warn));
    assert_eq!(config.data, Path::new("/data"));
    let unknown = (format!("{VARIABLES}LISTENN"), String::new());
    assert!(matches!(Config::parse(SOUND, [unknown]), Err(Error::Unsafe(Unsafe::Setting(_)))));
}

#[test]
fn what_cannot_be_read_is_named_by_its_line_or_setting() {
    for (text, line) in [("tenant = \"a\"\nlisten 1\n", 2), ("\n\nmin_tls = \"1.2\"\n", 3)] {
        match Config::parse(text, []) {
            Err(Error::Config { line: found }) => assert_eq!(found, line),
            other => panic!("{other:?}"),
        }
    }
    for (line, setting) in [
        ("tenant = \"a b\"", "tenant"),
        ("data = \"relative\"", "data"),
        ("listen = \"everywhere\"", "listen"),
        ("address = \"http://sync.hospital.test\"", "address"),
        ("keychain = \"file:relative\"", "keychain"),
        ("log = \"trace\"", "log"),
    ] {
        let name = line.split(' ').next().expect("a name");
        let text: String =
            SOUND.lines().filter(|kept| !kept.starts_with(name)).map(|kept| format!("{kept}\n")).collect();
        match Config::parse(&format!("{text}{line}\n"), []) {
            Err(Error::Unsafe(Unsafe::Setting(found))) => assert_eq!(found, setting),
            other => panic!("{other:?}"),
        }
    }
}
