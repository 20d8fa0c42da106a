//! Sorted sets read by name. Valkey says what that means only where all scores are equal; elsewhere
//! what it finds hangs on the heights its skiplist drew. So these have keys of their own, and
//! nothing here is made wrong.

use super::{Family, Line, Role, exact, steady};

pub const LEXICAL: Family = Family { role: Role::Values, lines: LINES };

const LINES: &[Line] = &[
    steady(exact("ZADD lex-key (0 member)...")),
    steady(exact("ZADD lex-key (0 member)... (0 member)... (0 member)...")),
    steady(exact("ZLEXCOUNT lex-key lex-bound lex-bound")),
    steady(exact("ZRANGE lex-key lex-bound lex-bound {BYLEX [REV] [LIMIT count index]}")),
    steady(exact("ZRANGE lex-key lex-bound lex-bound {BYLEX [REV] [WITHSCORES]}")),
    steady(exact("ZRANGEBYLEX lex-key lex-bound lex-bound [LIMIT count index]")),
    steady(exact(
        "ZRANGESTORE lex-key lex-key lex-bound lex-bound {BYLEX [REV] [LIMIT count index]}",
    )),
    steady(exact("ZREM lex-key member...")),
    steady(exact("ZREMRANGEBYLEX lex-key lex-bound lex-bound")),
    steady(exact("ZREVRANGEBYLEX lex-key lex-bound lex-bound [LIMIT count index]")),
    steady(exact("ZUNIONSTORE lex-key #lex-key")),
    steady(exact("SET lex-key value")),
    steady(exact("DEL lex-key")),
    steady(exact("ZREVRANGEBYLEX lex-key lex-bound")),
    steady(exact("ZRANGEBYLEX lex-key lex-bound lex-bound LIMIT index")),
];
