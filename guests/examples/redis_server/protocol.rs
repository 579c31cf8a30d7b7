//! What goes over the connection (<https://redis.io/docs/latest/develop/reference/protocol-spec/>, version 2).

use std::io::Write;

/// How long a string may be, and how many a command may have, as in Redis.
const LONGEST: usize = 512 << 20;
const MOST: usize = 1 << 20;
/// How long a command may be that comes as a line of text.
const LONGEST_LINE: usize = 64 << 10;
/// The strings of the first command in `input`, and how long it is; `None` while it is not all there.
pub fn parse<'a>(input: &'a [u8], strings: &mut Vec<&'a [u8]>) -> Result<Option<usize>, &'static str> {
    strings.clear();
    let Some(line) = line(input) else {
        return if input.len() > LONGEST_LINE { Err("too big inline request") } else { Ok(None) };
    };
    let mut at = line.len() + 2;
    let Some(count) = line.strip_prefix(b"*") else {
        strings.extend(line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()));
        return Ok(Some(at));
    };
    let count = number(count).filter(|count| *count <= MOST).ok_or("invalid multibulk length")?;
    for _ in 0..count {
        let Some(line) = self::line(&input[at..]) else { return Ok(None) };
        let length = line.strip_prefix(b"$").ok_or("expected '$'")?;
        let length = number(length).filter(|length| *length <= LONGEST).ok_or("invalid bulk length")?;
        at += line.len() + 2;
        let Some(string) = input.get(at..at + length + 2) else { return Ok(None) };
        strings.push(&string[..length]);
        at += length + 2;
    }
    Ok(Some(at))
}

/// What stands before the first end of a line.
fn line(input: &[u8]) -> Option<&[u8]> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    input[..end].strip_suffix(b"\r")
}

/// A number in decimal digits.
pub fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Appends a number.
pub fn write_integer(out: &mut Vec<u8>, number: impl std::fmt::Display) {
    write!(out, ":{number}\r\n").expect("a vector takes everything");
}

/// Appends the beginning of an array of so many.
pub fn write_array(out: &mut Vec<u8>, length: usize) {
    write!(out, "*{length}\r\n").expect("a vector takes everything");
}

/// Appends a string, or that there is none.
pub fn write_string(out: &mut Vec<u8>, string: Option<&[u8]>) {
    let Some(string) = string else { return out.extend_from_slice(b"$-1\r\n") };
    write!(out, "${}\r\n", string.len()).expect("a vector takes everything");
    out.extend_from_slice(string);
    out.extend_from_slice(b"\r\n");
}
