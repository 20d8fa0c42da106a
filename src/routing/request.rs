//! A request, parsed and routed.

use shards::resp::parser::Range;
use shards::resp::request;

use crate::routing::call::Call;

/// Arguments that fit on the stack; longer requests take a list on the heap.
pub const ARGS_INLINE: usize = 8;

/// Where a request runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Wherever it is met: it needs no keyspace.
    Anywhere,
    /// At the client's home, which knows more about it.
    Home,
    /// On this shard: all its keys are there.
    Shard(u16),
    /// On several shards: it falls apart by its keys.
    Parts,
    /// On the shard of its cursor, and on those behind it for as long as its COUNT lasts.
    Scan,
}

/// A request, parsed and routed. Its arguments are ranges of the input it was parsed from.
#[derive(Clone, Copy, Debug)]
pub struct Parsed {
    /// The command, or none if there is no such command.
    pub call: Option<&'static Call>,
    /// Its first range.
    pub first: u32,
    /// How many arguments it has.
    pub count: u32,
    /// Where its bytes end in the input.
    pub end: u32,
    /// Where it runs.
    pub route: Route,
    /// The place of its first key, 0 if it has none, and the key's hash.
    pub first_key: (u32, u64),
}

/// The bytes of a request in its input.
#[inline]
pub fn as_it_came<'a>(input: &'a [u8], ranges: &[Range], parsed: &Parsed) -> &'a [u8] {
    request::as_it_came(input, &ranges[parsed.first as usize..][..parsed.count as usize])
}

/// The arguments of a request as slices of its input: on the stack if they are few.
#[inline(always)]
pub fn with_args<R>(
    input: &[u8],
    ranges: &[Range],
    parsed: &Parsed,
    run: impl FnOnce(&[&[u8]]) -> R,
) -> R {
    let (first, count) = (parsed.first as usize, parsed.count as usize);
    let ranges = &ranges[first..first + count];
    let slice = |range: &Range| {
        let start = range.start as usize;
        &input[start..start + range.len as usize]
    };
    if count <= ARGS_INLINE {
        let mut args: [&[u8]; ARGS_INLINE] = [&[]; ARGS_INLINE];
        for (arg, range) in args.iter_mut().zip(ranges) {
            *arg = slice(range);
        }
        run(&args[..count])
    } else {
        let args: Vec<&[u8]> = ranges.iter().map(slice).collect();
        run(&args)
    }
}
