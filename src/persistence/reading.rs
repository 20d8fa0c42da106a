//! A file that is being read, in long pieces.

use std::fs::File;
use std::io::{self, Read};

use shards::rdb::reader::Source;

/// Bytes of a piece.
const PIECE_BYTES: usize = 1 << 20;

/// A file that is being read.
#[derive(Debug)]
pub struct Reading {
    file: File,
    piece: Vec<u8>,
    len: usize,
    error: Option<io::Error>,
}

impl Reading {
    /// Of `file`, from where it stands.
    pub fn new(file: File) -> Self {
        Self { file, piece: vec![0; PIECE_BYTES], len: 0, error: None }
    }

    /// Why it ended, if that was not the end of the file.
    pub fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }
}

impl Source for Reading {
    #[inline]
    fn piece(&self) -> &[u8] {
        &self.piece[..self.len]
    }

    fn advance(&mut self) {
        self.len = match (&self.error, self.file.read(&mut self.piece)) {
            (Some(_), _) => 0,
            (None, Ok(len)) => len,
            (None, Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
                return self.advance();
            }
            (None, Err(error)) => {
                self.error = Some(error);
                0
            }
        };
    }
}
