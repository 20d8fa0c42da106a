//! How fast requests are found in what a client sent.

use std::hint::black_box;

use shards::resp::parser::{Limits, Parser, Range, Step};

use crate::key;
use crate::runner::Runner;

/// Requests in each input.
const PIPELINE: u64 = 16;

/// Limits of a client that has said who it is.
pub const LIMITS: Limits = Limits { bulk_bytes_max: 512 << 20, authenticated: true };

/// Measures pipelines of several kinds of request; one operation is one request.
pub fn run(runner: &mut Runner) {
    let value = [b'v'; 64];
    let many: Vec<[u8; 16]> = (0..100).map(key).collect();
    let get = |number| request(&[b"GET", &key(number)]);
    let set = |number| request(&[b"SET", &key(number), &value]);
    let mget = |_| {
        let mut args: Vec<&[u8]> = vec![b"MGET"];
        args.extend(many.iter().map(<[u8; 16]>::as_slice));
        request(&args)
    };
    let inline = |number| [b"GET ".as_slice(), &key(number), b"\r\n"].concat();
    measure(runner, "parser: GET of 16 bytes", get);
    measure(runner, "parser: SET of 16 and 64 bytes", set);
    measure(runner, "parser: MGET of 100 keys", mget);
    measure(runner, "parser: inline GET", inline);
}

fn measure(runner: &mut Runner, name: &str, make: impl Fn(u64) -> Vec<u8>) {
    let input: Vec<u8> = (0..PIPELINE).flat_map(make).collect();
    let (mut parser, mut ranges) = (Parser::default(), Vec::new());
    runner.measure(name, PIPELINE, || {
        let found = parse(&mut parser, black_box(&input), &mut ranges);
        assert_eq!(black_box(found), PIPELINE, "every request is found");
    });
}

/// Parses all of `input`: how many requests there were.
fn parse(parser: &mut Parser, mut input: &[u8], ranges: &mut Vec<Range>) -> u64 {
    let mut found = 0;
    while !input.is_empty() {
        ranges.clear();
        let step = parser.step(input, ranges, &LIMITS).expect("the input is well formed");
        let consumed = match step {
            Step::Request { consumed } | Step::Inline { consumed, .. } => consumed,
            Step::Nothing { .. } | Step::More { .. } => break,
        };
        found += 1;
        input = &input[consumed..];
    }
    found
}

/// A request in the wire format.
pub fn request(args: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}
