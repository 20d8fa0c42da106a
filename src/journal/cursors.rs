//! The places at which a log is read.

/// A place at which a log is read: what [`crate::journal::log::Log::open`] answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorId {
    place: usize,
    /// Tells it from cursors that had the place before.
    number: u64,
}

/// What a cursor knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The offset of what it reads next is in the log.
    Reads,
    /// The offset is in the log no more, and the reader does not know it yet.
    Fell,
    /// The reader was told.
    Told,
}

#[derive(Debug)]
pub(super) struct Cursor {
    number: u64,
    /// The offset of what it reads next.
    pub(super) next: u64,
    pub(super) state: State,
}

/// The cursors of one log. There are few: a flow each, the relay, a snapshot.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    places: Vec<Option<Cursor>>,
    opened: u64,
}

impl Cursors {
    pub(super) fn open(&mut self, next: u64) -> CursorId {
        self.opened += 1;
        let cursor = Cursor { number: self.opened, next, state: State::Reads };
        let free = self.places.iter().position(Option::is_none);
        let place = free.unwrap_or(self.places.len());
        match self.places.get_mut(place) {
            Some(free) => *free = Some(cursor),
            None => self.places.push(Some(cursor)),
        }
        CursorId { place, number: self.opened }
    }

    /// Ends a cursor.
    ///
    /// # Panics
    /// If it has ended, as all that take an id.
    pub(super) fn close(&mut self, id: CursorId) {
        self.get(id);
        self.places[id.place] = None;
    }

    pub(super) fn get(&self, id: CursorId) -> &Cursor {
        let cursor = self.places.get(id.place).and_then(Option::as_ref);
        let cursor = cursor.filter(|cursor| cursor.number == id.number);
        cursor.expect("a cursor is used until it is closed")
    }

    pub(super) fn get_mut(&mut self, id: CursorId) -> &mut Cursor {
        let cursor = self.places.get_mut(id.place).and_then(Option::as_mut);
        let cursor = cursor.filter(|cursor| cursor.number == id.number);
        cursor.expect("a cursor is used until it is closed")
    }

    /// The lowest offset that a cursor has not read. `None`: no cursor reads.
    pub(super) fn lowest(&self) -> Option<u64> {
        let open = self.places.iter().flatten();
        let reading = open.filter(|cursor| cursor.state == State::Reads);
        reading.map(|cursor| cursor.next).min()
    }

    /// Nothing in front of `start` can be read any more.
    pub(super) fn fall_before(&mut self, start: u64) {
        for cursor in self.places.iter_mut().flatten().filter(|cursor| cursor.next < start) {
            if cursor.state == State::Reads {
                cursor.state = State::Fell;
            }
        }
    }
}
