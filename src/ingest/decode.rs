//! Decodes an input while it is read: gzip and zstd, recognized by their first bytes, and UTF-16 with a byte-order mark.
//! Everything is streamed, so a small file that unpacks to a huge one needs no more memory than any other.

use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};

use flate2::read::MultiGzDecoder;

use crate::{Error, Result};

/// Maximum number of times that an input may be compressed.
const MOST_LAYERS: usize = 3;

const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const UTF8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
const UTF16_LE_MARK: &[u8] = &[0xff, 0xfe];
const UTF16_BE_MARK: &[u8] = &[0xfe, 0xff];
const UTF32_LE_MARK: &[u8] = &[0xff, 0xfe, 0, 0];

/// First bytes of a ZIP archive: those of a file entry, or those of the end record of an empty archive.
pub(super) const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// A byte that never occurs in UTF-8. It replaces invalid UTF-16, so that only the affected row is rejected.
const NOT_UTF8: u8 = 0xff;

/// Returns the text of an input as UTF-8 without a byte-order mark, unpacked if it is compressed.
///
/// # Errors
/// `Io` if the input cannot be read. `Invalid` for a ZIP archive, for UTF-32, and for an input that is compressed more than
/// three times. The returned reader fails if compressed data is corrupt or cut off.
pub(super) fn plain<'a>(name: &str, input: impl Read + Send + 'a) -> Result<Box<dyn Read + Send + 'a>> {
    let mut input: Box<dyn Read + Send + 'a> = Box::new(input);
    for _ in 0..=MOST_LAYERS {
        let head = peek(&mut input).map_err(|error| Error::io(name, error))?;
        let begins = |mark: &[u8]| head.starts_with(mark);
        let (is_gzip, is_zstd) = (begins(GZIP), begins(ZSTD));
        if ZIP.into_iter().any(begins) {
            return Err(Error::invalid(
                name,
                "is a ZIP archive; unpack it first, or list its files with viraldb::ingest::inputs and ingest each one",
            ));
        }
        if begins(UTF32_LE_MARK) {
            return Err(Error::invalid(name, "is UTF-32; save it as UTF-8 or UTF-16"));
        }
        let mark = [UTF8_MARK, UTF16_LE_MARK, UTF16_BE_MARK].into_iter().find(|mark| begins(mark));
        let rest = head.get(mark.map_or(0, <[u8]>::len)..).unwrap_or_default().to_vec();
        let whole = Cursor::new(rest).chain(input);
        input = if is_gzip {
            Box::new(Unpacked { kind: "gzip", inner: MultiGzDecoder::new(Packed(whole)) })
        } else if is_zstd {
            let inner = zstd::Decoder::new(Packed(whole)).map_err(|error| Error::io(name, error))?;
            Box::new(Unpacked { kind: "zstd", inner })
        } else if let Some(mark @ (UTF16_LE_MARK | UTF16_BE_MARK)) = mark {
            return Ok(Box::new(Utf16::new(whole, mark == UTF16_BE_MARK)));
        } else {
            return Ok(Box::new(whole));
        };
    }
    Err(Error::invalid(name, format!("is compressed more than {MOST_LAYERS} times")))
}

/// Reads the first bytes, which identify the encoding of an input.
fn peek(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(4);
    input.take(4).read_to_end(&mut head)?;
    Ok(head)
}

/// Marks read errors of the compressed input, so that a failing disk is not mistaken for corrupt data.
struct Packed<R>(R);

/// A read error of the compressed input.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct PackedError(#[source] io::Error);

impl<R: Read> Read for Packed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out).map_err(|error| match error.kind() {
            ErrorKind::Interrupted => error, // the caller tries again
            kind => io::Error::new(kind, PackedError(error)),
        })
    }
}

/// Translates errors of a decoder to what they mean for the file.
struct Unpacked<R> {
    kind: &'static str,
    inner: R,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let kind = self.kind;
        self.inner.read(out).map_err(|error| {
            if error.kind() == ErrorKind::Interrupted {
                return error;
            }
            match error.downcast::<PackedError>() {
                Ok(PackedError(error)) => error,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => cut_off(kind),
                Err(error) => io::Error::new(
                    ErrorKind::InvalidData,
                    format!("the {kind} data is corrupt ({error}); get a new copy of the file"),
                ),
            }
        })
    }
}

/// Returns the error for compressed data that ends too early.
pub(super) fn cut_off(kind: &str) -> io::Error {
    let said = format!("the {kind} data is cut off: the file is incomplete; get a complete copy");
    io::Error::new(ErrorKind::UnexpectedEof, said)
}

/// Converts UTF-16 to UTF-8.
struct Utf16<R> {
    input: BufReader<R>,
    is_big_endian: bool,
    /// The first byte of a code unit whose second byte has not been read yet.
    odd: Option<u8>,
    /// The first half of a surrogate pair whose second half has not been read yet.
    high: Option<u16>,
    /// Decoded text. The part from `at` on has not been returned yet.
    text: Vec<u8>,
    at: usize,
    is_at_end: bool,
}

impl<R: Read> Utf16<R> {
    fn new(input: R, is_big_endian: bool) -> Self {
        Self {
            input: BufReader::new(input),
            is_big_endian,
            odd: None,
            high: None,
            text: Vec::new(),
            at: 0,
            is_at_end: false,
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        self.text.clear();
        self.at = 0;
        let bytes = self.input.fill_buf()?.to_vec();
        self.input.consume(bytes.len());
        if bytes.is_empty() {
            self.is_at_end = true;
            if self.odd.take().is_some() || self.high.take().is_some() {
                self.text.push(NOT_UTF8);
            }
        }
        for byte in bytes {
            match self.odd.take() {
                None => self.odd = Some(byte),
                Some(first) if self.is_big_endian => self.add(u16::from_be_bytes([first, byte])),
                Some(first) => self.add(u16::from_le_bytes([first, byte])),
            }
        }
        Ok(())
    }

    /// Decodes one code unit.
    fn add(&mut self, unit: u16) {
        let high = self.high.take();
        if matches!(unit, 0xd800..=0xdbff) {
            if high.is_some() {
                self.text.push(NOT_UTF8);
            }
            self.high = Some(unit);
            return;
        }
        for decoded in char::decode_utf16(high.into_iter().chain([unit])) {
            match decoded {
                Ok(character) => {
                    self.text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Err(_) => self.text.push(NOT_UTF8),
            }
        }
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() && !self.is_at_end {
            self.read_more()?;
        }
        let mut rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.read(out)?;
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn unpack(bytes: &[u8]) -> String {
        // Return one byte per read, like the worst possible pipe.
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                let length = out.len().min(1);
                self.0.read(&mut out[..length])
            }
        }
        let mut text = Vec::new();
        match plain("in", Slow(bytes)) {
            Err(error) => error.to_string(),
            Ok(mut read) => match read.read_to_end(&mut text) {
                Ok(_) => String::from_utf8_lossy(&text).into_owned(),
                Err(error) => format!("{} and then: {error}", text.len()),
            },
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn every_encoding_decodes_to_the_same_text() {
        let text = "id,title\n1,ß 🎬 日本\n";
        let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
        let members = [gzip(b"id,title\n"), gzip("1,ß 🎬 日本\n".as_bytes())].concat();
        for packed in [
            text.as_bytes().to_vec(),
            format!("\u{feff}{text}").into_bytes(),
            gzip(text.as_bytes()),
            members,
            gzip(&gzip(&zstd)),
            zstd,
            utf16(text, u16::to_le_bytes),
            utf16(text, u16::to_be_bytes),
            gzip(&utf16(text, u16::to_le_bytes)),
        ] {
            assert_eq!(unpack(&packed), text);
        }
        assert_eq!(unpack(b""), "");
        assert_eq!(unpack(b"a"), "a");
    }

    #[test]
    fn bad_data_is_reported_as_cut_off_or_corrupt() {
        let noise: Vec<u8> =
            (0..50_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
        zstd.include_checksum(true).unwrap();
        zstd.write_all(&noise).unwrap();
        for (kind, packed) in [("gzip", gzip(&noise)), ("zstd", zstd.finish().unwrap())] {
            let said = unpack(&packed[..packed.len() / 2]);
            assert!(said.contains(&format!("the {kind} data is cut off")), "{kind}: {} bytes", said.len());
            let mut corrupt = packed.clone();
            let middle = corrupt.len() / 2;
            corrupt[middle..middle + 64].fill(0xff);
            let said = unpack(&corrupt);
            assert!(said.contains(&format!("the {kind} data is corrupt")), "{kind}: {} bytes", said.len());
        }
        let deep = (0..5).fold(b"x".to_vec(), |packed, _| gzip(&packed));
        assert_eq!(unpack(&deep), "in is compressed more than 3 times");
        assert!(unpack(b"PK\x03\x04...").starts_with("in is a ZIP archive"));
        assert!(unpack(&[0xff, 0xfe, 0, 0, b'a', 0, 0, 0]).contains("UTF-32"));
    }

    #[test]
    fn unpaired_surrogates_become_invalid_utf8() {
        let read = |units: &[u16], odd: &[u8]| {
            let mut bytes: Vec<u8> =
                [&[0xfeff], units].concat().iter().flat_map(|u| u.to_le_bytes()).collect();
            bytes.extend(odd);
            let mut text = Vec::new();
            plain("in", &*bytes).unwrap().read_to_end(&mut text).unwrap();
            text
        };
        assert_eq!(read(&[0xd83c, 0x41], &[]), b"\xffA");
        assert_eq!(
            read(&[0xd83c, 0xd83c, 0xdfac], &[]),
            "\u{1f3ac}".as_bytes().iter().fold(vec![0xff], |mut all, b| {
                all.push(*b);
                all
            })
        );
        assert_eq!(read(&[0xdfac, 0x41], &[]), b"\xffA");
        assert_eq!(read(&[0x41, 0xd83c], &[]), b"A\xff");
        assert_eq!(read(&[0x41], &[0x42]), b"A\xff");
    }

    #[test]
    fn input_errors_are_passed_through_unchanged() {
        struct Dead;
        impl Read for Dead {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("unplugged"))
            }
        }
        let noise: Vec<u8> =
            (0..5_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let packed = gzip(&noise);
        let mut read = plain("in", packed[..packed.len() / 2].chain(Dead)).unwrap();
        assert_eq!(read.read_to_end(&mut Vec::new()).unwrap_err().to_string(), "unplugged");
    }
}
