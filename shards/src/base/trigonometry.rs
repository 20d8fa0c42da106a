//! Sines and the like. The thread that runs a shard may give it those of the machine, so that the
//! last digit of a distance is that of other programs there.

/// Functions of angles in radians.
#[derive(Clone, Copy, Debug)]
pub struct Trigonometry {
    /// The sine.
    pub sin: fn(f64) -> f64,
    /// The cosine.
    pub cos: fn(f64) -> f64,
    /// The angle of a sine.
    pub asin: fn(f64) -> f64,
    /// The angle of `y` and `x`, in this order.
    pub atan2: fn(f64, f64) -> f64,
}

impl Default for Trigonometry {
    /// The same on every machine.
    fn default() -> Self {
        Self { sin: libm::sin, cos: libm::cos, asin: libm::asin, atan2: libm::atan2 }
    }
}
