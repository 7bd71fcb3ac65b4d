//! Does a witness elsewhere vouch that the log only grew, and for no log that did not? Against one that does what C2SP's
//! tlog-witness says, written from that page alone.

use super::World;
use super::collector::{Answer, Came, Collector};
use bartizan_store::{Digest, Durability, Entry, Event, Ledger as _, PublicKey, Store};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const NAME: &str = "witness.example/w1";

/// One who knows one log, and has seen it so far.
struct Witness {
    key: Ed25519KeyPair,
    log: PublicKey,
    seen: Option<(u64, Digest)>,
}

impl Witness {
    fn new(seed: u8, log: PublicKey) -> Self {
        Self { key: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap(), log, seen: None }
    }

    fn id(&self) -> [u8; 4] {
        let name = format!("{NAME}\n\u{4}");
        let digest = Digest::of_parts(&[name.as_bytes(), self.key.public_key().as_ref()]);
        *digest.as_bytes().first_chunk().unwrap()
    }

    fn vkey(&self) -> String {
        let key = [&[4], self.key.public_key().as_ref()].concat();
        format!("{NAME}+{:08x}+{}", u32::from_be_bytes(self.id()), BASE64.encode(key))
    }

    /// `add-checkpoint`.
    fn answer(&mut self, came: &Came) -> Answer {
        assert!(came.head.starts_with("POST /w/add-checkpoint "), "{came:?}");
        let (head, note) = came.body.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
        let node = |line| Digest::try_from(BASE64.decode(line).unwrap().as_slice()).unwrap();
        let proof: Vec<Digest> = lines.map(node).collect();
        if note.lines().next() != Some(self.log.origin()) {
            return Answer::status(404);
        }
        let Ok(new) = self.log.open(note) else { return Answer::status(403) };
        let (size, root) = self.seen.unwrap_or((0, Digest::of(b"")));
        if old != size || old == new.size && root != new.root {
            let head = "content-type: text/x.tlog.size\r\n".to_owned();
            return Answer::Status(409, head, format!("{size}\n"));
        }
        if old > new.size || !grew((old, root), (new.size, new.root), &proof) {
            return Answer::status(422);
        }
        self.seen = Some((new.size, new.root));
        Answer::Status(200, String::new(), self.cosign(note))
    }

    fn cosign(&self, note: &str) -> String {
        let time = 1_679_315_147_u64;
        let (text, _) = note.split_once("\n\n").unwrap();
        let signature = self.key.sign(format!("cosignature/v1\ntime {time}\n{text}\n").as_bytes());
        let value = [&self.id()[..], &time.to_be_bytes(), signature.as_ref()].concat();
        format!("\u{2014} {NAME} {}\n", BASE64.encode(value))
    }
}

/// RFC 9162, section 2.1.4.2.
fn grew(old: (u64, Digest), new: (u64, Digest), proof: &[Digest]) -> bool {
    if old.0 == 0 || old.0 == new.0 {
        return proof.is_empty();
    }
    let node = |left: &Digest, right: &Digest| {
        Digest::of_parts(&[&[1], left.as_bytes(), right.as_bytes()])
    };
    let seed = if old.0.is_power_of_two() { vec![old.1] } else { vec![] };
    let path = [&seed, proof].concat();
    let (mut first, mut second) = (old.0 - 1, new.0 - 1);
    let shift = first.trailing_ones();
    (first, second) = (first >> shift, second >> shift);
    let Some((start, rest)) = path.split_first() else { return false };
    let (mut left, mut right) = (*start, *start);
    for beside in rest {
        if second == 0 {
            return false;
        }
        if first & 1 == 1 || first == second {
            (left, right) = (node(beside, &left), node(beside, &right));
            let shift = if first == 0 { 0 } else { first.trailing_zeros() };
            (first, second) = (first >> shift, second >> shift);
        } else {
            right = node(&right, beside);
        }
        (first, second) = (first >> 1, second >> 1);
    }
    second == 0 && (left, right) == (old.1, new.1)
}

fn add(store: &Store, count: u64) {
    for number in 0..count {
        let entry = Entry::new(Event::Refusal).session("s-1").with("number", number);
        let _receipt = store.append(entry, Durability::Durable).unwrap();
    }
}

/// The state as it lies there, and back.
fn copy(from: &Path, to: &Path) {
    fs::remove_dir_all(to).ok();
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for name in ["bartizan.db", "checkpoint.key", "checkpoint.pub"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn a_witness_vouches_for_a_log_that_grew_and_for_no_other() {
    let world = World::new();
    add(&world.store(), 5);
    let mut witness = Witness::new(1, world.store().public_key().clone());
    let vkey = witness.vkey();
    let there = Collector::by(move |came| witness.answer(came));
    let url = format!("http://127.0.0.1:{}/w/", there.port);
    let kept = world.path("kept");
    let kept = kept.to_str().unwrap();
    let anchor = ["audit", "anchor", "--witness", &url, "--witness-key", &vkey];
    let to_file = [&anchor[..], &["--to", kept]].concat();
    let done = world.run(&to_file);
    assert!(done.code == 0 && done.err.contains("5 records, cosigned"), "{done:?}");
    assert!(there.came()[0].body.starts_with("old 0\n\n"), "{:?}", there.came());
    add(&world.store(), 90);
    assert_eq!(world.run(&to_file).code, 0, "and on from what it has seen");
    assert!(there.came()[1].body.starts_with("old 5\n"), "{:?}", there.came());
    let verify = ["audit", "verify", "--anchor", kept, "--witness-key", &vkey];
    let verified = world.run(&verify);
    let when = format!("cosigned by `{NAME}` on 2023-03-20");
    assert!(verified.code == 0 && verified.err.contains(&when), "{verified:?}");
    assert_eq!(world.store().marked("anchor").unwrap().unwrap().seq, 96);
    second_verifier_agrees(&world, &vkey, kept);
    let (early, later) = (world.path("early"), world.path("later"));
    copy(&world.state(), &early);
    add(&world.store(), 20);
    copy(&world.state(), &later);
    let printed = world.run(&anchor);
    assert!(printed.code == 0 && printed.out.matches('\u{2014}').count() == 2, "{printed:?}");
    // The same log without the memory of what the witness has seen: it is told, and goes on from there.
    copy(&later, &world.state());
    let again = world.run(&anchor);
    assert_eq!(again.code, 0, "{again:?}");
    // An older copy is shorter than what was seen; and what is written after it is another log.
    copy(&early, &world.state());
    let cut = world.run(&anchor);
    assert!(cut.code == 2 && cut.err.contains("was cut off: the witness has seen"), "{cut:?}");
    add(&world.store(), 50);
    let other = world.run(&anchor);
    assert!(
        other.code == 1 && other.err.contains("not the one that the witness has seen"),
        "{other:?}"
    );
    // Whoever owns the machine can sign a checkpoint, and not have it cosigned.
    assert_eq!(world.run(&["audit", "anchor", "--to", &format!("{kept}.own")]).code, 0);
    let own = format!("{kept}.own");
    let forged = world.run(&["audit", "verify", "--anchor", &own, "--witness-key", &vkey]);
    assert!(forged.code == 1 && forged.err.contains("is not cosigned by"), "{forged:?}");
}

/// The verifier in Python takes the witness's word, and nobody else's for it.
fn second_verifier_agrees(world: &World, vkey: &str, kept: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/verify.py");
    let (export, log) = (world.path("export"), world.store().public_key().to_string());
    assert_eq!(world.run(&["audit", "export", "--to", export.to_str().unwrap()]).code, 0);
    let says = |witness: &str, kept: &Path| {
        #[expect(clippy::disallowed_methods, reason = "the second verifier is a program")]
        let mut python = std::process::Command::new("python3");
        python.arg(&script).arg(&export).args([&log, "--witness", witness]).arg(kept);
        let done = python.output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let kept = Path::new(kept);
    let (code, said) = says(vkey, kept);
    assert_eq!(code, Some(0), "{said}");
    let other = Witness::new(2, world.store().public_key().clone());
    let note = fs::read_to_string(kept).unwrap();
    let (own, _) = note.trim_end().rsplit_once('\n').unwrap();
    let line = world.path("note");
    // By another key of that name, by nobody, and with a time that was not signed.
    fs::write(&line, format!("{own}\n{}", other.cosign(&note))).unwrap();
    assert!(says(vkey, &line).1.contains("not signed by"));
    fs::write(&line, format!("{own}\n")).unwrap();
    assert!(says(vkey, &line).1.contains("not signed by"));
    fs::write(&line, later(&note)).unwrap();
    assert!(says(vkey, &line).1.contains("does not verify"));
}

/// The note with its last line's time put forward.
fn later(note: &str) -> String {
    let (rest, value) = note.trim_end().rsplit_once(' ').unwrap();
    let mut bytes = BASE64.decode(value).unwrap();
    bytes[11] ^= 1;
    format!("{rest} {}\n", BASE64.encode(bytes))
}

#[test]
fn a_witness_that_does_not_know_the_log_or_signs_with_another_key_does_not_count() {
    let (world, stranger) = (World::new(), World::new());
    add(&world.store(), 5);
    let log = world.store().public_key().clone();
    let (mut ignorant, mut other) =
        (Witness::new(1, stranger.store().public_key().clone()), Witness::new(2, log.clone()));
    let vkey = ignorant.vkey();
    let there = [
        Collector::by(move |came| ignorant.answer(came)),
        Collector::by(move |came| other.answer(came)),
        Collector::by(|_| Answer::Status(409, String::new(), "0\n".to_owned())),
        Collector::by(|_| Answer::Status(200, String::new(), "<html>\n\u{2014} x y\n".to_owned())),
        Collector::by(|_| Answer::status(500)),
    ];
    let said = [
        &*log.to_string(),
        "did not cosign as `witness.example/w1`",
        "not the one that the witness has seen",
        "did not cosign as",
        "status 500",
    ];
    for (there, said) in there.iter().zip(said) {
        let url = format!("http://127.0.0.1:{}/w", there.port);
        let done = world.run(&["audit", "anchor", "--witness", &url, "--witness-key", &vkey]);
        assert!(done.code != 0 && done.err.contains(said) && done.out.is_empty(), "{done:?}");
        assert_eq!(world.store().marked("anchor").unwrap(), None, "and it is not anchored");
    }
    let key = world.run(&[
        "audit",
        "anchor",
        "--witness",
        "https://x.example",
        "--witness-key",
        &log.to_string(),
    ]);
    assert!(key.code == 2 && key.err.contains("is not a public key of a witness"), "{key:?}");
    assert_eq!(world.run(&["audit", "anchor", "--witness", "https://x.example"]).code, 2);
}
