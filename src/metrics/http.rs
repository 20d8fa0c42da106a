//! As much of HTTP/1.1 as a scrape needs: one request, one answer, end of the connection.
//!
//! ```text
//! GET /metrics HTTP/1.1 CRLF  (name: value CRLF)...  CRLF
//! ```
//! No socket is touched here. Request bodies, compression and further requests on the same
//! connection are not understood; no client that reads metrics needs them.

/// Bytes of a request, at most: beyond that it is refused.
pub const REQUEST_BYTES_MAX: usize = 8 << 10;

const TEXT: &str = "text/plain; charset=utf-8";
/// The version is that of Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What there is to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// All figures.
    Metrics,
    /// Whether the process is alive.
    Health,
    /// Whether it serves clients.
    Readiness,
}

/// A request that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it asks for.
    pub resource: Resource,
    /// What of the answer it wants.
    pub wants: Wants,
}

/// What of an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// All of it (GET).
    All,
    /// What stands before the body (HEAD).
    Head,
}

/// What has come in so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The beginning of a request.
    Part,
    /// A request.
    Whole(Request),
    /// Something that is answered so, whatever follows.
    Refused(Vec<u8>),
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 200
    Ok,
    /// 400
    BadRequest,
    /// 404
    NotFound,
    /// 405
    NotAllowed,
    /// 431
    TooLarge,
    /// 503
    Unavailable,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::NotAllowed => "405 Method Not Allowed\r\nAllow: GET, HEAD",
            Self::TooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

/// Understands what has come in so far.
pub fn hear(received: &[u8]) -> Heard {
    let Some(head) = head(received) else {
        if received.len() < REQUEST_BYTES_MAX {
            return Heard::Part;
        }
        return refused(Status::TooLarge, "The request is too long.\n");
    };
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let [method, target, version] = words[..] else {
        return refused(Status::BadRequest, "This is no request.\n");
    };
    if !version.starts_with(b"HTTP/1.") {
        return refused(Status::BadRequest, "Only HTTP/1.0 and HTTP/1.1 are spoken here.\n");
    }
    let wants = match method {
        b"GET" => Wants::All,
        b"HEAD" => Wants::Head,
        _ => return refused(Status::NotAllowed, "There is nothing to do here but GET.\n"),
    };
    let resource = match target.split(|&byte| byte == b'?').next().unwrap_or_default() {
        b"/metrics" => Resource::Metrics,
        b"/healthz" => Resource::Health,
        b"/readyz" => Resource::Readiness,
        _ => return refused(Status::NotFound, "There are /metrics, /healthz and /readyz.\n"),
    };
    Heard::Whole(Request { resource, wants })
}

/// The answer to a request, with this body.
pub fn answer(request: Request, status: Status, body: &str) -> Vec<u8> {
    let kind = match (request.resource, status) {
        (Resource::Metrics, Status::Ok) => METRICS,
        (Resource::Metrics | Resource::Health | Resource::Readiness, _) => TEXT,
    };
    let mut answer = before_body(status, kind, body.len());
    if request.wants == Wants::All {
        answer.extend_from_slice(body.as_bytes());
    }
    answer
}

fn refused(status: Status, why: &str) -> Heard {
    let mut answer = before_body(status, TEXT, why.len());
    answer.extend_from_slice(why.as_bytes());
    Heard::Refused(answer)
}

fn before_body(status: Status, kind: &str, length: usize) -> Vec<u8> {
    let status = status.line();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    )
    .into_bytes()
}

/// What stands before the first empty line, if that is here.
fn head(received: &[u8]) -> Option<&[u8]> {
    let is_end = |at: &usize| {
        let rest = &received[*at..];
        rest.starts_with(b"\n\n") || rest.starts_with(b"\n\r\n")
    };
    let end = (0..received.len()).find(is_end)?;
    Some(&received[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(request: &str, expected: Result<(Resource, Wants), &str>) {
        match (hear(request.as_bytes()), expected) {
            (Heard::Whole(heard), Ok((resource, wants))) => {
                assert_eq!(heard, Request { resource, wants });
            }
            (Heard::Refused(answer), Err(status)) => {
                let answer = String::from_utf8(answer).unwrap();
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            }
            (heard, expected) => panic!("{request:?}: {heard:?}, not {expected:?}"),
        }
    }

    #[test]
    fn requests_are_understood_or_refused() {
        check("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", Ok((Resource::Metrics, Wants::All)));
        check("GET /metrics?name=x HTTP/1.1\r\n\r\n", Ok((Resource::Metrics, Wants::All)));
        check("HEAD /healthz HTTP/1.0\n\n", Ok((Resource::Health, Wants::Head)));
        check("GET /readyz HTTP/1.1\r\n\r\nmore", Ok((Resource::Readiness, Wants::All)));
        check("GET / HTTP/1.1\r\n\r\n", Err("404"));
        check("POST /metrics HTTP/1.1\r\n\r\n", Err("405"));
        check("GET /metrics HTTP/2\r\n\r\n", Err("400"));
        check("PING\r\n\r\n", Err("400"));
        check("\r\n\r\n", Err("400"));
        check(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(REQUEST_BYTES_MAX)), Err("431"));
    }

    #[test]
    fn a_part_of_a_request_is_waited_on() {
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        for length in 0..request.len() {
            assert_eq!(hear(&request[..length]), Heard::Part, "{length}");
        }
        assert!(matches!(hear(request), Heard::Whole(_)));
    }

    #[test]
    fn answers_say_how_long_they_are() {
        let request = |wants| Request { resource: Resource::Metrics, wants };
        let all = answer(request(Wants::All), Status::Ok, "a 1\n");
        let head = answer(request(Wants::Head), Status::Ok, "a 1\n");
        assert_eq!([&head[..], b"a 1\n"].concat(), all);
        let text = String::from_utf8(head).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\n"));
        assert!(text.contains("Content-Length: 4\r\n") && text.contains("version=0.0.4"));
    }
}
