//! Reads numbers and texts of a frame, one behind the other.

use std::net::IpAddr;

/// Bytes that an address has in a frame, with at least one zero behind it.
const ADDRESS_LEN: usize = 46;

/// What of a frame is not read yet. Each function says `None` if there is less than it needs.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn array<const LEN: usize>(&mut self) -> Option<[u8; LEN]> {
        self.bytes(LEN)?.try_into().ok()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// An address; the inner `None` if it is empty, or no address. Names are none: to look one up
    /// could take longer than peers wait.
    pub(super) fn address(&mut self) -> Option<Option<IpAddr>> {
        let field = self.bytes(ADDRESS_LEN)?;
        Some(text(field).and_then(|text| text.parse().ok()))
    }

    pub(super) fn skip(&mut self, len: usize) {
        self.0 = self.0.get(len..).unwrap_or_default();
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends an address as frames carry it.
pub(super) fn write_address(address: Option<IpAddr>, out: &mut Vec<u8>) {
    let end = out.len() + ADDRESS_LEN;
    if let Some(address) = address {
        out.extend_from_slice(address.to_string().as_bytes());
    }
    out.resize(end, 0);
}

/// What stands in front of the first zero; `None` if it is no text.
pub(super) fn text(field: &[u8]) -> Option<&str> {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    std::str::from_utf8(&field[..end]).ok()
}
