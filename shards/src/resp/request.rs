//! Requests as bytes.

use alloc::vec::Vec;

use crate::base::number::write_u64;
use crate::resp::parser::Range;

/// A request as a client that speaks RESP would send it.
pub fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, args);
    out
}

/// Appends a request as a client that speaks RESP would send it: an array of bulk strings.
pub fn write<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    let bytes: usize = args.iter().map(|arg| arg.as_ref().len() + 16).sum();
    out.reserve(bytes + 16);
    out.push(b'*');
    write_u64(out, args.len() as u64);
    out.extend_from_slice(b"\r\n");
    for arg in args.iter().map(AsRef::as_ref) {
        out.push(b'$');
        write_u64(out, arg.len() as u64);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// The bytes of a request as they came, whose arguments the parser found at `ranges`. They are what
/// [`write`] makes of the arguments: the parser takes a number in one form only.
#[inline]
pub fn as_it_came<'a>(input: &'a [u8], ranges: &[Range]) -> &'a [u8] {
    let ([first, ..], [.., last]) = (ranges, ranges) else { return &[] };
    let head = line_bytes(ranges.len()) + line_bytes(first.len as usize);
    &input[first.start as usize - head..last.start as usize + last.len as usize + 2]
}

/// Bytes of a line that says how many follow: a mark, the number, the line's end.
#[inline]
fn line_bytes(number: usize) -> usize {
    let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
    digits + 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::parser::{Limits, Parser, Step};

    #[test]
    fn encodes_as_a_client_would() {
        assert_eq!(encode(&["ECHO", ""]), b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n");
    }

    #[test]
    fn a_request_is_found_as_it_came() {
        let (long, wide) = ("x".repeat(1000), ["a"; 12]);
        let requests = [
            encode(&["PING"]),
            encode(&[""]),
            encode(&["ECHO", ""]),
            encode(&["SET", "key", &long]),
            encode(&[&long, "", "b"]),
            encode(&wide),
        ];
        let limits = Limits { bulk_bytes_max: 1 << 20, authenticated: true };
        let input = requests.concat();
        let (mut ranges, mut at) = (Vec::new(), 0);
        for request in &requests {
            ranges.clear();
            let step = Parser::default().step(&input[at..], &mut ranges, &limits);
            assert_eq!(step, Ok(Step::Request { consumed: request.len() }));
            for range in &mut ranges {
                range.start += u32::try_from(at).expect("it is short");
            }
            assert_eq!(as_it_came(&input, &ranges), request);
            at += request.len();
        }
        assert!(as_it_came(b"*0\r\n", &[]).is_empty());
    }
}
