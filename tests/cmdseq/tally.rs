//! What a counter may stand at: a range, since not every INCR is answered.

/// The values that a counter may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub low: u64,
    pub high: u64,
    /// What was answered last.
    pub answered: u64,
}

impl Tally {
    /// An INCR was done or not.
    pub fn may_grow(&mut self) {
        self.high += 1;
    }

    /// An INCR was done.
    pub fn grows(&mut self) {
        self.low += 1;
        self.high += 1;
    }

    /// An INCR was answered with this value, which is known from now on. False if it cannot be.
    pub fn is_answered(&mut self, value: i64) -> bool {
        let Ok(value) = u64::try_from(value) else { return false };
        let fits = self.low < value && value <= self.high + 1;
        *self = Self { low: value, high: value, answered: value };
        fits
    }

    /// What was not answered may not be done after all.
    pub fn doubt(&mut self) {
        self.low = self.low.min(self.answered);
    }

    /// Whether the counter may stand at this value.
    pub fn holds(&self, value: u64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

#[test]
fn an_answer_ends_doubt() {
    let mut tally = Tally::default();
    assert!(tally.is_answered(1) && !tally.is_answered(3) && !tally.is_answered(3));
    tally.may_grow();
    tally.may_grow();
    assert!(tally.holds(3) && tally.holds(5) && !tally.holds(6) && !tally.holds(2));
    assert!(tally.is_answered(5));
    tally.grows();
    assert!(tally.holds(6) && !tally.holds(5));
    tally.doubt();
    assert!(tally.holds(6) && tally.holds(5) && !tally.holds(4));
    assert!(!tally.is_answered(-1));
}
