//! The journal: what the users sent and what they were told.
//!
//! It is the users' side of the books. `compare` holds it against the ledger after every run; `--journal FILE` keeps
//! it for whoever wants to do the same by hand.
//!
//! Format: text, one payment a line, fields separated by one tab.
//!
//! ```text
//! ropewalk-journal 1
//! KEY  FROM  TO  CENTS  STATUS
//! end 12345
//! ```
//!
//! STATUS is the HTTP status of the reply, or `-` when none came. The last line counts the payments: a journal
//! without it was cut off and is refused.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use crate::load::payments::Payment;

const HEADER: &str = "ropewalk-journal 1";

/// One payment in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The key under which the payment was sent.
    pub(crate) key: String,
    /// What was sent.
    pub(crate) payment: Payment,
    /// The status of the reply, if one came.
    pub(crate) status: Option<u16>,
}

/// Writes a journal.
///
/// # Errors
/// Any error of creating or writing `path`, with the path named.
pub(crate) fn write(path: &Path, entries: impl Iterator<Item = Entry>) -> io::Result<()> {
    write_to(path, entries).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot write the journal {}: {error}", path.display()))
    })
}

fn write_to(path: &Path, entries: impl Iterator<Item = Entry>) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 16, File::create(path)?);
    let mut count = 0_u64;
    writeln!(file, "{HEADER}")?;
    for Entry { key, payment: Payment { from, to, cents }, status } in entries {
        match status {
            Some(status) => writeln!(file, "{key}\t{from}\t{to}\t{cents}\t{status}")?,
            None => writeln!(file, "{key}\t{from}\t{to}\t{cents}\t-")?,
        }
        count += 1;
    }
    writeln!(file, "end {count}")?;
    file.flush()
}

/// Reads a journal.
///
/// # Errors
/// Any error of reading `path`, and `InvalidData` with path and line number for a journal that is malformed or cut
/// off.
pub(crate) fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("cannot read the journal {}: {error}", path.display()))
    };
    let malformed = |line: usize, what: &str| {
        io::Error::new(io::ErrorKind::InvalidData, format!("journal {}, line {line}: {what}", path.display()))
    };
    let mut entries = Vec::new();
    let mut ended = false;
    for (index, line) in BufReader::new(File::open(path).map_err(named)?).lines().enumerate() {
        let line = line.map_err(named)?;
        let number = index + 1;
        if number == 1 {
            if line != HEADER {
                return Err(malformed(number, "not a ropewalk journal"));
            }
        } else if ended {
            return Err(malformed(number, "text after the end"));
        } else if let Some(count) = line.strip_prefix("end ") {
            if count.parse() != Ok(entries.len()) {
                return Err(malformed(number, "the count of payments is wrong"));
            }
            ended = true;
        } else {
            entries.push(parse(&line).ok_or_else(|| malformed(number, "not a payment"))?);
        }
    }
    if ended { Ok(entries) } else { Err(malformed(entries.len() + 1, "cut off: no `end` line")) }
}

fn parse(line: &str) -> Option<Entry> {
    let mut fields = line.split('\t');
    let entry = Entry {
        key: fields.next()?.to_owned(),
        payment: Payment {
            from: fields.next()?.parse().ok()?,
            to: fields.next()?.parse().ok()?,
            cents: fields.next()?.parse().ok()?,
        },
        status: match fields.next()? {
            "-" => None,
            status => Some(status.parse().ok()?),
        },
    };
    fields.next().is_none().then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, status: Option<u16>) -> Entry {
        Entry { key: key.to_owned(), payment: Payment { from: 1, to: 2, cents: 250 }, status }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let entries = vec![entry("a-1", Some(200)), entry("a-2", None)];
        write(&path, entries.clone().into_iter()).unwrap();
        assert_eq!(read(&path).unwrap(), entries);
    }

    #[test]
    fn a_journal_that_is_damaged_is_refused_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        for (text, expected) in [
            ("", "cut off"),
            ("something else\n", "line 1: not a ropewalk journal"),
            ("ropewalk-journal 1\na\t1\t2\t3\t200\n", "cut off"),
            ("ropewalk-journal 1\na\t1\t2\n", "line 2: not a payment"),
            ("ropewalk-journal 1\na\t1\t2\t3\t200\t9\n", "line 2: not a payment"),
            ("ropewalk-journal 1\nend 1\n", "line 2: the count"),
            ("ropewalk-journal 1\nend 0\nend 0\n", "line 3: text after"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_error_names_the_file() {
        let error = read(Path::new("/nowhere/journal")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/journal"), "{error}");
    }
}
