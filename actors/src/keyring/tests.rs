use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
};

use super::*;
use crate::dealer;

struct Dealt {
    folder: tempfile::TempDir,
    config: Config,
}

fn dealt(changes: &[(&str, &str)]) -> Dealt {
    let text = changes
        .iter()
        .fold(Config::sample().to_string(), |text, (from, to)| text.replace(from, to));
    let config = Config::parse(&text).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let deal = dealer::in_memory(&config).unwrap();
    dealer::write(&deal, &folder.path().join("keys")).unwrap();
    Dealt { folder, config }
}

impl Dealt {
    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("keys").join(file)
    }

    fn refused(&self, file: &str) -> KeyringError {
        load(&self.config, &self.path(file)).expect_err(file)
    }
}

#[test]
fn files_that_others_could_read_are_refused() {
    let dealt = dealt(&[]);
    let path = dealt.path("tm-0.key");
    for mode in [0o644, 0o640, 0o604, 0o620, 0o601] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = dealt.refused("tm-0.key");
        assert!(matches!(error.problem, Problem::Mode(found) if found == mode), "{error}");
        let text = error.to_string();
        assert!(text.contains("tm-0.key") && text.contains(&format!("mode {mode:04o}")), "{text}");
        assert!(text.contains(&format!("`chmod 600 {}`", path.display())), "{text}");
    }
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    assert!(load(&dealt.config, &path).is_ok());
}

#[test]
fn what_is_no_plain_file_is_refused_at_once() {
    let dealt = dealt(&[]);
    symlink(dealt.path("tm-0.key"), dealt.path("link.key")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dealt.path("pipe.key"),
        rustix::fs::FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();
    fs::create_dir(dealt.path("folder.key")).unwrap();
    for file in ["link.key", "pipe.key", "folder.key"] {
        let error = dealt.refused(file);
        assert!(matches!(error.problem, Problem::NotPlain), "{file}: {error}");
    }
    let missing = dealt.refused("tm-9.key");
    assert!(matches!(missing.problem, Problem::Missing));
    assert!(missing.to_string().contains("maftia deal --config CONFIG --out DIR"), "{missing}");
    let error = load(&dealt.config, Path::new("/dev/zero")).unwrap_err();
    assert!(matches!(error.problem, Problem::NotPlain | Problem::Owner { .. }), "{error}");
}

#[test]
fn somebody_elses_file_is_refused() {
    let dealt = dealt(&[]);
    if chown(dealt.path("tm-0.key"), Some(12_345), None).is_err() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    let error = dealt.refused("tm-0.key");
    assert!(matches!(error.problem, Problem::Owner { owner: 12_345, .. }), "{error}");
    assert!(error.to_string().contains("chown"), "{error}");
}

#[test]
fn damaged_and_huge_files_are_refused() {
    let dealt = dealt(&[]);
    let path = dealt.path("tm-0.key");
    let text = fs::read_to_string(&path).unwrap();
    for cut in [0, 50, 200, text.len() - 30] {
        fs::write(&path, &text[..cut]).unwrap();
        let error = dealt.refused("tm-0.key");
        assert!(matches!(error.problem, Problem::Key(_)), "{cut}: {error}");
        assert!(error.to_string().contains("restore it from a copy"), "{error}");
    }
    fs::write(&path, vec![b'#'; 1 << 20]).unwrap();
    assert!(matches!(dealt.refused("tm-0.key").problem, Problem::TooLong(_)));
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(dealt.refused("tm-0.key").problem, Problem::NotText));
    fs::remove_file(dealt.path(PUBLIC)).unwrap();
    let error = dealt.refused("tm-1.key");
    assert!(error.path.ends_with(PUBLIC) && matches!(error.problem, Problem::Missing), "{error}");
}

#[test]
fn keys_of_another_deal_or_configuration_are_refused() {
    let (one, two) = (dealt(&[]), dealt(&[]));
    let larger = dealt(&[("faults = 1", "faults = 0")]);
    fs::copy(two.path("tm-0.key"), one.path("tm-0.key")).unwrap();
    let error = one.refused("tm-0.key");
    assert!(matches!(error.problem, Problem::Key(KeyError::OtherDeal)), "{error}");
    assert!(error.to_string().contains("use the configuration and folder"), "{error}");
    let error = load(&larger.config, &one.path("tm-1.key")).unwrap_err();
    assert!(matches!(error.problem, Problem::Key(KeyError::OtherConfig)), "{error}");
    fs::copy(one.path("tm-2.key"), one.path("tm-3.key")).unwrap();
    let copy = load(&one.config, &one.path("tm-3.key")).unwrap();
    assert_eq!(copy.owner(), load(&one.config, &one.path("tm-2.key")).unwrap().owner());
}

#[test]
fn open_groups_let_clients_make_keys() {
    let closed = dealt(&[]);
    let folder = closed.folder.path().join("keys");
    let error = make_client(&closed.config, &folder, "eve").unwrap_err();
    assert!(matches!(error.problem, Problem::Key(KeyError::Closed)), "{error}");
    let open = dealt(&[("open = false", "open = true")]);
    let folder = open.folder.path().join("keys");
    let made = make_client(&open.config, &folder, "eve").unwrap();
    let read = load_client(&open.config, &folder, "eve").unwrap();
    assert_eq!(made.owner(), read.owner());
    let about = fs::metadata(open.path("client-eve.key")).unwrap();
    assert_eq!(about.mode() & 0o777, 0o600);
    let again = make_client(&open.config, &folder, "eve").unwrap_err();
    assert!(matches!(again.problem, Problem::Exists), "{again}");
    assert!(!open.path("client-eve.key.part").exists());
    for name in ["", "../x", "Eve", "a b", "9"] {
        let error = load_client(&open.config, &folder, name).unwrap_err();
        assert!(matches!(error.problem, Problem::Name(_)), "{name}: {error}");
    }
}

#[test]
fn a_wrong_configuration_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster.toml");
    assert!(matches!(read_config(&path).unwrap_err().problem, Problem::Missing));
    fs::write(&path, Config::sample().replace("faults = 1", "fautls = 1")).unwrap();
    let text = read_config(&path).unwrap_err().to_string();
    assert!(text.contains("cluster.toml") && text.contains("did you mean `faults`?"), "{text}");
    assert!(matches!(read_config(folder.path()).unwrap_err().problem, Problem::NotPlain));
}
