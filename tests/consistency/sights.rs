//! What readers saw of numbers that only grow, and whether they could see it.
//!
//! Each key of a group has one writer, who writes 1, 2, 3 ...; so any two looks at a group can be
//! compared number by number, in histories far longer than the checker's search could judge.

use std::fmt::Write as _;

/// What always holds among the numbers of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// They are written together.
    Equal,
    /// They are written one after the other, in the order of the keys.
    Descending,
    /// They are written by different clients.
    Free,
}

/// Where readers look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where is written, too.
    Primary,
    /// At a replica, which may be behind, and on which shards are so by themselves: of two commands
    /// on different keys the second may be seen without the first.
    Replica,
}

/// A number that was written.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// The place of its key in the group.
    pub place: usize,
    pub number: u64,
    pub called: u64,
    pub returned: u64,
}

/// How a reader looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// At all keys in one moment.
    AtOnce,
    /// At one key after the other, the last one first.
    Backwards,
}

/// What a reader saw.
#[derive(Clone, Debug)]
pub struct Sight {
    pub reader: usize,
    pub manner: Manner,
    pub called: u64,
    pub returned: u64,
    /// The number of each key, in their order; 0 if there was none.
    pub numbers: Vec<u64>,
}

/// Checks what was seen of one group.
pub fn check(place: Place, law: Law, written: &[Written], sights: &[Sight]) -> Result<(), String> {
    let law = match (place, law) {
        (Place::Replica, Law::Descending) => Law::Free,
        (Place::Replica | Place::Primary, law) => law,
    };
    for sight in sights {
        keeps_law(law, sight)?;
        is_written(written, sight)?;
        if place == Place::Primary {
            is_current(written, sight)?;
        }
    }
    never_go_back(sights)?;
    have_an_order(sights)
}

/// The law holds in one sight.
fn keeps_law(law: Law, sight: &Sight) -> Result<(), String> {
    let pairs = || sight.numbers.windows(2);
    let kept = match (law, sight.manner) {
        (Law::Free, _) => true,
        (Law::Equal, Manner::AtOnce) => pairs().all(|pair| pair[0] == pair[1]),
        // What is read later is not older.
        (Law::Equal, Manner::Backwards) | (Law::Descending, _) => {
            pairs().all(|pair| pair[1] <= pair[0])
        }
    };
    if kept { Ok(()) } else { Err(format!("the numbers must be {law:?}:\n{}", shown(&[sight]))) }
}

/// Nothing is older than what was written before the look.
fn is_current(written: &[Written], sight: &Sight) -> Result<(), String> {
    for (place, &number) in sight.numbers.iter().enumerate() {
        let here = written.iter().filter(|w| w.place == place);
        let before = here.filter(|w| w.returned < sight.called).map(|w| w.number).max();
        let before = before.unwrap_or(0);
        if number < before {
            let text = format!("{before} was written at place {place} before:");
            return Err(format!("{text}\n{}", shown(&[sight])));
        }
    }
    Ok(())
}

/// Nothing is newer than what was being written.
fn is_written(written: &[Written], sight: &Sight) -> Result<(), String> {
    for (place, &number) in sight.numbers.iter().enumerate() {
        let here = written.iter().filter(|w| w.place == place);
        let until = here.filter(|w| w.called <= sight.returned).map(|w| w.number).max();
        if until.unwrap_or(0) < number {
            let text = format!("{number} was not written at place {place} yet:");
            return Err(format!("{text}\n{}", shown(&[sight])));
        }
    }
    Ok(())
}

/// After a client has seen something, a client that looks later sees nothing older.
fn never_go_back(sights: &[Sight]) -> Result<(), String> {
    let mut by_call: Vec<&Sight> = sights.iter().collect();
    by_call.sort_by_key(|sight| sight.called);
    let mut by_return = by_call.clone();
    by_return.sort_by_key(|sight| sight.returned);
    let mut ended = by_return.into_iter().peekable();
    // For each place, who saw the greatest number so far.
    let mut greatest: Vec<Option<&Sight>> = Vec::new();
    for sight in by_call {
        while let Some(earlier) = ended.next_if(|earlier| earlier.returned < sight.called) {
            greatest.resize(earlier.numbers.len(), None);
            for (place, seen) in greatest.iter_mut().enumerate() {
                if seen.is_none_or(|seen| seen.numbers[place] < earlier.numbers[place]) {
                    *seen = Some(earlier);
                }
            }
        }
        for (place, seen) in greatest.iter().enumerate() {
            if let Some(seen) = seen
                && sight.numbers[place] < seen.numbers[place]
            {
                return Err(format!("place {place} went back:\n{}", shown(&[seen, sight])));
            }
        }
    }
    Ok(())
}

/// Of any two sights at once, one has nothing newer than the other.
fn have_an_order(sights: &[Sight]) -> Result<(), String> {
    let at_once = sights.iter().filter(|sight| sight.manner == Manner::AtOnce);
    let mut order: Vec<&Sight> = at_once.collect();
    order.sort_by_key(|sight| sight.numbers.iter().sum::<u64>());
    for pair in order.windows(2) {
        let mut numbers = pair[0].numbers.iter().zip(&pair[1].numbers);
        if numbers.any(|(earlier, later)| later < earlier) {
            return Err(format!("neither is the earlier one:\n{}", shown(pair)));
        }
    }
    Ok(())
}

fn shown(sights: &[&Sight]) -> String {
    let mut text = String::new();
    for Sight { reader, manner, called, returned, numbers } in sights {
        writeln!(text, "    client {reader} {manner:?} {called} .. {returned} ns: {numbers:?}")
            .expect("a string takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(place: usize, number: u64, called: u64, returned: u64) -> Written {
        Written { place, number, called, returned }
    }

    fn sight(manner: Manner, called: u64, returned: u64, numbers: [u64; 2]) -> Sight {
        Sight { reader: 0, manner, called, returned, numbers: numbers.to_vec() }
    }

    use Manner::{AtOnce, Backwards};

    #[test]
    fn half_of_a_group_is_caught() {
        let both = [written(0, 1, 0, 9), written(1, 1, 0, 9)];
        let seen =
            |numbers| check(Place::Primary, Law::Equal, &both, &[sight(AtOnce, 2, 3, numbers)]);
        assert_eq!((seen([0, 0]), seen([1, 1])), (Ok(()), Ok(())));
        assert!(seen([1, 0]).is_err());
        assert!(seen([0, 1]).is_err());
        // One after the other, the first key is looked at later.
        let looked =
            |numbers| check(Place::Primary, Law::Equal, &both, &[sight(Backwards, 2, 3, numbers)]);
        assert_eq!(looked([1, 0]), Ok(()));
        assert!(looked([0, 1]).is_err());
    }

    #[test]
    fn a_reordered_pipeline_is_caught() {
        let pipeline = [written(0, 1, 0, 8), written(1, 1, 0, 9)];
        let seen = |manner, numbers| {
            check(Place::Primary, Law::Descending, &pipeline, &[sight(manner, 2, 3, numbers)])
        };
        assert_eq!(seen(AtOnce, [1, 0]), Ok(()));
        assert!(seen(AtOnce, [0, 1]).is_err());
        assert!(seen(Backwards, [0, 1]).is_err());
        let half = sight(AtOnce, 2, 3, [0, 1]);
        assert_eq!(check(Place::Replica, Law::Descending, &pipeline, &[half]), Ok(()));
    }

    #[test]
    fn a_stale_or_premature_number_is_caught() {
        let writes = [written(0, 1, 1, 2), written(0, 2, 3, 4), written(0, 3, 9, 10)];
        let seen =
            |number| check(Place::Primary, Law::Free, &writes, &[sight(AtOnce, 5, 6, [number, 0])]);
        assert_eq!(seen(2), Ok(()));
        assert!(seen(1).is_err());
        assert!(seen(3).is_err());
        let at_replica = |number| {
            let seen = sight(AtOnce, 5, 6, [number, 0]);
            check(Place::Replica, Law::Free, &writes, &[seen])
        };
        assert_eq!((at_replica(0), at_replica(1)), (Ok(()), Ok(())));
        assert!(at_replica(3).is_err());
    }

    #[test]
    fn going_back_is_caught() {
        let writes = [written(0, 1, 0, 99)];
        let seen = |first, second| {
            let first = sight(AtOnce, 1, 2, [first, 0]);
            check(Place::Primary, Law::Free, &writes, &[sight(AtOnce, 3, 4, [second, 0]), first])
        };
        assert_eq!((seen(0, 1), seen(1, 1)), (Ok(()), Ok(())));
        assert!(seen(1, 0).is_err());
    }

    #[test]
    fn two_orders_at_once_are_caught() {
        let writes = [written(0, 1, 0, 99), written(1, 1, 0, 99)];
        let seen = |one, other| {
            check(
                Place::Primary,
                Law::Free,
                &writes,
                &[sight(AtOnce, 1, 9, one), sight(AtOnce, 1, 9, other)],
            )
        };
        assert_eq!((seen([1, 0], [1, 1]), seen([0, 0], [0, 1])), (Ok(()), Ok(())));
        assert!(seen([1, 0], [0, 1]).is_err());
    }
}
