//! The values that are not strings. A type is one line of the table below, and a module.

use core::fmt::Debug;

use crate::encodings::entry::{Entry, Value};
use crate::types::hash::Hash;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::sorted_set::SortedSet;
use crate::types::stream::Stream;

/// Allocations up to which a value is freed at once, even where it could be freed later.
pub const FREE_EFFORT_MAX: usize = 64;

/// A type of collection.
pub trait Collection: Default + Clone + Debug {
    /// The collection in `object`, if it is of this type.
    fn of(object: &Object) -> Option<&Self>;
    /// The collection in `object`, if it is of this type, to change it.
    fn of_mut(object: &mut Object) -> Option<&mut Self>;
    /// As a value of any type.
    fn into_object(self) -> Object;
}

macro_rules! collections {
    ($( $(#[doc = $doc:literal])+ $variant:ident: $name:literal; )*) => {
        /// A collection held by an entry.
        #[derive(Clone, Debug)]
        pub enum Object {
            $( $(#[doc = $doc])+ $variant($variant), )*
        }

        impl Object {
            /// What TYPE calls it.
            pub fn type_name(&self) -> &'static str {
                match self {
                    $( Self::$variant(_) => $name, )*
                }
            }

            /// What OBJECT ENCODING calls the way it is kept.
            pub fn encoding(&self) -> &'static str {
                match self {
                    $( Self::$variant(it) => it.encoding(), )*
                }
            }

            /// Elements in it.
            pub fn len(&self) -> usize {
                match self {
                    $( Self::$variant(it) => it.len(), )*
                }
            }

            /// Whether it holds nothing.
            #[inline]
            pub fn is_empty(&self) -> bool {
                match self {
                    $( Self::$variant(it) => it.is_empty(), )*
                }
            }

            /// Bytes of its allocations.
            pub fn memory(&self) -> usize {
                match self {
                    $( Self::$variant(it) => it.memory(), )*
                }
            }

            /// How many allocations there are to free.
            pub fn free_effort(&self) -> usize {
                match self {
                    $( Self::$variant(it) => it.free_effort(), )*
                }
            }

            /// Frees about `budget` elements; true when nothing is left that takes time.
            pub fn free_slice(&mut self, budget: usize) -> bool {
                match self {
                    $( Self::$variant(it) => it.free_slice(budget), )*
                }
            }
        }

        $(
            impl Collection for $variant {
                #[inline]
                fn of(object: &Object) -> Option<&Self> {
                    match object {
                        Object::$variant(it) => Some(it),
                        _ => None,
                    }
                }

                #[inline]
                fn of_mut(object: &mut Object) -> Option<&mut Self> {
                    match object {
                        Object::$variant(it) => Some(it),
                        _ => None,
                    }
                }

                #[inline]
                fn into_object(self) -> Object {
                    Object::$variant(self)
                }
            }
        )*
    };
}

collections! {
    /// Fields with values.
    Hash: "hash";
    /// Elements in order.
    List: "list";
    /// Members.
    Set: "set";
    /// Members in the order of their scores.
    SortedSet: "zset";
    /// Entries in order, and groups that read them.
    Stream: "stream";
}

// A word, so that an entry with a key of 16 bytes takes 32. Types keep their tags and pointers in
// seven bytes: see `encodings::allocation`.
const _: () = assert!(size_of::<Object>() <= 8);

impl Entry<Object> {
    /// What TYPE calls its value.
    pub fn type_name(&self) -> &'static str {
        match self.value() {
            Value::Int(_) | Value::Bytes(_) => "string",
            Value::Object(object) => object.type_name(),
        }
    }

    /// What OBJECT ENCODING calls its value's encoding.
    pub fn encoding(&self) -> &'static str {
        match self.value() {
            Value::Object(object) => object.encoding(),
            Value::Int(_) | Value::Bytes(_) => {
                self.string_encoding().expect("a string names its encoding")
            }
        }
    }

    /// Bytes of its allocations and of its value's.
    pub fn whole_memory(&self) -> usize {
        self.memory() + self.as_object().map_or(0, Object::memory)
    }

    /// How many allocations there are to free.
    #[inline]
    pub fn free_effort(&self) -> usize {
        self.as_object().map_or(1, Object::free_effort)
    }

    /// Frees about `budget` elements; true when nothing is left that takes time.
    pub fn free_slice(&mut self, budget: usize) -> bool {
        self.object_mut().is_none_or(|object| object.free_slice(budget))
    }

    /// The same value with the same expiry under another key.
    pub fn duplicate(&self, key: &[u8]) -> Self {
        let mut copy = match self.value() {
            Value::Int(number) => Self::int(key, number),
            Value::Bytes(bytes) => {
                // Digits that came about otherwise than by being set are no number to OBJECT
                // ENCODING, nor is their copy.
                let mut copy = Self::text(key, bytes);
                if copy.string_encoding() != self.string_encoding() {
                    copy.bytes_mut().expect("it was made as a string");
                }
                copy
            }
            Value::Object(object) => Self::object(key, object.clone()),
        };
        copy.set_expire(self.expire());
        copy
    }

    /// Its collection.
    #[inline]
    pub fn as_object(&self) -> Option<&Object> {
        match self.value() {
            Value::Object(object) => Some(object),
            Value::Int(_) | Value::Bytes(_) => None,
        }
    }
}
