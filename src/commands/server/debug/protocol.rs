//! DEBUG PROTOCOL type

use shards::commands::server::debug_object::usage_error;
use shards::commands::spec::Spec;
use shards::resp::error::Error;
use shards::resp::reply::Protocol;

use crate::clients::ctx::ClientCtx;
use crate::commands::own::{Own, OwnRun};
use crate::commands::server::debug::EACH;

pub(super) const PROTOCOL: Own = Own {
    spec: Spec {
        name: "debug|protocol",
        summary: "Answers a value of this type, so that clients can be tested.",
        syntax: "type",
        ..EACH
    },
    run: OwnRun::Client(protocol),
};

/// More than fits into 64 bits.
const BIG: &[u8] = b"1234567999999999999999999999999999999";
const NO_PUSH: Error = Error::Text("ERR RESP2 is not supported by this command");
const UNKNOWN: Error = Error::Text(
    "ERR Wrong protocol type name. Please use one of the following: \
     string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
);

/// What Valkey answers to DEBUG PROTOCOL DOUBLE.
#[expect(clippy::approx_constant, reason = "not meant to be pi")]
const DOUBLE: f64 = 3.141;

fn protocol(ctx: &mut ClientCtx<'_>) -> Result<(), Error> {
    let [_, _, name] = ctx.args else { return Err(usage_error(ctx.args[1])) };
    let replies = &mut ctx.replies;
    let resp3 = replies.protocol == Protocol::Resp3;
    match name.to_ascii_lowercase().as_slice() {
        b"string" => replies.bulk(b"Hello World"),
        b"integer" => replies.integer(12345),
        b"double" => replies.double(DOUBLE),
        b"bignum" if resp3 => {
            replies.out.push(b'(');
            replies.out.extend_from_slice(BIG);
            replies.out.extend_from_slice(b"\r\n");
        }
        b"bignum" => replies.bulk(BIG),
        b"null" => replies.null(),
        b"array" => {
            replies.array(3);
            (0..3).for_each(|number| replies.integer(number));
        }
        b"set" => {
            replies.set(3);
            (0..3).for_each(|number| replies.integer(number));
        }
        b"map" => {
            replies.map(3);
            for number in 0..3 {
                replies.integer(number);
                replies.boolean(number == 1);
            }
        }
        b"attrib" => {
            if resp3 {
                replies.out.extend_from_slice(b"|1\r\n");
                replies.bulk(b"key-popularity");
                replies.array(2);
                replies.bulk(b"key:123");
                replies.integer(90);
            }
            replies.bulk(b"Some real reply following the attribute");
        }
        b"push" if !resp3 => return Err(NO_PUSH),
        b"push" => {
            // The push comes behind the reply, as it would from another client's command.
            replies.bulk(b"Some real reply following the push reply");
            replies.push(2);
            replies.bulk(b"server-cpu-usage");
            replies.integer(42);
        }
        b"verbatim" => replies.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => replies.boolean(true),
        b"false" => replies.boolean(false),
        _ => return Err(UNKNOWN),
    }
    Ok(())
}
