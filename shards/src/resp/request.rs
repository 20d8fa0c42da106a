//! Requests as bytes.

use alloc::vec::Vec;

use crate::base::number::write_u64;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_a_client_would() {
        assert_eq!(encode(&["ECHO", ""]), b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n");
    }
}
