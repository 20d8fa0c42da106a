//! Places on earth as numbers: longitude and latitude halved again and again, the bits in turn.
//! All figures are Valkey's, down to the last bit, so that scores and coordinates are.
//!
//! ```text
//! bits   ... lon lat lon lat: the lowest belong to the last of `steps` halvings
//! ```

#![expect(clippy::cast_possible_truncation, reason = "numbers are cut into their bits")]

use libm::sqrt;

use crate::base::trigonometry::Trigonometry;

/// Radius of the earth.
pub const EARTH_RADIUS_M: f64 = 6_372_797.560_856;
/// The longitude farthest from zero.
pub const LONGITUDE_MAX: f64 = 180.0;
/// The latitude farthest from zero: beyond it the Mercator projection has no squares.
pub const LATITUDE_MAX: f64 = 85.051_128_78;
/// Halvings of a place's score.
pub const STEPS_MAX: u32 = 26;

const ALPHABET: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
/// Bytes of a place as text.
pub const TEXT_BYTES: usize = 11;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// From west to east.
    pub longitude: f64,
    /// From south to north.
    pub latitude: f64,
}

impl Place {
    /// A place, if there is one.
    pub fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let exists = (-LONGITUDE_MAX..=LONGITUDE_MAX).contains(&longitude)
            && (-LATITUDE_MAX..=LATITUDE_MAX).contains(&latitude);
        exists.then_some(Self { longitude, latitude })
    }

    /// The place that a score stands for: any score is taken for one.
    pub fn of_score(score: f64) -> Self {
        let area = Cell { bits: score_bits(score), steps: STEPS_MAX }.area();
        let middle = |low: f64, high: f64, max: f64| ((low + high) / 2.0).min(max).max(-max);
        Self {
            longitude: middle(area.west, area.east, LONGITUDE_MAX),
            latitude: middle(area.south, area.north, LATITUDE_MAX),
        }
    }

    /// Its score.
    pub fn score(self) -> f64 {
        Cell::of(self, STEPS_MAX).bits as f64
    }

    /// Its name, as geohash.org has it: the last letter is always 0.
    pub fn text(self) -> [u8; TEXT_BYTES] {
        let bits = halved(self, STEPS_MAX, 90.0);
        core::array::from_fn(|at| {
            let at = at as u32;
            let index = if at < 10 { bits >> (52 - 5 * (at + 1)) & 31 } else { 0 };
            ALPHABET[index as usize]
        })
    }

    /// Metres from here to there, on a sphere.
    pub fn distance_m(self, there: Self, of: &Trigonometry) -> f64 {
        let Trigonometry { sin, cos, asin, .. } = of;
        let east = sin((radians(there.longitude) - radians(self.longitude)) / 2.0);
        if east == 0.0 {
            return self.latitude_distance_m(there);
        }
        let (here_rad, there_rad) = (radians(self.latitude), radians(there.latitude));
        let north = sin((there_rad - here_rad) / 2.0);
        let a = north * north + cos(here_rad) * cos(there_rad) * east * east;
        2.0 * EARTH_RADIUS_M * asin(sqrt(a))
    }

    /// Metres from the latitude here to the latitude there.
    pub fn latitude_distance_m(self, there: Self) -> f64 {
        EARTH_RADIUS_M * (radians(there.latitude) - radians(self.latitude)).abs()
    }
}

/// Degrees in radians.
pub fn radians(degrees: f64) -> f64 {
    degrees * (core::f64::consts::PI / 180.0)
}

/// Radians in degrees.
pub fn degrees(radians: f64) -> f64 {
    radians / (core::f64::consts::PI / 180.0)
}

/// What is left of all places after some halvings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Which of them.
    pub bits: u64,
    /// How many halvings.
    pub steps: u32,
}

/// The sides of a cell, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// The lowest longitude.
    pub west: f64,
    /// The highest longitude.
    pub east: f64,
    /// The lowest latitude.
    pub south: f64,
    /// The highest latitude.
    pub north: f64,
}

impl Cell {
    /// The cell in which a place lies.
    pub fn of(place: Place, steps: u32) -> Self {
        Self { bits: halved(place, steps, LATITUDE_MAX), steps }
    }

    /// Its sides.
    pub fn area(self) -> Area {
        let count = (1u64 << self.steps) as f64;
        let side = |number: u32, max: f64| -max + f64::from(number) / count * (max - -max);
        let (longitude, latitude) = (gathered(self.bits >> 1), gathered(self.bits));
        Area {
            west: side(longitude, LONGITUDE_MAX),
            east: side(longitude.wrapping_add(1), LONGITUDE_MAX),
            south: side(latitude, LATITUDE_MAX),
            north: side(latitude.wrapping_add(1), LATITUDE_MAX),
        }
    }

    /// The cell some columns to the east and rows to the north, around the world.
    pub fn neighbor(self, columns: i32, rows: i32) -> Self {
        let moved = |bits: u64, by: i32| {
            let mask = (1u32 << self.steps) - 1;
            // What does not move keeps bits that lie outside.
            let number = gathered(bits);
            spread(if by == 0 { number } else { number.wrapping_add_signed(by) & mask })
        };
        let bits = moved(self.bits >> 1, columns) << 1 | moved(self.bits, rows);
        Self { bits, ..self }
    }

    /// The scores of its places: from the first to below the second.
    pub fn scores(self) -> (f64, f64) {
        let shift = 52 - 2 * self.steps;
        ((self.bits << shift) as f64, (self.bits.wrapping_add(1) << shift) as f64)
    }
}

/// The bits of a place, latitudes going up to `latitude_max`.
fn halved(place: Place, steps: u32, latitude_max: f64) -> u64 {
    let count = (1u64 << steps) as f64;
    let number = |degrees: f64, max: f64| ((degrees - -max) / (max - -max) * count) as u32;
    spread(number(place.latitude, latitude_max))
        | spread(number(place.longitude, LONGITUDE_MAX)) << 1
}

/// Puts a zero before each bit.
fn spread(number: u32) -> u64 {
    const MASKS: [(u32, u64); 5] = [
        (16, 0x0000_FFFF_0000_FFFF),
        (8, 0x00FF_00FF_00FF_00FF),
        (4, 0x0F0F_0F0F_0F0F_0F0F),
        (2, 0x3333_3333_3333_3333),
        (1, 0x5555_5555_5555_5555),
    ];
    MASKS.iter().fold(number.into(), |bits, (shift, mask)| (bits | bits << shift) & mask)
}

/// Every second bit, from the lowest on.
fn gathered(bits: u64) -> u32 {
    const MASKS: [(u32, u64); 5] = [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0F0F_0F0F_0F0F_0F0F),
        (4, 0x00FF_00FF_00FF_00FF),
        (8, 0x0000_FFFF_0000_FFFF),
        (16, 0x0000_0000_FFFF_FFFF),
    ];
    let bits = bits & 0x5555_5555_5555_5555;
    MASKS.iter().fold(bits, |bits, (shift, mask)| (bits | bits >> shift) & mask) as u32
}

/// A score as bits, as a C compiler for x86-64 converts what is no such number.
fn score_bits(score: f64) -> u64 {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    if score.is_nan() || 2.0 * TWO_TO_63 <= score {
        0
    } else if TWO_TO_63 <= score {
        score as u64
    } else if -TWO_TO_63 <= score {
        (score as i64).cast_unsigned()
    } else {
        1 << 63
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PALERMO: Place = Place { longitude: 13.361389, latitude: 38.115556 };
    const CATANIA: Place = Place { longitude: 15.087269, latitude: 37.502669 };

    /// As a Valkey 9.1.2 has them.
    #[test]
    fn scores_names_and_distances_are_those_of_valkey() {
        assert_eq!(PALERMO.score(), 3_479_099_956_230_698.0);
        assert_eq!(CATANIA.score(), 3_479_447_370_796_909.0);
        assert_eq!(Place::new(180.0, 85.05112878).unwrap().score(), 13_510_798_882_111_488.0);
        assert_eq!(Place::new(-180.0, -85.05112878).unwrap().score(), 0.0);
        assert_eq!(&Place::of_score(CATANIA.score()).text(), b"sqdtr74hyu0");
        let (here, there) = (PALERMO.score(), CATANIA.score());
        let (here, there) = (Place::of_score(here), Place::of_score(there));
        let distance = here.distance_m(there, &Trigonometry::default());
        assert_eq!(alloc::format!("{distance:.4}"), "166274.1516");
    }

    #[test]
    fn any_score_is_a_place() {
        for (score, text) in [
            (1.5, b"00bh0hbj210"),
            (-3.0, b"bp05b5048p0"),
            (1e20, b"00bh0hbj200"),
            (4_503_599_627_370_496.0, b"bp05b5048p0"),
            (f64::INFINITY, b"00bh0hbj200"),
        ] {
            assert_eq!(&Place::of_score(score).text(), text, "{score}");
        }
        Place::of_score(f64::NEG_INFINITY);
        Place::of_score(1e19);
    }

    #[test]
    fn places_have_limits() {
        assert!(Place::new(180.0, 85.0).is_some() && Place::new(180.1, 0.0).is_none());
        assert!(Place::new(0.0, -85.06).is_none() && Place::new(f64::NAN, 0.0).is_none());
    }

    proptest! {
        #[test]
        fn bits_gather_as_they_spread(number: u32, noise: u64) {
            let noise = noise & 0xAAAA_AAAA_AAAA_AAAA;
            prop_assert_eq!(gathered(spread(number) | noise), number);
        }

        #[test]
        fn a_place_lies_in_its_cell_and_comes_back(
            longitude in -180.0..180.0, latitude in -85.0..85.0, steps in 1u32..=26,
        ) {
            let place = Place::new(longitude, latitude).unwrap();
            let (cell, area) = (Cell::of(place, steps), Cell::of(place, steps).area());
            prop_assert!(area.west <= longitude && longitude <= area.east);
            prop_assert!(area.south <= latitude && latitude <= area.north);
            let (low, high) = cell.scores();
            prop_assert!(low <= place.score() && place.score() < high);
            let back = Place::of_score(place.score());
            prop_assert!(back.distance_m(place, &Trigonometry::default()) < 1.0);
            prop_assert_eq!(back.score(), place.score());
            for (columns, rows) in [(1, 0), (0, 1), (1, 1), (1, -1)] {
                prop_assert_eq!(cell.neighbor(columns, rows).neighbor(-columns, -rows), cell);
            }
            let beside = cell.neighbor(1, 0).area();
            prop_assert!(beside.west == area.east || beside.west == -180.0);
        }
    }
}
