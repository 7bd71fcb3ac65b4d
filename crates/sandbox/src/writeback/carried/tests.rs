use super::oid::{Algo, Kind, Oid};
use super::pack::Pack;
use super::zlib::Work;
use super::{index, parse, tips};
use miniz_oxide::deflate::compress_to_vec_zlib;
use proptest::prelude::*;
use sha1::{Digest as _, Sha1};
use std::fs::File;
use std::io::Write as _;

const ALGO: Algo = Algo::Sha1;

fn oid(byte: u8) -> Oid {
    Oid::new(ALGO, &[byte; 20]).unwrap()
}

#[test]
fn an_object_is_named_as_git_names_it() {
    let empty = |kind| ALGO.name(kind, b"").hex();
    assert_eq!(empty(Kind::Blob), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    assert_eq!(empty(Kind::Tree), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
    let sha256 = Algo::Sha256.name(Kind::Blob, b"").hex();
    assert_eq!(sha256, "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813");
}

#[test]
fn references_are_found_wherever_they_stand_and_replacements_too() {
    let (one, two) = (oid(0x11), oid(0xab));
    let text = format!("{} {} A <a@b> 1 +0\tx\n", "0".repeat(40), one.hex());
    assert_eq!(tips::named(ALGO, text.as_bytes()), std::slice::from_ref(&one));
    let packed = format!("{} refs/heads/x\n^{}\n", one.hex(), two.hex().to_uppercase());
    assert_eq!(tips::named(ALGO, packed.as_bytes()), [one.clone(), two.clone()]);
    assert_eq!(tips::fresh(ALGO, packed.as_bytes(), packed.as_bytes()), []);
    let replace = format!("{} refs/replace/{}\n", one.hex(), two.hex());
    assert!(tips::replaces(replace.as_bytes(), b""));
    assert!(!tips::replaces(replace.as_bytes(), replace.as_bytes()));
    assert!(!tips::replaces(packed.as_bytes(), b""));
}

/// An index of these entries: path, mode, flags.
fn an_index(entries: &[(&str, u32, u16)], more: &[u8]) -> Vec<u8> {
    let mut bytes = b"DIRC\0\0\0\x02".to_vec();
    bytes.extend(u32::try_from(entries.len()).unwrap().to_be_bytes());
    for (path, mode, flags) in entries {
        let mut entry = vec![0; 24];
        entry.extend(mode.to_be_bytes());
        entry.extend([0; 12]);
        entry.extend([7; 20]);
        entry.extend((flags | u16::try_from(path.len()).unwrap()).to_be_bytes());
        entry.extend(path.as_bytes());
        entry.resize(entry.len() + 8 - entry.len() % 8, 0);
        bytes.append(&mut entry);
    }
    bytes.extend(more);
    bytes.extend([0; 20]);
    bytes
}

#[test]
fn an_index_is_read_whole_or_not_at_all() {
    let two = [("a/b", 0o100_644, 0), ("c", 0o120_000, 0x8000)];
    let read = index::read(ALGO, &an_index(&two, b"")).unwrap();
    let entries: Vec<_> =
        read.entries.iter().map(|e| (e.path.as_slice(), e.node.mode, e.is_hidden)).collect();
    assert_eq!(
        entries,
        [(b"a/b".as_slice(), 0o100_644, false), (b"c".as_slice(), 0o120_000, true)]
    );
    let tree = [b"TREE\0\0\0\x3e".as_slice(), b"\x002 1\n", &[1; 20], b"a\x001 0\n", &[2; 20]];
    let mut tree = tree.concat();
    let size = u32::try_from(tree.len() - 8).unwrap().to_be_bytes();
    tree.splice(4..8, size);
    let read = index::read(ALGO, &an_index(&two, &tree)).unwrap();
    assert_eq!(read.trees, [(Vec::new(), oid(1)), (b"a".to_vec(), oid(2))]);
    for more in
        [b"link\0\0\0\0".as_slice(), b"sdir\0\0\0\0", b"IEOT\0\0\0\0", b"EOIE\0\0\0\0", b"x"]
    {
        assert!(index::read(ALGO, &an_index(&two, more)).is_err());
    }
}

/// A pack of these parts (kind bits, what is packed) and an index that gives them these names.
fn a_pack(parts: &[(u8, Vec<u8>, Vec<u8>)], names: &[Oid]) -> (File, File) {
    let (mut pack, mut offsets) = (b"PACK\0\0\0\x02".to_vec(), Vec::new());
    pack.extend(u32::try_from(parts.len()).unwrap().to_be_bytes());
    for (kind, before, data) in parts {
        offsets.push(u32::try_from(pack.len()).unwrap());
        let size = data.len();
        pack.push(kind << 4 | u8::try_from(size & 15).unwrap() | 0x80);
        pack.push(u8::try_from(size >> 4).unwrap());
        pack.extend(before);
        pack.extend(compress_to_vec_zlib(data, 6));
    }
    pack.extend(Sha1::digest(&pack));
    let mut all: Vec<_> = names.iter().zip(offsets).collect();
    all.sort();
    let mut idx = b"\xfftOc\0\0\0\x02".to_vec();
    for byte in 0..=255u8 {
        let below = all.iter().filter(|(name, _)| name.bytes()[0] <= byte).count();
        idx.extend(u32::try_from(below).unwrap().to_be_bytes());
    }
    for (name, _) in &all {
        idx.extend(name.bytes());
    }
    idx.extend(vec![0; 4 * all.len()]);
    for (_, offset) in &all {
        idx.extend(offset.to_be_bytes());
    }
    let file = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    };
    (file(&idx), file(&pack))
}

#[test]
fn a_pack_is_believed_only_when_each_object_is_what_its_name_says() {
    let (base, made) = (b"0123456789".to_vec(), b"2345x".to_vec());
    let names = [ALGO.name(Kind::Blob, &base), ALGO.name(Kind::Blob, &made)];
    // Ten bytes become five: four from the third on, and one that is given.
    let delta = vec![10, 5, 0x91, 2, 4, 1, b'x'];
    let parts =
        |before: Vec<u8>, kind| [(3, Vec::new(), base.clone()), (kind, before, delta.clone())];
    let (idx, pack) = a_pack(&parts(names[0].bytes().to_vec(), 7), &names);
    let pack = Pack::open(ALGO, idx, pack).unwrap();
    assert_eq!(pack.verify(&mut Work::new()), Ok(()));
    let read = pack.read(&names[1], &mut Work::new()).unwrap();
    assert_eq!(read, Some((Kind::Blob, made)));
    assert_eq!(pack.read(&oid(9), &mut Work::new()), Ok(None));

    let swapped = [names[1].clone(), names[0].clone()];
    let (idx, pack) = a_pack(&parts(names[0].bytes().to_vec(), 7), &swapped);
    assert!(Pack::open(ALGO, idx, pack).unwrap().verify(&mut Work::new()).is_err());
    // A delta on itself, and one on what is not there.
    for on in [names[1].clone(), oid(3)] {
        let (idx, pack) = a_pack(&parts(on.bytes().to_vec(), 7), &names);
        assert!(Pack::open(ALGO, idx, pack).unwrap().verify(&mut Work::new()).is_err());
    }
    for back in [vec![0], vec![0x80, 0], vec![0x7f], vec![0xff; 12]] {
        let (idx, pack) = a_pack(&parts(back, 6), &names);
        assert!(Pack::open(ALGO, idx, pack).unwrap().verify(&mut Work::new()).is_err());
    }
}

proptest! {
    #[test]
    fn garbage_is_an_error_and_never_more(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        at in 0usize..400,
        byte in any::<u8>(),
    ) {
        drop(parse::tree(ALGO, &bytes));
        drop(parse::commit(ALGO, &bytes));
        drop(parse::tag(ALGO, &bytes));
        drop(index::read(ALGO, &bytes));
        let mut index = an_index(&[("a/b", 0o100_644, 0), ("c", 0o120_000, 0)], b"TREE\0\0\0\x1a\x002 0\n\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01");
        if let Some(place) = index.get_mut(at) {
            *place = byte;
        }
        drop(index::read(ALGO, &index));
    }

    #[test]
    fn a_delta_of_anything_is_an_error_or_an_object(
        before in proptest::collection::vec(any::<u8>(), 0..24),
        delta in proptest::collection::vec(any::<u8>(), 0..200),
        kind in 0u8..8,
    ) {
        let names = [ALGO.name(Kind::Blob, b"base"), oid(0xee)];
        let parts = [(3, Vec::new(), b"base".to_vec()), (kind, before, delta)];
        let (idx, pack) = a_pack(&parts, &names);
        let pack = Pack::open(ALGO, idx, pack).unwrap();
        prop_assert!(pack.verify(&mut Work::new()).is_err());
        prop_assert!(pack.read(&names[0], &mut Work::new()).is_ok());
        drop(pack.read(&names[1], &mut Work::new()));
    }
}
