//! What a search is within: a circle, a box or a polygon.

use alloc::vec::Vec;
use libm::sqrt;

use crate::base::geohash::{Area, EARTH_RADIUS_M, Place, degrees, radians};
use crate::base::trigonometry::Trigonometry;
use crate::resp::error::Error;

/// What lies within is searched.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// Where distances begin.
    pub(super) center: Place,
    pub(super) outline: Outline,
    /// By which distances are computed.
    pub(super) of: Trigonometry,
}

#[derive(Clone, Debug)]
pub(super) enum Outline {
    Circle {
        radius_m: f64,
    },
    Rectangle {
        width_m: f64,
        height_m: f64,
    },
    /// At least three corners.
    Polygon(Vec<Place>),
}

/// Metres of a unit.
pub(super) fn unit_m(name: &[u8]) -> Result<f64, Error> {
    let units = [("M", 1.0), ("KM", 1000.0), ("FT", 0.3048), ("MI", 1609.34)];
    let unit = units.iter().find(|unit| name.eq_ignore_ascii_case(unit.0.as_bytes()));
    let unknown = Error::Text("ERR unsupported unit provided. please use M, KM, FT, MI");
    unit.map(|unit| unit.1).ok_or(unknown)
}

impl Shape {
    /// A polygon. Distances begin at the middle of its corners, on a sphere.
    pub(super) fn polygon(corners: Vec<Place>, of: Trigonometry) -> Self {
        let Trigonometry { sin, cos, atan2, .. } = of;
        let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
        for corner in &corners {
            let (longitude, latitude) = (radians(corner.longitude), radians(corner.latitude));
            x += cos(latitude) * cos(longitude);
            y += cos(latitude) * sin(longitude);
            z += sin(latitude);
        }
        let longitude = degrees(atan2(y, x));
        let latitude = degrees(atan2(z, sqrt(x * x + y * y)));
        Self { center: Place { longitude, latitude }, outline: Outline::Polygon(corners), of }
    }

    /// Metres from the center, if the place is within the shape.
    pub(super) fn distance_m(&self, place: Place) -> Option<f64> {
        let is_within = match &self.outline {
            Outline::Circle { radius_m } => {
                let distance_m = self.distance_from_center_m(place);
                return (distance_m <= *radius_m).then_some(distance_m);
            }
            Outline::Rectangle { width_m, height_m } => {
                let above = Place { longitude: self.center.longitude, ..place };
                place.latitude_distance_m(self.center) <= height_m / 2.0
                    && place.distance_m(above, &self.of) <= width_m / 2.0
            }
            Outline::Polygon(corners) => is_inside(corners, place),
        };
        is_within.then(|| self.distance_from_center_m(place))
    }

    fn distance_from_center_m(&self, place: Place) -> f64 {
        self.center.distance_m(place, &self.of)
    }

    /// Metres from the center that all of it is within; of a polygon, a box around it.
    pub(super) fn reach_m(&self) -> f64 {
        match &self.outline {
            Outline::Circle { radius_m } => *radius_m,
            Outline::Rectangle { width_m, height_m } => {
                sqrt(width_m / 2.0 * (width_m / 2.0) + height_m / 2.0 * (height_m / 2.0))
            }
            Outline::Polygon(corners) => {
                let Area { west, east, south, north } = around(corners);
                let corners = [(west, south), (east, south), (west, north), (east, north)];
                let corner = |(longitude, latitude)| Place { longitude, latitude };
                corners
                    .map(|it| self.distance_from_center_m(corner(it)))
                    .into_iter()
                    .fold(0.0, f64::max)
            }
        }
    }

    /// The sides of a box around it.
    pub(super) fn bounds(&self) -> Area {
        let Place { longitude, latitude } = self.center;
        let (width_m, height_m) = match &self.outline {
            Outline::Circle { radius_m } => (*radius_m, *radius_m),
            Outline::Rectangle { width_m, height_m } => (width_m / 2.0, height_m / 2.0),
            Outline::Polygon(corners) => return around(corners),
        };
        let to_side = degrees(height_m / EARTH_RADIUS_M);
        // The side that is nearer to the equator is the longer one.
        let edge = if latitude < 0.0 { latitude - to_side } else { latitude + to_side };
        let to_edge = degrees(width_m / EARTH_RADIUS_M / (self.of.cos)(radians(edge)));
        Area {
            west: longitude - to_edge,
            east: longitude + to_edge,
            south: latitude - to_side,
            north: latitude + to_side,
        }
    }
}

fn around(corners: &[Place]) -> Area {
    let longitudes = || corners.iter().map(|corner| corner.longitude);
    let latitudes = || corners.iter().map(|corner| corner.latitude);
    Area {
        west: longitudes().fold(f64::INFINITY, f64::min),
        east: longitudes().fold(f64::NEG_INFINITY, f64::max),
        south: latitudes().fold(f64::INFINITY, f64::min),
        north: latitudes().fold(f64::NEG_INFINITY, f64::max),
    }
}

/// Whether a line from the place to the east crosses the outline an odd number of times.
fn is_inside(corners: &[Place], place: Place) -> bool {
    let before = corners.iter().skip(corners.len() - 1).chain(corners);
    let crosses = |(from, to): &(&Place, &Place)| {
        let spans = (place.latitude < to.latitude) != (place.latitude < from.latitude);
        let slope = (from.longitude - to.longitude) / (from.latitude - to.latitude);
        spans && place.longitude < slope * (place.latitude - to.latitude) + to.longitude
    };
    before.zip(corners).filter(crosses).count() % 2 == 1
}
