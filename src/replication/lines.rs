//! Lines of replies, whatever pieces they come in.

use crate::replication::failure::Failure;

/// Bytes of a line without its line feed. The longest names an offset of each of 1024 logs.
pub const LINE_BYTES_MAX: usize = 24 << 10;

/// The beginning of a line whose end has not come.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Whether what comes next begins a line.
    pub fn is_between(&self) -> bool {
        self.partial.is_empty()
    }

    /// Takes the line that goes on in `input` at `at`, without its end, and moves `at` behind it.
    /// `None` if its end has not come: then all of `input` is taken.
    ///
    /// # Errors
    /// If it is longer than [`LINE_BYTES_MAX`].
    pub fn take(&mut self, input: &[u8], at: &mut usize) -> Result<Option<Vec<u8>>, Failure> {
        let rest = &input[*at..];
        let end = rest.iter().position(|byte| *byte == b'\n');
        let piece = &rest[..end.unwrap_or(rest.len())];
        if LINE_BYTES_MAX - self.partial.len() < piece.len() {
            return Err(Failure::LineTooLong);
        }
        self.partial.extend_from_slice(piece);
        *at += piece.len() + usize::from(end.is_some());
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.partial);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_a_line_feed_wherever_they_are_cut() {
        let input = b"+OK\r\n\n-ERR a\rb\n\r\n+x";
        let expected = ["+OK", "", "-ERR a\rb", ""];
        for cut in 0..=input.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for piece in [&input[..cut], &input[cut..]] {
                let mut at = 0;
                while let Some(line) = lines.take(piece, &mut at).expect("lines are short") {
                    found.push(String::from_utf8(line).expect("it is text"));
                }
                assert_eq!(at, piece.len());
            }
            assert_eq!(found, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_has_a_limit_wherever_it_is_cut() {
        for (len, fits) in [(LINE_BYTES_MAX, true), (LINE_BYTES_MAX + 1, false)] {
            let line = [&vec![b'x'; len][..], b"\n"].concat();
            for cut in [0, 1, LINE_BYTES_MAX, len, len + 1] {
                let mut lines = Lines::default();
                let pieces = [&line[..cut], &line[cut..]];
                let taken = pieces.map(|piece| lines.take(piece, &mut 0));
                assert_eq!(taken.iter().all(Result::is_ok), fits, "{len} cut at {cut}");
            }
        }
    }
}
