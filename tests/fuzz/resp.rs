//! Whatever a client sends, and however it is cut into pieces, it comes to the same requests.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shards::resp::error::ProtocolError;
use shards::resp::inline;
use shards::resp::parser::{Limits, Parser, Range, Step};

/// What a connection came to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    requests: Vec<Vec<Vec<u8>>>,
    consumed: usize,
    error: Option<ProtocolError>,
}

// The first byte picks the client, the next three where the input is cut.
fuzz_target!(|data: &[u8]| {
    let [kind, cut, high, low, input @ ..] = data else { return };
    let limits = Limits { bulk_bytes_max: 1 << 20, authenticated: kind % 2 == 0 };
    let whole = run(input, [input.len()], &limits);
    let end = input.len().max(1);
    let first = usize::from(*cut) % end;
    let second = usize::from(*high) << 8 | usize::from(*low);
    let mut cuts = [first, second % end, input.len()];
    cuts.sort_unstable();
    assert_eq!(whole, run(input, cuts, &limits), "cut at {cuts:?}");
    if kind % 4 < 2 && input.len() < 512 {
        assert_eq!(whole, run(input, 0..=input.len(), &limits), "byte by byte");
    }
    for request in &whole.requests {
        check_round_trip(request);
    }
});

fn run(input: &[u8], ends: impl IntoIterator<Item = usize>, limits: &Limits) -> Outcome {
    let mut outcome = Outcome { requests: Vec::new(), consumed: 0, error: None };
    let mut parser = Parser::default();
    let mut ranges = Vec::new();
    for end in ends {
        loop {
            let rest = &input[outcome.consumed..end];
            ranges.clear();
            let consumed = match parser.step(rest, &mut ranges, limits) {
                Ok(Step::More { at_least }) => {
                    assert!(rest.len() < at_least);
                    assert!(ranges.is_empty());
                    break;
                }
                Ok(Step::Request { consumed }) => {
                    outcome.requests.push(arguments(rest, &ranges));
                    consumed
                }
                Ok(Step::Inline { consumed, request }) => {
                    let mut ranges = Vec::new();
                    let limits = Limits { bulk_bytes_max: 1 << 20, authenticated: true };
                    let step = Parser::default().step(&request, &mut ranges, &limits);
                    assert_eq!(step, Ok(Step::Request { consumed: request.len() }));
                    outcome.requests.push(arguments(&request, &ranges));
                    consumed
                }
                Ok(Step::Nothing { consumed }) => consumed,
                Err(error) => {
                    outcome.error = Some(error);
                    return outcome;
                }
            };
            assert!(0 < consumed);
            outcome.consumed += consumed;
        }
    }
    outcome
}

fn arguments(input: &[u8], ranges: &[Range]) -> Vec<Vec<u8>> {
    ranges.iter().map(|range| range.of(input).to_vec()).collect()
}

fn check_round_trip(request: &[Vec<u8>]) {
    let limits = Limits { bulk_bytes_max: 1 << 20, authenticated: true };
    let outcome = run(&inline::encode(request), [inline::encode(request).len()], &limits);
    assert_eq!(outcome.requests, [request.to_vec()]);
}
