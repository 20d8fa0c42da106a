//! The format of snapshots, and of DUMP: Redis's RDB up to version 11, and Valkey's 80. Bytes in,
//! values out, and back; no file is read or written here, and no key is touched.
//!
//! ```text
//! a file   header | aux fields | database | [expiry] [use] kind key value ... | end | checksum
//! a dump   kind value | version, u16 LE | checksum, u64 LE
//! ```
//! What is read is not trusted: every length is held against what is there before memory is asked
//! for, and what would break a value's own rules is refused with its place and a reason.

pub mod error;
pub mod kind;
mod lzf;
pub mod writer;
pub mod reader;
mod ziplist;
mod zipmap;
mod string;
mod listpacks;
mod list;
mod set;
mod hash;
mod sorted_set;
mod stream;
pub mod value;
pub mod dump;
pub mod file;
pub mod record;
