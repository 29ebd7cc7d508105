//! Policies: what a plugin needs by its name, and every fault of a file at once.

use std::fs;
use std::io;
use std::path::Path;

use expect_test::{Expect, expect};
use flowctl_oci::policy::{Demand, Policy};

use crate::memory::{public_key, text, vector};

fn parse(text: &str) -> Result<Policy, String> {
    let read = |name: &str| match name {
        "acme.pub" => Ok(self::text("sigstore.pub")),
        "both.pub" => Ok(format!("{}\n{}", self::text("sigstore.pub"), self::text("openssl-p384.pub"))),
        "private.key" => Ok(self::text("openssl-p256.key")),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
    };
    Policy::parse(Path::new("policy.yaml"), text, read).map_err(|error| error.to_string())
}

fn demanded(policy: &Policy, name: &str) -> String {
    match policy.demand(name) {
        Demand::Denied => "denied".to_owned(),
        Demand::Nothing => "nothing".to_owned(),
        Demand::Signature(keys) => format!("one of {}", keys.len()),
    }
}

#[test]
fn the_rule_that_says_most_wins_whatever_the_order() {
    let rules = [
        "{match: 'ghcr.io/acme/**', keys: [acme.pub]}",
        "{match: 'ghcr.io/acme/try/*', unsigned: allow}",
        "{match: 'ghcr.io/acme/try/ttp', keys: [both.pub]}",
        "{match: 'localhost:5000/**', unsigned: allow}",
        "{match: 'ghcr.io/acme/*', keys: [both.pub, acme.pub]}",
    ];
    for start in 0..rules.len() {
        let mut turned = rules;
        turned.rotate_left(start);
        let policy = parse(&format!("rules: [{}]", turned.join(", "))).unwrap();
        for (name, want) in [
            ("ghcr.io/acme/ttp", "one of 3"),
            ("ghcr.io/acme/a/ttp", "one of 1"),
            ("ghcr.io/acme/try/other", "nothing"),
            ("ghcr.io/acme/try/other/deep", "one of 1"),
            ("ghcr.io/acme/try/ttp", "one of 2"),
            ("ghcr.io/acme/try/ttp2", "nothing"),
            ("ghcr.io/acme", "denied"),
            ("ghcr.io/acme/", "denied"),
            ("ghcr.io/acmeevil/ttp", "denied"),
            ("localhost:5000/a/b/c", "nothing"),
            ("localhost/a", "denied"),
            ("docker.io/library/x", "denied"),
            ("", "denied"),
        ] {
            assert_eq!(demanded(&policy, name), want, "{name}");
        }
    }
}

#[test]
fn a_policy_without_rules_denies_everything() {
    assert_eq!(demanded(&parse("rules: []").unwrap(), "ghcr.io/acme/ttp"), "denied");
    let policy = parse("rules: [{match: '**', unsigned: allow}, {match: 'ghcr.io/**', keys: [acme.pub]}]").unwrap();
    assert_eq!(demanded(&policy, "docker.io/library/x"), "nothing");
    assert_eq!(demanded(&policy, "ghcr.io/acme/ttp"), "one of 1");
}

#[test]
fn every_fault_of_a_policy_is_told_with_its_place() {
    let check = |text: &str, want: Expect| want.assert_eq(&parse(text).unwrap_err());
    check(
        "rules:
  - match: ghcr.io/acme/**
    keys: [nowhere.pub, private.key]
  - match: ghcr.io/*/ttp
    unsigned: allow
  - match: ghcr.io/acme/**
    unsigned: allow
  - match: ghcr.io/a
  - match: ghcr.io/b
    keys: []
  - match: ghcr.io/c
    keys: [acme.pub]
    unsigned: allow
  - match: ghcr.io/d
    keys:
      - |
        -----BEGIN PUBLIC KEY-----
        AAAA
        -----END PUBLIC KEY-----
",
        expect![[r#"
            policy.yaml:3:12: cannot read `nowhere.pub`: no such file
            policy.yaml:3:25: cannot read `private.key`: it holds a `PRIVATE KEY` where a `PUBLIC KEY` is needed
            policy.yaml:4:12: `ghcr.io/*/ttp` matches nothing: write a registry and a repository, with `/*` or `/**` at most at its end
            policy.yaml:6:12: `ghcr.io/acme/**` has a rule already
            policy.yaml:8:5: a rule has either `keys`, at least one, or `unsigned: allow`
            policy.yaml:9:5: a rule has either `keys`, at least one, or `unsigned: allow`
            policy.yaml:11:5: a rule has either `keys`, at least one, or `unsigned: allow`
            policy.yaml:17:9: cannot read `the key written here`: the key in it is damaged: it is no SubjectPublicKeyInfo"#]],
    );
    check(
        "rules:\n  - match: a/b\n    key: [x]\n",
        expect!["policy.yaml:3:5: unknown field `key`, expected one of match, keys, unsigned"],
    );
    check(
        "rules:\n  - match: a/b\n    unsigned: deny\n",
        expect!["policy.yaml:3:15: unknown variant `deny`, expected one of allow"],
    );
    check("rules: {}\nother: 1\n", expect!["policy.yaml:1:8: expected sequence start"]);
    check("rules:\n  - {match: a/b\n", expect!["policy.yaml:2:5: unclosed bracket '{'"]);
    check("", expect!["policy.yaml:1:1: unexpected end of input"]);
    check(&format!("rules: {}", "[".repeat(10_000)), expect!["policy.yaml:1:263: recursion limit exceeded"]);
}

#[test]
fn patterns_that_match_nothing_are_refused() {
    for pattern in [
        "ghcr.io",
        "ghcr.io/a:1",
        "ghcr.io/a@sha256:0",
        "ghcr.io/a*",
        "ghcr.io/a**",
        "*",
        "/**",
        "ghcr.io//a",
        "ghcr.io/a/",
        "ghcr.io/***",
        "ghcr.io/A",
        "ghcr.io/ a",
        "**/a",
        "",
    ] {
        let found = parse(&format!("rules: [{{match: '{pattern}', unsigned: allow}}]"));
        assert!(found.is_err_and(|error| error.contains("matches nothing")), "{pattern}");
    }
}

#[test]
fn keys_are_files_beside_the_policy_or_written_in_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("keys")).unwrap();
    fs::write(folder.path().join("keys/acme.pub"), vector("sigstore.pub")).unwrap();
    let inline = text("openssl-p256.pub").replace('\n', "\n        ");
    let path = folder.path().join("policy.yaml");
    fs::write(
        &path,
        format!("rules:\n  - match: a.example/**\n    keys:\n      - keys/acme.pub\n      - |\n        {inline}\n"),
    )
    .unwrap();
    let policy = Policy::load(&path).unwrap();
    let want = [public_key("sigstore.pub"), public_key("openssl-p256.pub")];
    assert_eq!(policy.demand("a.example/x"), Demand::Signature(&want));
    fs::remove_file(folder.path().join("keys/acme.pub")).unwrap();
    let error = Policy::load(&path).unwrap_err().to_string();
    assert!(error.contains("policy.yaml:4:9: cannot read `keys/acme.pub`"), "{error}");
    assert!(Policy::load(&folder.path().join("nowhere")).is_err());
}
