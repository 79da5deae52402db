use std::os::unix::fs::PermissionsExt;

use maftia_core::{
    id::{GroupId, PartyId},
    seat::Owner,
    sim::real,
};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn prepared() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("cluster.toml");
    fs::write(&config, Config::sample()).unwrap();
    (folder, config)
}

#[test]
fn a_deal_is_a_closed_folder_of_closed_files() {
    let (folder, config_path) = prepared();
    let config = keyring::read_config(&config_path).unwrap();
    let out = keyring::key_folder(&config, &config_path);
    assert_eq!(out, folder.path().join("keys"));
    let report = deal(&config_path, &out).unwrap();
    assert_eq!(report.files.len(), 14);
    assert_eq!(mode(&out), 0o700);
    for file in &report.files {
        assert_eq!(mode(&out.join(file)), 0o600, "{file}");
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), 15);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
    let party = keyring::load(&config, &out.join("left-2.key")).unwrap();
    assert_eq!(party.owner(), Owner::Party(GroupId::new(1), PartyId::new(2)));
    assert_eq!(party.public().name(), report.name);
    let client = keyring::load_client(&config, &out, "bob").unwrap();
    assert_eq!(Some(client.owner()), party.public().client("bob").map(Owner::Client));
}

#[test]
fn no_key_is_ever_overwritten() {
    let (folder, config) = prepared();
    let out = folder.path().join("keys");
    fs::create_dir(&out).unwrap();
    let first = deal(&config, &out).expect("an empty folder is as good as none");
    assert_eq!(mode(&out), 0o700);
    let before = fs::read(out.join("tm-0.key")).unwrap();
    let error = deal(&config, &out).unwrap_err();
    assert!(matches!(error, DealError::Exists(_)), "{error}");
    assert!(error.to_string().contains("never overwritten"));
    assert_eq!(fs::read(out.join("tm-0.key")).unwrap(), before);
    let second = deal(&config, &folder.path().join("more")).unwrap();
    assert_ne!(first.name, second.name, "another deal has other keys");
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    assert!(matches!(deal(&config, &file), Err(DealError::Exists(_))));
    assert_eq!(fs::read(&file).unwrap(), b"precious");
}

#[test]
fn failures_leave_nothing() {
    let (folder, config) = prepared();
    let error = deal(&config, &folder.path().join("no/such/keys")).unwrap_err();
    assert!(matches!(error, DealError::Io { .. }), "{error}");
    assert!(matches!(deal(&config, Path::new("..")), Err(DealError::NoName(_))));
    assert!(matches!(
        deal(&folder.path().join("no.toml"), Path::new("x")),
        Err(DealError::Config(_))
    ));
    fs::write(&config, Config::sample().replace("faults = 1", "faults = 2")).unwrap();
    let error = deal(&config, &folder.path().join("keys")).unwrap_err().to_string();
    assert!(error.contains("cluster.toml") && error.contains("needs 7"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_rsa_keys_of_groups_are_files_for_everybody() {
    let folder = tempfile::tempdir().unwrap();
    let text = Config::sample().replace("signatures = \"multisig\"", "signatures = \"rsa\"");
    let deal = Deal::with_primes(&Config::parse(&text).unwrap(), &[3; 32], &real::primes());
    let out = folder.path().join("keys");
    write(&deal, &out).unwrap();
    for group in ["tm", "left", "right"] {
        let file = out.join(format!("{group}.pem"));
        assert_eq!(mode(&file), 0o644);
        assert!(fs::read_to_string(file).unwrap().starts_with("-----BEGIN PUBLIC KEY-----\n"));
    }
}
