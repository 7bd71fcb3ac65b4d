use super::*;
use hyper::Response;
use miniz_oxide::deflate::compress_to_vec;

const TEXT: &[u8] = include_bytes!("../../../tests/coded/text");
const CODED: [(&str, &[u8]); 5] = [
    ("br", include_bytes!("../../../tests/coded/text.br")),
    ("deflate", include_bytes!("../../../tests/coded/text.raw")),
    ("deflate", include_bytes!("../../../tests/coded/text.zz")),
    ("gzip", include_bytes!("../../../tests/coded/text.gz")),
    ("zstd", include_bytes!("../../../tests/coded/text.zst")),
];

fn head(status: u16, codings: &[&str]) -> Parts {
    let mut response = Response::builder().status(status).header("etag", "\"a\"");
    for coding in codings {
        response = response.header("content-encoding", *coding);
    }
    response.header("content-length", "5").body(()).unwrap().into_parts().0
}

fn decoder(coding: &str) -> Decoder {
    Decoder::of(&mut head(200, &[coding])).unwrap().unwrap()
}

/// What comes out of `bytes` in pieces of `size`, and whether it was whole.
fn decoded(coding: &str, bytes: &[u8], size: usize) -> Result<(Vec<u8>, bool), Garbled> {
    let (mut decoder, mut out) = (decoder(coding), Vec::new());
    for piece in bytes.chunks(size) {
        decoder.take(piece);
        while let Some(plain) = decoder.next()? {
            assert!(plain.len() <= STEP, "{}", plain.len());
            out.extend(plain);
        }
    }
    Ok((out, decoder.is_whole()))
}

#[test]
fn every_known_coding_is_read_however_it_is_cut() {
    for (coding, bytes) in CODED {
        for size in [5, 4096, bytes.len()] {
            let (out, whole) = decoded(coding, bytes, size).unwrap();
            assert!(out == TEXT && whole, "{coding} by {size}: {} of {}", out.len(), TEXT.len());
        }
    }
    // Several members, or frames, are one text.
    for (coding, bytes) in CODED.into_iter().filter(|(coding, _)| ["gzip", "zstd"].contains(coding))
    {
        for size in [61, bytes.len() * 2] {
            let twice = [bytes, bytes].concat();
            let (out, whole) = decoded(coding, &twice, size).unwrap();
            assert!(out == [TEXT, TEXT].concat() && whole, "{coding} twice by {size}");
        }
    }
}

#[test]
fn what_is_cut_short_is_not_whole_and_what_is_no_coding_is_garbled() {
    for (coding, bytes) in CODED {
        let cut = bytes.get(..bytes.len() - 3).unwrap();
        assert!(decoded(coding, cut, 512).is_ok_and(|(_, whole)| !whole), "{coding} cut short");
        assert!(decoded(coding, &[], 1).is_ok_and(|(out, whole)| out.is_empty() && whole));
        let trailing = [bytes, b"ghp_realValue0123456789"].concat();
        let read = decoded(coding, &trailing, 512);
        assert!(!read.is_ok_and(|(_, whole)| whole), "{coding} with something behind it");
    }
    for coding in ["br", "deflate", "gzip", "zstd"] {
        let read = decoded(coding, b"\xFF\xFFghp_realValue0123456789abcdefghijklmn", 512);
        assert!(!read.is_ok_and(|(_, whole)| whole), "{coding}");
    }
}

#[test]
fn a_bomb_is_cut_off_and_fills_no_memory() {
    let zeros = compress_to_vec(&vec![0; 1 << 20], 6);
    let member = [&b"\x1F\x8B\x08\0\0\0\0\0\0\0"[..], &zeros, &[0; 8]].concat();
    let gzip = member.repeat(40);
    // A frame with a window of 1 MiB, and blocks of four bytes that say 128 KiB each.
    let mut zstd = b"\x28\xB5\x2F\xFD\0\x50".to_vec();
    let block = (128 * 1024_u32) << 3 | 1 << 1;
    for _ in 0..400 {
        zstd.extend(block.to_le_bytes().get(..3).unwrap());
        zstd.push(0);
    }
    for (coding, bytes) in [("gzip", gzip), ("zstd", zstd)] {
        let (mut decoder, mut given) = (decoder(coding), 0);
        decoder.take(&bytes);
        let end = loop {
            match decoder.next() {
                Ok(Some(plain)) => given += plain.len() as u64,
                end => break end,
            }
        };
        assert_eq!(end, Err(Garbled), "{coding}");
        assert!(given <= FREE + bytes.len() as u64 * RATIO, "{coding} gave {given}");
    }
    // A window that nobody may ask for.
    assert!(decoded("zstd", b"\x28\xB5\x2F\xFD\0\xFF\x01\0\0", 9).is_err());
}

#[test]
fn a_head_names_one_known_coding_or_is_refused() {
    for (status, codings) in [
        (200, &["compress"][..]),
        (200, &["gzip, br"]),
        (200, &["gzip", "gzip"]),
        (200, &["aws-chunked"]),
        (206, &["gzip"]),
    ] {
        let refused = Decoder::of(&mut head(status, codings)).err().expect("it passed");
        assert_eq!(refused.code(), "unscannable", "{codings:?}");
    }
    for codings in [&[][..], &["identity"], &[""]] {
        let mut plain = head(200, codings);
        assert!(Decoder::of(&mut plain).unwrap().is_none());
        assert_eq!(plain.headers.get("etag").unwrap(), "\"a\"");
    }
    let mut coded = head(200, &["X-GZIP"]);
    assert!(Decoder::of(&mut coded).unwrap().is_some());
    assert_eq!(coded.headers.len(), 1, "{:?}", coded.headers);
    assert_eq!(coded.headers.get("etag").unwrap(), "W/\"a\"");
}
