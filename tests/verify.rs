//! What a group signs is verified by a program that knows nothing of this project: the example of the
//! same name, with files made by a dealer and by members that sign.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected shall fall")]

use std::{fs, path::Path};

use maftia_core::{
    agreement::signature::covered,
    config::Config,
    crypto::deal::Deal,
    id::{Epoch, GroupId, PartyId},
    path::InstanceId,
};

#[allow(dead_code, reason = "the program's own main is not called")]
#[path = "../examples/verify.rs"]
mod example;

const MESSAGE: &[u8] = b"what the group says";

/// The files of one deal in a folder: keys of the second group, and its signature of the message.
struct Scene {
    scheme: &'static str,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(scheme: &'static str) -> Self {
        let sample = Config::sample()
            .replace("signatures = \"multisig\"", &format!("signatures = \"{scheme}\""));
        let config = Config::parse(&sample).unwrap();
        let deal = Deal::new(&config, &[7; 32]);
        let folder = tempfile::tempdir().unwrap();
        let group = GroupId::new(1);
        let keys: Vec<_> = (0..4)
            .map(|at| deal.party(group, PartyId::new(at)).unwrap().keys(group).unwrap())
            .collect();
        let id = InstanceId::root(group, Epoch::FIRST, "notary");
        let (tag, digest) = covered(&keys[0], &id, b"deeds", MESSAGE);
        let shares: Vec<_> = [1, 3]
            .map(|at| (PartyId::new(at), keys[usize::from(at)].signature.share(&tag, &digest)))
            .into();
        let signature = keys[0].signature.combine(&tag, &digest, &shares).unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        write("keys", public(&deal.public().to_toml(), scheme).as_bytes());
        write("message", MESSAGE);
        write("signature", &signature.0);
        Self { scheme, folder }
    }

    fn path(&self, name: &str) -> String {
        Path::new(self.folder.path()).join(name).to_string_lossy().into_owned()
    }

    fn verifies(&self, instance: &str, needed: &str, label: &str) -> bool {
        let (keys, message, signature) =
            (self.path("keys"), self.path("message"), self.path("signature"));
        let args = [self.scheme, &keys, instance, needed, label, &message, &signature];
        example::verify(&args.map(String::from)) == Some(true)
    }
}

/// The keys of the second group as they stand in `public.toml`, one a line.
fn public(toml: &str, scheme: &str) -> String {
    let group = toml.split("[[group]]").nth(2).unwrap();
    let (begin, end) = match scheme {
        "multisig" => ("identities = [\"", "\"]"),
        _ => ("signature = { group = \"", "\""),
    };
    let keys = group.split(begin).nth(1).unwrap().split(end).next().unwrap();
    keys.split("\", \"").collect::<Vec<_>>().join("\n")
}

#[test]
fn a_stand_alone_program_verifies_what_the_group_signed() {
    for scheme in ["multisig", "pairing"] {
        let scene = Scene::new(scheme);
        assert!(scene.verifies("1/0/notary", "2", "deeds"), "{scheme}");
        for (instance, label) in [
            ("0/0/notary", "deeds"),
            ("1/1/notary", "deeds"),
            ("1/0/x", "deeds"),
            ("1/0/notary", "x"),
        ] {
            assert!(!scene.verifies(instance, "2", label), "{scheme}: {instance} {label}");
        }
        if scheme == "multisig" {
            assert!(!scene.verifies("1/0/notary", "3", "deeds"), "two are not three");
        }
        let signature = fs::read(scene.path("signature")).unwrap();
        for at in [0, 20, signature.len() - 1] {
            let mut bent = signature.clone();
            bent[at] ^= 1;
            fs::write(scene.path("signature"), &bent).unwrap();
            assert!(!scene.verifies("1/0/notary", "2", "deeds"), "{scheme}: bent at {at}");
        }
        fs::write(scene.path("signature"), &signature).unwrap();
        fs::write(scene.path("message"), b"what it did not say").unwrap();
        assert!(!scene.verifies("1/0/notary", "2", "deeds"), "{scheme}: another message");
    }
}
