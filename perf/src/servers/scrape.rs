//! Reads a server's metrics each second, as Prometheus would.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(1);
/// As long as Prometheus waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Scrapes until it is dropped.
#[derive(Debug)]
pub struct Scraper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    ends: AtomicBool,
    pages: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
}

impl Scraper {
    /// Begins to read `/metrics` at `port`.
    pub fn start(port: u16) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            while !theirs.ends.load(Ordering::Relaxed) {
                match scrape(port) {
                    Ok(page) => {
                        theirs.pages.fetch_add(1, Ordering::Relaxed);
                        theirs.bytes.store(page.len() as u64, Ordering::Relaxed);
                    }
                    Err(_) => {
                        theirs.failures.fetch_add(1, Ordering::Relaxed);
                    }
                }
                thread::park_timeout(INTERVAL);
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// Pages that were read, the last one's bytes, and tries that failed.
    pub fn figures(&self) -> (u64, u64, u64) {
        let Shared { pages, bytes, failures, .. } = &*self.shared;
        let load = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        (load(pages), load(bytes), load(failures))
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// The page, without what stands before it.
fn scrape(port: u16) -> Result<String, String> {
    let page = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = page().map_err(|error| error.to_string())?;
    match answer.split_once("\r\n\r\n") {
        Some((head, page)) if head.starts_with("HTTP/1.1 200 ") => Ok(page.to_owned()),
        _ => Err("no page".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_page_is_read_and_an_error_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = |head: &str| {
            let (mut stream, _) = listener.accept().unwrap();
            // All of it: closing over unread input would take the answer back.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            stream.write_all(format!("HTTP/1.1 {head}\r\n\r\na 1\n").as_bytes()).unwrap();
        };
        thread::scope(|scope| {
            scope.spawn(|| answer("200 OK"));
            assert_eq!(scrape(port).as_deref(), Ok("a 1\n"));
            scope.spawn(|| answer("503 Service Unavailable"));
            assert!(scrape(port).is_err());
        });
    }
}
