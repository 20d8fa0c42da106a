//! A key with its value in one allocation; see `entry/parts.rs` for where its parts lie.
//!
//! A 16-byte key with 64 bytes of value takes 92 bytes, which fits an allocator's class of 96.

mod parts;

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;
use core::ptr;

use crate::base::hash::HashSeed;
use crate::base::number::{DIGITS_MAX, format_i64, parse_i64};
use crate::base::time::UnixMs;
use crate::encodings::allocation::{Word, size_class};
use crate::encodings::table::Record;

use parts::{
    ALIGNMENT, EXPIRE_BYTES, EXPIRES, FLAGS, HEADER_BYTES, HEAP, INLINE, INT, KIND, OBJECT,
    Payload, RAW, length_u32,
};

/// Strings up to this length live inside the entry: one cache miss less than a buffer of their
/// own, while a change of length still copies little.
pub const INLINE_BYTES_MAX: usize = 1024;

/// A key and its value in one allocation.
#[repr(transparent)]
pub struct Entry<O>(Word, PhantomData<O>);

/// What an entry holds.
#[derive(Debug)]
pub enum Value<'a, O> {
    /// A string that is a number: encoding `int`.
    Int(i64),
    /// Any other string, inline or in an allocation of its own.
    Bytes(&'a [u8]),
    /// A collection.
    Object(&'a O),
}

impl<O> Record for Entry<O> {
    #[inline]
    fn key(&self) -> &[u8] {
        Self::key(self)
    }

    #[inline]
    fn hash(&self, seed: HashSeed) -> u64 {
        seed.key_hash(self.key())
    }

    #[inline]
    fn address(&self) -> *const u8 {
        self.at(0)
    }
}

impl<O> Entry<O> {
    /// A string entry. Bytes that are the shortest decimal form of an i64 are kept as integer.
    #[inline]
    pub fn string(key: &[u8], bytes: &[u8]) -> Self {
        Self::new(key, None, 0, Self::payload_of(bytes))
    }

    /// As [`Self::string`]: a long string stays where it is.
    pub fn string_of(key: &[u8], bytes: Vec<u8>) -> Self {
        if bytes.len() <= INLINE_BYTES_MAX {
            return Self::string(key, &bytes);
        }
        let mut bytes = bytes;
        bytes.shrink_to_fit();
        Self::new(key, None, 0, Payload::Heap(bytes))
    }

    /// A string entry that expires: one allocation fewer than setting the expiry afterwards.
    #[inline]
    pub fn string_until(key: &[u8], bytes: &[u8], at: UnixMs) -> Self {
        Self::new(key, Some(at), 0, Self::payload_of(bytes))
    }

    /// A string entry that is kept as text even if it spells a number.
    pub fn text(key: &[u8], bytes: &[u8]) -> Self {
        Self::new(key, None, 0, Self::text_payload_of(bytes))
    }

    /// An entry holding an integer.
    #[inline]
    pub fn int(key: &[u8], value: i64) -> Self {
        Self::new(key, None, 0, Payload::Int(value))
    }

    /// An entry holding a collection.
    pub fn object(key: &[u8], object: O) -> Self {
        const { assert!(align_of::<O>() <= ALIGNMENT, "an object needs no more than 8") };
        Self::new(key, None, 0, Payload::Object(object))
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        let (meta, key_bytes) = (self.meta(), self.key_bytes());
        // SAFETY: every entry holds `key_bytes` initialized bytes there.
        unsafe { core::slice::from_raw_parts(self.at(Self::key_at(meta)), key_bytes) }
    }

    /// What it holds.
    #[inline]
    pub fn value(&self) -> Value<'_, O> {
        let meta = self.meta();
        let payload = self.at(Self::payload_at(meta));
        // SAFETY: the kind says what the payload is; it is aligned as `new` asserts, and lives as
        // long as the entry.
        unsafe {
            match meta & KIND {
                INT => Value::Int(payload.cast::<i64>().read()),
                HEAP => Value::Bytes(&*payload.cast::<Vec<u8>>()),
                OBJECT => Value::Object(&*payload.cast::<O>()),
                _ => Value::Bytes(self.inline()),
            }
        }
    }

    /// The string's bytes if it is a string: the integer is formatted into `scratch`.
    #[inline]
    pub fn bytes<'a>(&'a self, scratch: &'a mut [u8; DIGITS_MAX]) -> Option<&'a [u8]> {
        match self.value() {
            Value::Int(number) => Some(format_i64(scratch, number)),
            Value::Bytes(bytes) => Some(bytes),
            Value::Object(_) => None,
        }
    }

    /// Becomes this string; key, expiry and access stay. In place when it fits.
    #[inline]
    pub fn set_string(&mut self, bytes: &[u8]) {
        let meta = self.meta();
        if meta & KIND == INLINE
            && bytes.len() <= INLINE_BYTES_MAX
            && size_class(self.inline_at() + bytes.len()) == self.size()
            && parse_i64(bytes).is_none()
        {
            let (payload, inline) = (self.at(Self::payload_at(meta)), self.at(self.inline_at()));
            // SAFETY: the allocation keeps its size, which was just seen to have room, and
            // `bytes` cannot be part of it while `self` is borrowed mutably.
            unsafe {
                payload.cast::<u32>().write(length_u32(bytes));
                ptr::copy_nonoverlapping(bytes.as_ptr(), inline, bytes.len());
            }
            self.set_meta(meta & !RAW);
        } else {
            self.set_string_elsewhere(bytes);
        }
    }

    /// Becomes this string, kept as text even if it spells a number; key, expiry and access stay.
    pub fn set_text(&mut self, bytes: &[u8]) {
        self.replace(Self::text_payload_of(bytes));
    }

    /// Becomes this integer; key, expiry and access stay.
    #[inline]
    pub fn set_int(&mut self, value: i64) {
        let meta = self.meta();
        if meta & KIND == INT {
            let payload = self.at(Self::payload_at(meta));
            // SAFETY: the kind says that an i64 is there.
            unsafe { payload.cast::<i64>().write(value) };
        } else {
            self.replace(Payload::Int(value));
        }
    }

    /// The string as a growable buffer of its own (encoding `raw` from then on). `None` if it is
    /// a collection. A caller that lets it grow by a length from outside reserves that first,
    /// with `try_reserve`.
    pub fn bytes_mut(&mut self) -> Option<&mut Vec<u8>> {
        match self.value() {
            Value::Object(_) => return None,
            Value::Int(number) => {
                let mut scratch = [0; DIGITS_MAX];
                let bytes = format_i64(&mut scratch, number).to_vec();
                self.replace(Payload::Heap(bytes));
            }
            Value::Bytes(bytes) if self.meta() & KIND == INLINE => {
                let bytes = bytes.to_vec();
                self.replace(Payload::Heap(bytes));
            }
            Value::Bytes(_) => {}
        }
        let meta = self.meta() | RAW;
        self.set_meta(meta);
        Some(self.heap_mut().expect("the string has a buffer of its own by now"))
    }

    /// The collection, to change it.
    #[inline]
    pub fn object_mut(&mut self) -> Option<&mut O> {
        let meta = self.meta();
        // SAFETY: the kind says that an `O` is there, and `self` is borrowed mutably.
        (meta & KIND == OBJECT)
            .then(|| unsafe { &mut *self.at(Self::payload_at(meta)).cast::<O>() })
    }

    /// When it expires.
    #[inline]
    pub fn expire(&self) -> Option<UnixMs> {
        // SAFETY: an entry that expires says when behind its header.
        (self.meta() & EXPIRES != 0)
            .then(|| UnixMs(unsafe { self.at(HEADER_BYTES).cast::<u64>().read() }))
    }

    /// Sets when it expires. For `keyspace` only, which keeps the index of expiry times.
    pub fn set_expire(&mut self, at: Option<UnixMs>) {
        if self.expire().is_some() != at.is_some() {
            self.shift_payload();
        }
        if let Some(at) = at {
            // SAFETY: the flag is set by now, so those eight bytes are for the time.
            unsafe { self.at(HEADER_BYTES).cast::<u64>().write(at.0) };
        }
    }

    /// The 24 bits of LRU time or LFU counter.
    #[inline]
    pub fn access(&self) -> u32 {
        self.meta() >> 8
    }

    /// Sets the 24 bits of LRU time or LFU counter; writes nothing if they stay the same.
    #[inline]
    pub fn set_access(&mut self, bits: u32) {
        assert!(bits < 1 << 24, "there are 24 access bits");
        let meta = self.meta();
        if meta >> 8 != bits {
            self.set_meta(bits << 8 | meta & FLAGS);
        }
    }

    /// The same value under another key, with expiry and access (RENAME).
    pub fn renamed(self, key: &[u8]) -> Self {
        self.move_to(key)
    }

    /// Valkey's name of its encoding: `int`, `embstr`, `raw`; `None` for a collection, which
    /// names its own.
    pub fn string_encoding(&self) -> Option<&'static str> {
        match self.value() {
            Value::Int(_) => Some("int"),
            Value::Object(_) => None,
            Value::Bytes(bytes) => Some(if self.is_embstr(bytes) { "embstr" } else { "raw" }),
        }
    }

    /// Bytes of its allocations, by allocator size; collections not counted.
    #[inline]
    pub fn memory(&self) -> usize {
        let meta = self.meta();
        if meta & KIND != HEAP {
            return self.size();
        }
        // SAFETY: the kind says that a Vec is there.
        let buffer = unsafe { &*self.at(Self::payload_at(meta)).cast::<Vec<u8>>() };
        self.size() + size_class(buffer.capacity())
    }

    /// The buffer of a string that has one of its own.
    #[inline]
    fn heap_mut(&mut self) -> Option<&mut Vec<u8>> {
        let meta = self.meta();
        // SAFETY: the kind says that a Vec is there, and `self` is borrowed mutably.
        (meta & KIND == HEAP).then(|| unsafe { &mut *self.at(Self::payload_at(meta)).cast() })
    }

    /// Valkey 9 embeds a string if object, expiry, key and value together take no more than two
    /// cache lines: measured, key and value have 113 bytes, 2 fewer if the key takes the longer
    /// string header, 8 fewer if it expires.
    fn is_embstr(&self, bytes: &[u8]) -> bool {
        let key = self.key_bytes();
        let longer_header = if 32 <= key { 2 } else { 0 };
        let expire = if self.meta() & EXPIRES == 0 { 0 } else { EXPIRE_BYTES };
        self.meta() & RAW == 0 && key + bytes.len() + longer_header + expire <= 113
    }

    #[inline]
    fn payload_of(bytes: &[u8]) -> Payload<'_, O> {
        if let Some(number) = parse_i64(bytes) {
            Payload::Int(number)
        } else {
            Self::text_payload_of(bytes)
        }
    }

    fn text_payload_of(bytes: &[u8]) -> Payload<'_, O> {
        if bytes.len() <= INLINE_BYTES_MAX {
            Payload::Inline(bytes)
        } else {
            Payload::Heap(bytes.to_vec())
        }
    }

    /// `set_string` when it does not fit into the inline room as it is.
    fn set_string_elsewhere(&mut self, bytes: &[u8]) {
        if let Some(number) = parse_i64(bytes) {
            return self.set_int(number);
        }
        let meta = self.meta() & !RAW;
        if INLINE_BYTES_MAX < bytes.len()
            && let Some(buffer) = self.heap_mut()
        {
            if bytes.len() <= buffer.capacity() && buffer.capacity() / 2 <= bytes.len() {
                buffer.clear();
                buffer.extend_from_slice(bytes);
            } else {
                *buffer = bytes.to_vec();
            }
            self.set_meta(meta);
        } else {
            self.replace(Self::payload_of(bytes));
        }
    }
}

impl<O: fmt::Debug> fmt::Debug for Entry<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key().escape_ascii())
            .field("value", &self.value())
            .field("expire", &self.expire())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec;
    use proptest::prelude::*;

    type Plain = Entry<[u64; 2]>;

    fn text(entry: &Plain) -> Option<Vec<u8>> {
        entry.bytes(&mut [0; DIGITS_MAX]).map(<[u8]>::to_vec)
    }

    #[test]
    fn a_small_string_takes_one_small_allocation() {
        let entry = Plain::string(&[b'k'; 16], &[b'v'; 64]);
        assert_eq!(entry.memory(), 96);
        assert_eq!(Plain::string(b"k", b"1").memory(), 32);
    }

    #[test]
    fn only_canonical_integers_become_int() {
        let ints = ["0", "-1", "12345", "9223372036854775807", "-9223372036854775808"];
        let others = ["", "-", "-0", "00", "+1", " 1", "9223372036854775808", "1.0", "x"];
        for value in ints {
            assert_eq!(Plain::string(b"k", value.as_bytes()).string_encoding(), Some("int"));
        }
        for value in others {
            assert_eq!(Plain::string(b"k", value.as_bytes()).string_encoding(), Some("embstr"));
        }
        for value in ints.iter().chain(&others) {
            assert_eq!(text(&Plain::string(b"k", value.as_bytes())), Some(value.as_bytes().into()));
        }
    }

    /// Asked of Valkey 9.1.2: (bytes of the key, longest embstr, longest if it expires).
    #[test]
    fn encodings_are_named_as_valkey_names_them() {
        let cases = [
            (1, 112, 104),
            (16, 97, 89),
            (31, 82, 74),
            (32, 79, 71),
            (64, 47, 39),
            (80, 31, 23),
            (100, 11, 3),
        ];
        for (key, longest, longest_expiring) in cases {
            let key = vec![b'k'; key];
            for (at, longest) in [(None, longest), (Some(UnixMs(1)), longest_expiring)] {
                for (length, name) in [(longest, "embstr"), (longest + 1, "raw")] {
                    let mut entry = Plain::string(&key, &vec![b'x'; length]);
                    entry.set_expire(at);
                    assert_eq!(entry.string_encoding(), Some(name), "{} {length}", key.len());
                }
            }
        }
    }

    #[test]
    fn a_string_changed_in_place_is_raw_until_it_is_set() {
        let mut entry = Plain::string(b"k", b"12");
        entry.bytes_mut().unwrap().push(b'3');
        assert_eq!(entry.string_encoding(), Some("raw"));
        assert_eq!(text(&entry), Some(b"123".into()));
        let entry = entry.renamed(b"other");
        assert_eq!(entry.string_encoding(), Some("raw"));
        let mut entry = entry.renamed(b"k");
        entry.set_string(b"abc");
        assert_eq!(entry.string_encoding(), Some("embstr"));
    }

    #[test]
    fn a_number_kept_as_text_is_one_until_it_is_set() {
        let mut entry = Plain::text(b"k", b"12");
        assert_eq!(entry.string_encoding(), Some("embstr"));
        entry.set_int(12);
        entry.set_text(b"13");
        assert_eq!(entry.string_encoding(), Some("embstr"));
        assert_eq!(text(&entry), Some(b"13".into()));
        entry.set_string(b"13");
        assert_eq!(entry.string_encoding(), Some("int"));
    }

    #[test]
    fn a_value_of_the_same_size_class_stays_where_it_is() {
        let mut entry = Plain::string(&[b'k'; 16], &[b'v'; 60]);
        let place = entry.0;
        entry.set_string(&[b'w'; 64]);
        assert_eq!(entry.0, place);
        entry.set_string(&[b'w'; 20]);
        assert_ne!(entry.0, place);
    }

    #[test]
    fn objects_are_kept_and_dropped() {
        use alloc::rc::Rc;
        let object = Rc::new(String::from("it"));
        let mut entry = Entry::object(b"key", object.clone());
        assert!(entry.bytes_mut().is_none());
        entry.set_expire(Some(UnixMs(7)));
        let mut entry = entry.renamed(b"a longer key than before");
        entry.set_expire(None);
        assert!(Rc::ptr_eq(entry.object_mut().unwrap(), &object));
        assert_eq!(Rc::strong_count(&object), 2);
        entry.set_string(b"text");
        assert_eq!(Rc::strong_count(&object), 1);
        assert_eq!(entry.string_encoding(), Some("embstr"));
    }

    #[derive(Clone, Debug)]
    enum Step {
        SetString(Vec<u8>),
        SetInt(i64),
        Append(Vec<u8>),
        Expire(Option<u64>),
        Access(u32),
        Rename(Vec<u8>),
        Object(u64),
    }

    fn string() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(any::<u8>(), 0..2500),
            any::<i32>().prop_map(|n| alloc::format!("{n}").into_bytes()),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => string().prop_map(Step::SetString),
            1 => any::<i64>().prop_map(Step::SetInt),
            2 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Append),
            2 => any::<Option<u64>>().prop_map(Step::Expire),
            1 => (0u32..1 << 24).prop_map(Step::Access),
            1 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Step::Rename),
            1 => any::<u64>().prop_map(Step::Object),
        ]
    }

    proptest! {
        #[test]
        fn holds_what_was_put_in(
            key in prop::collection::vec(any::<u8>(), 0..100),
            first in string(),
            steps in prop::collection::vec(step(), 0..30),
        ) {
            let mut entry = Plain::string(&key, &first);
            let (mut key, mut value, mut object) = (key, Some(first), [0; 2]);
            let (mut expire, mut access) = (None, 0);
            for step in steps {
                match step {
                    Step::SetString(bytes) => {
                        entry.set_string(&bytes);
                        value = Some(bytes);
                    }
                    Step::SetInt(number) => {
                        entry.set_int(number);
                        value = Some(alloc::format!("{number}").into_bytes());
                    }
                    Step::Append(bytes) => {
                        prop_assert_eq!(entry.bytes_mut().is_some(), value.is_some());
                        if let Some(value) = &mut value {
                            entry.bytes_mut().unwrap().extend_from_slice(&bytes);
                            value.extend_from_slice(&bytes);
                        }
                    }
                    Step::Expire(at) => {
                        expire = at.map(UnixMs);
                        entry.set_expire(expire);
                    }
                    Step::Access(bits) => {
                        access = bits;
                        entry.set_access(bits);
                    }
                    Step::Rename(to) => {
                        entry = entry.renamed(&to);
                        key = to;
                    }
                    Step::Object(number) => {
                        object = [number, !number];
                        entry = Plain::object(&key, object);
                        entry.set_expire(expire);
                        entry.set_access(access);
                        value = None;
                    }
                }
                prop_assert_eq!(entry.key(), &key);
                prop_assert_eq!(text(&entry), value.clone());
                let held = entry.object_mut().map(|it| *it);
                prop_assert_eq!(held, value.is_none().then_some(object));
                prop_assert_eq!(entry.expire(), expire);
                prop_assert_eq!(entry.access(), access);
                prop_assert!(key.len() <= entry.memory());
            }
        }
    }
}
