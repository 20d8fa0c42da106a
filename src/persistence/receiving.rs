//! A snapshot that comes in pieces from elsewhere is read by a thread of its own, so that the
//! relay, which receives it, waits for nothing.
//!
//! ```text
//! receiver --pieces, unbounded: it looks at `backlog`--> thread: the loader of files
//!          <--chunks of keys, few at a time------------- (rings whenever it has taken or made one)
//! ```
//! The thread ends by itself when the receiver is dropped, at whatever byte.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::thread::Builder;

use shards::rdb::reader::Source;

use crate::persistence::loader::{Chunk, Loader, Rules, Step};
use crate::reactor::wake::Wake;

/// Chunks that are made and not taken, at most.
const CHUNKS_MAX: usize = 16;

/// A snapshot that is being received.
#[derive(Debug)]
pub struct Receiving {
    /// `None` when all pieces were given.
    pieces: Option<Sender<Vec<u8>>>,
    given: u64,
    taken: Arc<AtomicU64>,
    made: Receiver<Made>,
    news: Wake,
}

/// What the thread has made.
#[derive(Debug)]
pub enum Made {
    /// Keys for a shard.
    Chunk(usize, Chunk),
    /// The last: all was read, and is right.
    End(End),
    /// The last: what is wrong with the snapshot, in a sentence.
    Failed(String),
}

/// What a snapshot has besides keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Libraries of functions.
    pub functions: Vec<Vec<u8>>,
    /// The database that is selected in the stream behind it.
    pub stream_db: u16,
    /// Its place in each log of its history, with commas between them, if that is no place of a
    /// stream.
    pub vector: Option<String>,
    /// Keys that it has.
    pub keys: u64,
}

impl Receiving {
    /// Begins to read what the log calls `name`. `owner` knows the shard of a key.
    ///
    /// # Errors
    /// The system's, if it has no room for a thread.
    pub fn begin(
        name: String,
        rules: Rules,
        owner: impl Fn(&[u8]) -> usize + Send + 'static,
    ) -> io::Result<Self> {
        let (pieces, coming) = channel();
        let (making, made) = sync_channel(CHUNKS_MAX);
        let news = Wake::new()?;
        let taken = Arc::new(AtomicU64::new(0));
        let pieces_source =
            Pieces { piece: Vec::new(), coming, taken: Arc::clone(&taken), news: news.clone() };
        let rings = news.clone();
        let work = move || {
            let last = match read(name, pieces_source, rules, owner, &making, &rings) {
                Some(last) => last,
                // The receiver is gone.
                None => return,
            };
            // If the receiver is gone, no thread wants to know.
            let _ = making.send(last);
            rings.ring();
        };
        Builder::new().name("receive".to_owned()).spawn(work)?;
        Ok(Self { pieces: Some(pieces), given: 0, taken, made, news })
    }

    /// Gives the next piece.
    pub fn give(&mut self, piece: Vec<u8>) {
        self.given += piece.len() as u64;
        if let Some(pieces) = &self.pieces {
            // A thread that has ended has said why.
            let _ = pieces.send(piece);
        }
    }

    /// Says that all pieces were given.
    pub fn end(&mut self) {
        self.pieces = None;
    }

    /// Bytes that were given and not read.
    pub fn backlog(&self) -> u64 {
        self.given.saturating_sub(self.taken.load(Ordering::Relaxed))
    }

    /// What the thread has made; `None` if there is nothing new. Not asked again behind the last.
    pub fn take(&mut self) -> Option<Made> {
        match self.made.try_recv() {
            Ok(made) => Some(made),
            Err(TryRecvError::Empty) => None,
            // It said nothing: the thread came to grief.
            Err(TryRecvError::Disconnected) => Some(Made::Failed("Its reader is gone".to_owned())),
        }
    }

    /// What is rung when there is news.
    pub fn news(&self) -> &Wake {
        &self.news
    }
}

/// Reads all of it. `None` if the receiver is gone.
fn read(
    name: String,
    pieces: Pieces,
    rules: Rules,
    owner: impl Fn(&[u8]) -> usize,
    making: &SyncSender<Made>,
    rings: &Wake,
) -> Option<Made> {
    let mut loader = match Loader::of(name, pieces, 0, rules) {
        Ok(loader) => loader,
        Err(why) => return Some(Made::Failed(why)),
    };
    loop {
        match loader.step(&owner) {
            Ok(Step::Chunk(shard, chunk)) => {
                making.send(Made::Chunk(shard, chunk)).ok()?;
                rings.ring();
            }
            Ok(Step::More) => {}
            Ok(Step::End) => {
                let stream_db = loader.stream_db();
                let vector = loader.vector();
                let Loader { functions, keys, .. } = loader;
                return Some(Made::End(End { functions, stream_db, vector, keys }));
            }
            Err(error) => return Some(Made::Failed(loader.told_of(&error))),
        }
    }
}

/// Pieces as they come.
#[derive(Debug)]
struct Pieces {
    piece: Vec<u8>,
    coming: Receiver<Vec<u8>>,
    taken: Arc<AtomicU64>,
    news: Wake,
}

impl Source for Pieces {
    #[inline]
    fn piece(&self) -> &[u8] {
        &self.piece
    }

    fn advance(&mut self) {
        self.taken.fetch_add(self.piece.len() as u64, Ordering::Relaxed);
        self.news.ring();
        // That the sender is gone is the end, as an empty piece is.
        self.piece = self.coming.recv().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use shards::rdb::kind::Version;
    use shards::rdb::writer::{Compression, Writer};

    use super::*;
    use crate::config::table::Config;

    fn snapshot() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, Version::V10, Compression::Off);
        writer.header();
        writer.aux("repl-stream-db", b"3");
        writer.end();
        // No checksum.
        bytes.extend_from_slice(&[0; 8]);
        bytes
    }

    /// The last that is made of `bytes` in pieces of so many bytes.
    fn last_of(bytes: &[u8], piece: usize) -> Made {
        let rules = Rules::of(&Config::default(), 2);
        let mut receiving = Receiving::begin("a test".to_owned(), rules, |_| 0).unwrap();
        bytes.chunks(piece).for_each(|piece| receiving.give(piece.to_vec()));
        receiving.end();
        loop {
            if let Some(made) = receiving.take() {
                return made;
            }
            receiving.news().wait([], std::time::Duration::from_secs(5)).unwrap();
        }
    }

    #[test]
    fn a_snapshot_is_read_in_whatever_pieces_it_comes() {
        for piece in [1, 2, 7, 1 << 20] {
            match last_of(&snapshot(), piece) {
                Made::End(end) => assert_eq!((end.stream_db, end.keys), (3, 0)),
                other => panic!("pieces of {piece}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_a_sentence() {
        let whole = snapshot();
        for len in 0..whole.len() {
            let Made::Failed(why) = last_of(&whole[..len], 3) else { panic!("{len} bytes") };
            assert!(why.starts_with("Can't load a test: "), "{why}");
        }
    }
}
