//! `maxmemory-clients`: bytes, or a share of `maxmemory`.

use super::kinds::{Examples, FileLine, Kind, Memory, Mention, Reason};

/// How much memory all clients together may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMemory {
    /// So many bytes; 0 for no limit.
    Bytes(u64),
    /// So many hundredths of `maxmemory`, from 1 to 100.
    Percent(u64),
}

impl ClientMemory {
    /// No limit.
    pub const UNLIMITED: Self = Self::Bytes(0);

    /// The limit in bytes beside this `maxmemory`. `None` if there is none, as for a share of an
    /// unlimited `maxmemory`.
    pub fn limit(self, maxmemory: u64) -> Option<u64> {
        let bytes = match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => {
                let share = u128::from(maxmemory) * u128::from(percent) / 100;
                u64::try_from(share).unwrap_or(u64::MAX)
            }
        };
        (bytes != 0).then_some(bytes)
    }
}

/// Bytes with Valkey's units, or a number from 0 to 100 with a percent sign.
#[derive(Debug)]
pub struct MemoryOrPercent;

const BYTES: Memory = Memory(0..=u64::MAX);

impl Kind for MemoryOrPercent {
    type Value = ClientMemory;

    fn read(
        &self,
        words: &[&[u8]],
        _: &ClientMemory,
        mention: Mention,
    ) -> Result<ClientMemory, Reason> {
        let refused = "argument must be a memory or percent value";
        let Some(share) = words.first().and_then(|word| word.strip_suffix(b"%")) else {
            let bytes = BYTES.read(words, &0, mention).map_err(|_| refused)?;
            return Ok(ClientMemory::Bytes(bytes));
        };
        let digits = std::str::from_utf8(share).ok().filter(|text| !text.starts_with('+'));
        let percent = digits.and_then(|digits| digits.parse().ok()).ok_or(refused)?;
        match percent {
            0 => Ok(ClientMemory::UNLIMITED),
            1..=100 => Ok(ClientMemory::Percent(percent)),
            _ => Err("percentage argument must be less or equal to 100".into()),
        }
    }

    fn print(&self, value: &ClientMemory) -> Vec<u8> {
        match value {
            ClientMemory::Bytes(bytes) => BYTES.print(bytes),
            ClientMemory::Percent(percent) => format!("{percent}%").into_bytes(),
        }
    }

    fn lines(&self, value: &ClientMemory, default: &ClientMemory) -> Vec<FileLine> {
        let needed = value != default;
        match value {
            // A default that is never it: whether the line is needed was just said.
            ClientMemory::Bytes(bytes) => BYTES
                .lines(bytes, bytes)
                .into_iter()
                .map(|line| FileLine { needed, ..line })
                .collect(),
            ClientMemory::Percent(_) => vec![FileLine { words: self.print(value), needed }],
        }
    }

    fn limits(&self) -> String {
        format!("{}, or `1%` to `100%` of `maxmemory`", BYTES.limits())
    }

    fn examples(&self) -> Examples {
        Examples::of(
            &["0", "1mb", "18446744073709551615", "1%", "100%", "0%"],
            &["", "-1", "-5%", "abc", "5%%", "5 %", "+5%", "%", "101%", "18446744073709551616"],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_no_limit_is_no_limit() {
        let cases = [
            (ClientMemory::UNLIMITED, 1000, None),
            (ClientMemory::Bytes(7), 0, Some(7)),
            (ClientMemory::Percent(5), 1000, Some(50)),
            (ClientMemory::Percent(5), 0, None),
            (ClientMemory::Percent(100), u64::MAX, Some(u64::MAX)),
        ];
        for (limit, maxmemory, expected) in cases {
            assert_eq!(limit.limit(maxmemory), expected, "{limit:?} of {maxmemory}");
        }
    }
}
