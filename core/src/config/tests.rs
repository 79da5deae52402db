use super::*;

fn with(change: impl FnOnce(String) -> String) -> Result<Config, ConfigError> {
    Config::parse(&change(Config::sample().to_string()))
}

fn replaced(from: &str, to: &str) -> Result<Config, ConfigError> {
    assert!(Config::sample().contains(from), "{from}");
    with(|text| text.replacen(from, to, 1))
}

fn error(from: &str, to: &str) -> String {
    replaced(from, to).expect_err(to).to_string()
}

/// `line N:`, where the sample says this for the first time.
fn line(of: &str) -> String {
    let at = Config::sample().find(of).expect("the sample says so");
    format!("line {}:", 1 + Config::sample()[..at].matches('\n').count())
}

#[test]
fn the_sample_is_what_the_demo_runs() {
    let config = Config::parse(Config::sample()).unwrap();
    let names: Vec<_> = config.groups().iter().map(|group| &*group.name).collect();
    assert_eq!(names, ["tm", "left", "right"]);
    assert!(config.groups().iter().all(|group| group.members.len() == 4));
    assert!(config.groups().iter().all(|group| group.thresholds.f() == 1));
    let accounts = |name: &str| config.named(name).map(|group| group.service.clone());
    let holding = |name: &str| Some(ServiceConfig::Accounts([(name.into(), 100)].into()));
    assert_eq!(accounts("left"), holding("alice"));
    assert_eq!(accounts("right"), holding("bob"));
    assert_eq!(config.transactions().map(|group| &*group.name), Some("tm"));
    assert_eq!(config.clients().names, ["you".into(), "bob".into()]);
    assert!(!config.lab() && !config.clients().open);
    assert_eq!(config.durability(), Durability::Disk { sync: true });
    assert_eq!(config.link(), Link::Tcp);
    assert_eq!((config.keys(), config.data()), ("keys", "data"));
    let left = config.named("left").unwrap();
    assert_eq!(left.address(PartyId::new(2)).unwrap().to_string(), "127.0.0.1:7412");
    assert_eq!(left.address(PartyId::new(4)), None);
    assert_eq!(left.member_name(PartyId::new(2)), "left[2]");
    assert_eq!(config.directory().named("right").map(|group| group.id), Some(GroupId::new(2)));
    assert_eq!(config.group(GroupId::new(1)), Some(left));
}

#[test]
fn unknown_keys_get_a_suggestion() {
    let text = error("faults = 1", "fautls = 1");
    assert!(text.starts_with(&format!("{} unknown field `fautls`", line("faults = 1"))), "{text}");
    assert!(text.ends_with("help: did you mean `faults`?"), "{text}");
    let text = error("lab = false", "labs = false");
    assert!(text.contains("did you mean `lab`?"), "{text}");
    let quic = replaced("link = \"tcp\"", "link = \"quic\"").unwrap();
    assert_eq!(quic.link(), Link::Quic);
    assert!(quic.explain().contains("links       quic: over UDP"));
    assert_eq!(quic.digest(), Config::parse(Config::sample()).unwrap().digest(), "the same keys");
    let text = error("link = \"tcp\"", "link = \"quik\"");
    assert!(text.contains("did you mean `quic`?"), "{text}");
    let text = error("\"multisig\"", "\"multi\"");
    assert!(text.contains("unknown variant `multi`"), "{text}");
    let text = error("coin = \"ddh\"", "coin = \"dhd\"");
    assert!(text.contains(&line("coin =")) && text.contains("unknown variant"), "{text}");
    assert!(error("lab = false", "lab = 7").contains("expected a boolean"));
    assert!(error("[clients]", "[clients").contains(&line("[clients]")));
}

#[cfg(not(feature = "blst"))]
#[test]
fn a_scheme_that_is_not_built_in_is_named_with_its_feature() {
    for (from, what) in [
        ("certificates = \"multisig\"", "certificates"),
        ("coin = \"ddh\"", "coin"),
        ("signatures = \"multisig\"", "signatures"),
        ("cipher = \"pairing\"", "cipher"),
    ] {
        let text = error(from, &format!("{what} = \"pairing-blst\""));
        let wrong = format!("`{what} = \"pairing-blst\"` needs the feature `blst`");
        assert!(text.contains(&wrong) && text.contains("--features blst"), "{text}");
    }
}

#[cfg(feature = "blst")]
#[test]
fn a_scheme_that_is_built_in_is_taken() {
    let config = replaced("cipher = \"pairing\"", "cipher = \"pairing-blst\"").unwrap();
    assert_eq!(config.schemes().cipher, CipherScheme::PairingBlst);
    assert!(config.explain().contains("open it (pairing-blst)"));
    assert_ne!(config.digest(), Config::parse(Config::sample()).unwrap().digest());
}

#[test]
fn thresholds_are_explained() {
    let five = "\"127.0.0.1:7413\", \"127.0.0.1:7414\"]";
    let text = with(|text| {
        let text = text.replacen("\"127.0.0.1:7413\"]", five, 1);
        let (head, tail) = text.split_at(text.find("\"left\"").unwrap());
        head.to_string() + &tail.replacen("faults = 1", "faults = 2", 1)
    })
    .unwrap_err()
    .to_string();
    assert_eq!(
        text,
        "group `left`: 5 parties tolerate 1 fault, `faults = 2` needs 7\n  \
         help: add 2 members or say `faults = 1`"
    );
    let text = error("faults = 1              # needs 3 * faults + 1 members\n", "");
    assert!(text.contains("group `tm`: how many faults it shall tolerate is not said"), "{text}");
    assert!(text.contains("4 members tolerate 1 fault: `faults = 1`"), "{text}");
    assert!(replaced("faults = 1", "faults = 0").is_ok(), "said explicitly");
    assert!(error("faults = 1", "faults = -1").contains(&line("faults = 1")));
    assert!(error("faults = 1", "faults = 65535").contains("needs 196606"));
}

#[test]
fn duplicates_are_found() {
    assert!(error("\"left\"", "\"right\"").contains("two groups are named `right`"));
    assert!(error("\"bob\"]", "\"you\"]").contains("two clients are named `you`"));
    let text = error("127.0.0.1:7411", "127.0.0.1:7400");
    assert!(text.contains("tm[0] and left[1] have the same address 127.0.0.1:7400"), "{text}");
    let text = error("127.0.0.1:7411", "127.0.0.1:7410");
    assert!(text.contains("left[0] and left[1]"), "{text}");
}

#[test]
fn names_and_addresses_are_checked() {
    for name in ["", "Left", "a/b", "../x", "0left", "ä", "x y", "a\\u0000", &"x".repeat(33)] {
        let text = error("\"left\"", &format!("\"{name}\""));
        assert!(text.contains("is no name of a group"), "{name}: {text}");
    }
    assert!(error("\"left\"", "\"client\"").contains("reserved"));
    assert!(error("\"you\"", "\"YOU\"").contains("is no name of a client"));
    assert!(error("{ alice", "{ Alice").contains("is no name of an account"));
    for address in
        ["", "7400", "host", "host:0", "host:70000", ":7400", "a b:1", "::1:7400", "[x]:1"]
    {
        let text = error("127.0.0.1:7400", address);
        assert!(text.contains("is no address of tm[0]"), "{address}: {text}");
    }
    for address in ["localhost:1", "a.example.org:65535", "[::1]:7400"] {
        let config = replaced("127.0.0.1:7400", address).unwrap();
        assert_eq!(config.groups()[0].members[0].to_string(), address);
    }
    assert!(error("keys = \"keys\"", "keys = \"\"").contains("names no folder"));
}

#[test]
fn services_must_fit_together() {
    let text = error("\"transactions\"", "\"accounts\"");
    assert!(text.contains("keeps accounts, but no group decides on transactions"), "{text}");
    let text = error("\"accounts\"", "\"transactions\"");
    assert!(text.contains("the groups `tm`, `left` all decide on transactions"), "{text}");
    assert!(text.contains("group `left` decides on transactions and has no accounts"), "{text}");
    assert!(error("alice = 100", "alice = -1").contains("account `left/alice` begins with -1"));
    assert!(Config::parse("").unwrap_err().to_string().contains("there is no group"));
    let empty = "[[group]]\nname = \"tm\"\nservice = \"transactions\"\nfaults = 0\n";
    assert!(Config::parse(empty).unwrap_err().to_string().contains("group `tm`: 0 members"));
}

#[test]
fn a_group_may_remember_otherwise_than_the_network() {
    let of = |config: &Config, name: &str| config.named(name).unwrap().durability;
    let synced = Durability::Disk { sync: true };
    let sample = Config::parse(Config::sample()).unwrap();
    assert!(sample.groups().iter().all(|group| group.durability == synced));
    assert_eq!(sample.explain().matches("durability").count(), 1);
    let one = replaced("# durability = \"memory\"", "durability = \"memory\"").unwrap();
    assert_eq!((of(&one, "left"), of(&one, "right")), (synced, Durability::Memory));
    assert_eq!((one.durability(), one.digest()), (synced, sample.digest()), "the same keys");
    assert!(one.explain().contains("  durability   memory: a member that restarts has forgotten"));
    let turned = with(|text| {
        let text = text.replacen("\"disk\"", "\"disk-unsynced\"", 1);
        text.replacen("# durability = \"memory\"", "durability = \"disk\"", 1)
    });
    let turned = turned.unwrap();
    assert_eq!(of(&turned, "tm"), Durability::Disk { sync: false });
    assert_eq!(of(&turned, "right"), synced, "what a group says counts");
    let text = error("# durability = \"memory\"", "durability = \"tape\"");
    assert!(text.contains(&line("# durability")) && text.contains("unknown variant"), "{text}");
    let text = error("# durability = \"memory\"", "durabilty = \"memory\"");
    assert!(text.contains("did you mean `durability`?"), "{text}");
}

#[test]
fn everything_wrong_is_said_at_once() {
    let text =
        Config::sample().replace("faults = 1", "faults = 3").replace("alice = 100", "alice = -1");
    assert_eq!(Config::parse(&text).unwrap_err().0.len(), 4);
    let huge = "#".repeat(2 << 20);
    assert!(Config::parse(&huge).unwrap_err().to_string().contains("no configuration"));
}

#[test]
fn the_digest_covers_what_keys_are_made_for() {
    let digest = |from, to| replaced(from, to).unwrap().digest();
    let sample = Config::parse(Config::sample()).unwrap().digest();
    for (from, to) in [
        ("127.0.0.1:7400", "example.org:9"),
        ("alice = 100", "alice = 5"),
        ("\"bob\"]", "\"eve\"]"),
        ("lab = false", "lab = true"),
        ("\"disk\"", "\"memory\""),
    ] {
        assert_eq!(digest(from, to), sample, "{to}");
    }
    for (from, to) in [
        ("faults = 1", "faults = 0"),
        ("\"left\"", "\"west\""),
        ("faults = 1", "epoch = 1\nfaults = 1"),
        ("\"multisig\"", "\"pairing\""),
        ("\"ddh\"", "\"pairing\""),
        ("signatures = \"multisig\"", "signatures = \"rsa\""),
        (", \"127.0.0.1:7413\"]", ", \"127.0.0.1:7413\", \"127.0.0.1:7414\"]"),
    ] {
        assert_ne!(digest(from, to), sample, "{to}");
    }
}

#[test]
fn explain_says_what_follows() {
    let text = Config::parse(Config::sample()).unwrap().explain();
    for part in [
        "group `left` keeps accounts; n = 4, f = 1, asynchronous, epoch e0",
        "left[2]      127.0.0.1:7412",
        "accounts     alice = 100",
        "tolerates    1 member that lies, is slow or is silent",
        "goes on      while 3 of 4 are correct and connected",
        "quorum       3 of 4: any two share a correct member (multisig: P-256 signatures)",
        "signatures   2 of 4 sign a message for others (multisig: P-256 signatures)",
        "coin         2 of 4 show it (Diffie-Hellman on P-256)",
        "clients     you, bob; others are refused",
        "durability  disk, synced",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let text = replaced("faults = 1", "faults = 0").unwrap().explain();
    assert!(text.contains("tolerates    NOTHING"), "{text}");
    assert!(text.contains("3 members more than f = 0 needs; f = 1 needs 4"), "{text}");
    assert!(replaced("lab = false", "lab = true").unwrap().explain().contains("lab         ON"));
}
