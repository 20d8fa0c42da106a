//! Chunks of one connection, taken apart as they come in.

use super::{Broken, HEADER, Header, Kind, SUM_AT, sum};
use crate::persistence::walking::{Origin, OriginOf};

/// Bytes of a history's name.
const REPLID_BYTES: usize = 40;

/// Takes chunks apart.
#[derive(Debug)]
pub struct Taking {
    state: State,
    /// What chunks have begun and the next one goes on with.
    begun: Option<(Header, Vec<u8>)>,
    /// Keys that have come.
    keys: u64,
}

#[derive(Debug)]
enum State {
    /// So many bytes of a header have come.
    Header([u8; HEADER], usize),
    /// So many bytes of a payload have.
    Payload { raw: [u8; HEADER], header: Header, payload: Vec<u8>, came: usize },
    /// The end has.
    Ended,
}

/// What came of chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// The point in a history that all keys are of.
    Head(Origin),
    /// Keys and values.
    Keys(Keys),
    /// A library of functions.
    Function(Vec<u8>),
    /// The end: so many keys have come.
    End(u64),
}

/// Whole records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Their database.
    pub db: u16,
    /// The lowest and the highest slot that they are in, as the sender says.
    pub slots: (u16, u16),
    /// How many they are.
    pub keys: u32,
    /// They.
    pub bytes: Vec<u8>,
}

impl Taking {
    /// Before anything has come.
    pub fn new() -> Self {
        Self { state: State::Header([0; HEADER], 0), begun: None, keys: 0 }
    }

    /// Where the next bytes are to be put: at least one, or none behind the end.
    pub fn room(&mut self) -> &mut [u8] {
        match &mut self.state {
            State::Header(raw, came) => &mut raw[*came..],
            State::Payload { payload, came, .. } => &mut payload[*came..],
            State::Ended => &mut [],
        }
    }

    /// Whether the end has come.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Notes that so many bytes were put into [`Self::room`], and says what that makes.
    ///
    /// # Errors
    /// If it is no chunk that can come here.
    pub fn put(&mut self, bytes: usize) -> Result<Option<Came>, Broken> {
        match &mut self.state {
            State::Header(raw, came) => {
                *came += bytes;
                if *came == HEADER {
                    let (header, len) = Header::read(raw)?;
                    let payload = vec![0; len];
                    self.state = State::Payload { raw: *raw, header, payload, came: 0 };
                }
                Ok(None)
            }
            State::Payload { raw, header, payload, came } => {
                *came += bytes;
                if *came < payload.len() {
                    return Ok(None);
                }
                if raw[SUM_AT..] != sum(raw, payload).to_le_bytes() {
                    return Err(Broken::Sum);
                }
                let (header, payload) = (*header, std::mem::take(payload));
                self.state = State::Header([0; HEADER], 0);
                self.take_one(header, payload)
            }
            State::Ended => Ok(None),
        }
    }

    /// Takes bytes that lie elsewhere.
    ///
    /// # Errors
    /// If they are no chunks that can come here. What stands in front of that was taken.
    pub fn take(&mut self, bytes: &[u8], came: &mut Vec<Came>) -> Result<(), Broken> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = self.room();
            let len = room.len().min(rest.len());
            if len == 0 {
                return Err(Broken::Behind);
            }
            room[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            came.extend(self.put(len)?);
        }
        Ok(())
    }

    /// Takes a chunk whose checksum is right.
    fn take_one(&mut self, header: Header, payload: Vec<u8>) -> Result<Option<Came>, Broken> {
        let (whole, bytes) = match self.begun.take() {
            None => (header, payload),
            Some((begun, mut bytes)) => {
                let Header { kind, db, slots, .. } = begun;
                if (kind, db, slots) != (header.kind, header.db, header.slots) {
                    return Err(Broken::Torn);
                }
                bytes.extend_from_slice(&payload);
                (header, bytes)
            }
        };
        if whole.goes_on {
            self.begun = Some((whole, bytes));
            return Ok(None);
        }
        let broken = Broken::Payload(whole.kind);
        Ok(Some(match whole.kind {
            Kind::Head => Came::Head(head_of(&bytes).ok_or(broken)?),
            Kind::Keys => {
                let Header { db, slots, keys, .. } = whole;
                self.keys += u64::from(keys);
                Came::Keys(Keys { db, slots, keys, bytes })
            }
            Kind::Function => Came::Function(bytes),
            Kind::End => {
                let says = bytes.try_into().map(u64::from_le_bytes).map_err(|_| broken)?;
                if says != self.keys {
                    return Err(Broken::Count { says, came: self.keys });
                }
                self.state = State::Ended;
                Came::End(says)
            }
        }))
    }
}

impl Default for Taking {
    fn default() -> Self {
        Self::new()
    }
}

/// The payload of a head.
pub(in crate::persistence) fn head(origin: &Origin) -> Vec<u8> {
    let Origin { replid, offset, of } = origin;
    let (db, vector) = match of {
        OriginOf::Stream(db) => (*db, ""),
        OriginOf::Logs(vector) => (0, vector.as_str()),
    };
    assert_eq!(replid.len(), REPLID_BYTES, "a history's name has forty digits");
    let (offset, db) = (offset.to_le_bytes(), db.to_le_bytes());
    [replid.as_bytes(), &offset, &db, vector.as_bytes()].concat()
}

/// What it says.
fn head_of(payload: &[u8]) -> Option<Origin> {
    let (replid, rest) = payload.split_at_checked(REPLID_BYTES)?;
    let (offset, rest) = rest.split_first_chunk::<8>()?;
    let (db, vector) = rest.split_first_chunk::<2>()?;
    let of = match vector {
        [] => OriginOf::Stream(u16::from_le_bytes(*db)),
        vector => OriginOf::Logs(String::from_utf8(vector.to_vec()).ok()?),
    };
    let replid = String::from_utf8(replid.to_vec()).ok()?;
    Some(Origin { replid, offset: u64::from_le_bytes(*offset), of })
}
