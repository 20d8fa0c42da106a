//! What the many forms of a search ask for.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::shape::{Outline, Shape, unit_m};
use crate::base::geohash::Place;
use crate::base::number::parse_i64;
use crate::base::spelling::Spelling;
use crate::base::trigonometry::Trigonometry;
use crate::resp::error::Error;
use crate::types::sorted_set::SortedSet;

/// The command that searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// GEORADIUS.
    Radius,
    /// GEORADIUSBYMEMBER.
    RadiusByMember,
    /// GEORADIUS_RO.
    RadiusReadOnly,
    /// GEORADIUSBYMEMBER_RO.
    RadiusByMemberReadOnly,
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    SearchStore,
}

impl Form {
    /// Whether options say where to search.
    const fn is_search(self) -> bool {
        matches!(self, Self::Search | Self::SearchStore)
    }

    /// The argument that is the key to search in.
    pub(super) const fn source(self) -> usize {
        if matches!(self, Self::SearchStore) { 2 } else { 1 }
    }
}

/// Which of the members found come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The nearest.
    Ascending,
    /// The farthest.
    Descending,
}

/// A search as it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// None if its center is a member of a missing key.
    pub(super) shape: Option<Shape>,
    /// Metres of the unit in which distances are shown.
    pub(super) unit_m: f64,
    pub(super) with_distance: bool,
    pub(super) with_score: bool,
    pub(super) with_place: bool,
    /// How many members at most.
    pub(super) count: Option<usize>,
    /// Whether any that many will do.
    pub(super) any: bool,
    pub(super) order: Option<Order>,
    /// The argument that is the key to store in.
    pub(super) store: Option<usize>,
    /// Whether distances are stored, rather than places.
    pub(super) stores_distances: bool,
}

/// The request while its options are read.
#[derive(Debug, Default)]
struct Options {
    from: Option<From>,
    by: Option<(By, f64)>,
    with_distance: bool,
    with_score: bool,
    with_place: bool,
    count: Option<usize>,
    any: bool,
    order: Option<Order>,
    store: Option<usize>,
    stores_distances: bool,
    spelling: Spelling,
}

/// Where the center is. A member of a missing key is nowhere, and need not be anywhere.
#[derive(Clone, Copy, Debug)]
enum From {
    Member(Option<Place>),
    Place(Place),
}

#[derive(Debug)]
enum By {
    Outline(Outline),
    Polygon(Vec<Place>),
}

impl Options {
    /// Reads an option and what belongs to it; returns how many arguments that is.
    fn take(
        &mut self,
        args: &[&[u8]],
        at: usize,
        form: Form,
        set: Option<&SortedSet>,
    ) -> Result<usize, Error> {
        let (name, rest) = (args[at], &args[at + 1..]);
        let is = |option: &str| name.eq_ignore_ascii_case(option.as_bytes());
        let flags = [
            ("WITHDIST", &mut self.with_distance),
            ("WITHHASH", &mut self.with_score),
            ("WITHCOORD", &mut self.with_place),
            ("ANY", &mut self.any),
        ];
        if let Some((_, flag)) = flags.into_iter().find(|(name, _)| is(name)) {
            *flag = true;
            return Ok(1);
        }
        if is("ASC") || is("DESC") {
            self.order = Some(if is("ASC") { Order::Ascending } else { Order::Descending });
            return Ok(1);
        }
        if is("COUNT")
            && let [count, ..] = rest
        {
            let count = parse_i64(count).ok_or(Error::NotInteger)?;
            let count = usize::try_from(count).ok().filter(|count| 0 < *count);
            self.count = Some(count.ok_or(Error::Text("ERR COUNT must be > 0"))?);
            return Ok(2);
        }
        if form.is_search() {
            return self.take_shape(name, rest, form, set);
        }
        let stores = matches!(form, Form::Radius | Form::RadiusByMember);
        if stores && !rest.is_empty() && (is("STORE") || is("STOREDIST")) {
            self.store = Some(at + 1);
            self.stores_distances = is("STOREDIST");
            return Ok(2);
        }
        Err(Error::Syntax)
    }

    /// As `take`, of what only GEOSEARCH and GEOSEARCHSTORE have.
    fn take_shape(
        &mut self,
        name: &[u8],
        rest: &[&[u8]],
        form: Form,
        set: Option<&SortedSet>,
    ) -> Result<usize, Error> {
        let is = |option: &str| name.eq_ignore_ascii_case(option.as_bytes());
        let has_polygon = matches!(self.by, Some((By::Polygon(_), _)));
        match (&self.from, &self.by, rest) {
            _ if form == Form::SearchStore && is("STOREDIST") => {
                self.stores_distances = true;
                Ok(1)
            }
            (None | Some(From::Member(_)), _, [member, ..]) if is("FROMMEMBER") && !has_polygon => {
                self.from = Some(From::Member(place_of(member, set)?));
                Ok(2)
            }
            (None | Some(From::Place(_)), _, [longitude, latitude, ..])
                if is("FROMLONLAT") && !has_polygon =>
            {
                self.from = Some(From::Place(place(longitude, latitude, self.spelling)?));
                Ok(3)
            }
            (_, None | Some((By::Outline(Outline::Circle { .. }), _)), [radius, unit, ..])
                if is("BYRADIUS") =>
            {
                self.by = Some(circle(radius, unit, self.spelling)?);
                Ok(3)
            }
            (
                _,
                None | Some((By::Outline(Outline::Rectangle { .. }), _)),
                [width, height, unit, ..],
            ) if is("BYBOX") => {
                self.by = Some(rectangle(width, height, unit, self.spelling)?);
                Ok(4)
            }
            (None, None | Some((By::Polygon(_), _)), [count, corners @ ..]) if is("BYPOLYGON") => {
                let corners = polygon(count, corners, self.spelling)?;
                let taken = 2 + 2 * corners.len();
                self.by = Some((By::Polygon(corners), 1.0));
                Ok(taken)
            }
            _ => Err(Error::Syntax),
        }
    }

    fn check(&self, form: Form, name: &[u8]) -> Result<(), Error> {
        let shows = self.with_distance || self.with_score || self.with_place;
        if shows && (form == Form::SearchStore || self.store.is_some()) {
            return Err(Error::Text(match form {
                Form::SearchStore => {
                    "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD \
                     options"
                }
                _ => {
                    "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and \
                     WITHCOORD options"
                }
            }));
        }
        let missing = if self.from.is_none() && !matches!(self.by, Some((By::Polygon(_), _))) {
            "FROMMEMBER or FROMLONLAT"
        } else if self.by.is_none() {
            "BYRADIUS, BYBOX and BYPOLYGON"
        } else {
            if self.any && self.count.is_none() {
                return Err(Error::Text("ERR the ANY argument requires COUNT argument"));
            }
            return Ok(());
        };
        let name = String::from_utf8_lossy(name);
        Err(Error::Owned(format!("ERR exactly one of {missing} can be specified for {name}")))
    }
}

impl Request {
    /// Reads the arguments of a command that searches in `set`.
    pub(super) fn parse(
        args: &[&[u8]],
        form: Form,
        set: Option<&SortedSet>,
        of: Trigonometry,
        spelling: Spelling,
    ) -> Result<Self, Error> {
        let mut options = Options { spelling, ..Options::default() };
        let mut at = match form {
            Form::Radius | Form::RadiusReadOnly => {
                options.from = Some(From::Place(place(args[2], args[3], spelling)?));
                options.by = Some(circle(args[4], args[5], spelling)?);
                6
            }
            Form::RadiusByMember | Form::RadiusByMemberReadOnly => {
                options.from = Some(From::Member(place_of(args[2], set)?));
                // If there is nothing to search in, the command ignores the radius, as in Valkey.
                let (radius, unit) = if set.is_some() { (args[3], args[4]) } else { NOWHERE };
                options.by = Some(circle(radius, unit, spelling)?);
                5
            }
            Form::Search => 2,
            Form::SearchStore => 3,
        };
        while at < args.len() {
            at += options.take(args, at, form, set)?;
        }
        options.check(form, args[0])?;
        let (by, unit_m) = options.by.expect("it was checked that there is one");
        let center = match options.from {
            Some(From::Member(place)) => place,
            Some(From::Place(place)) => Some(place),
            None => None,
        };
        let shape = match (by, center) {
            (By::Polygon(corners), _) => Some(Shape::polygon(corners, of)),
            (By::Outline(outline), Some(center)) => Some(Shape { center, outline, of }),
            (By::Outline(_), None) => None,
        };
        let Options { with_distance, with_score, with_place, count, any, mut order, .. } = options;
        if count.is_some() && !any {
            // Those that are left out should be the farthest.
            order = order.or(Some(Order::Ascending));
        }
        let store = if form == Form::SearchStore { Some(1) } else { options.store };
        Ok(Self {
            shape,
            unit_m,
            with_distance,
            with_score,
            with_place,
            count,
            any,
            order,
            store,
            stores_distances: options.stores_distances,
        })
    }
}

/// Radius and unit of a search that finds nothing.
const NOWHERE: (&[u8], &[u8]) = (b"0", b"m");

/// A place in degrees.
pub(super) fn place(longitude: &[u8], latitude: &[u8], spelling: Spelling) -> Result<Place, Error> {
    let longitude = spelling.read(longitude).ok_or(Error::NotFloat)?;
    let latitude = spelling.read(latitude).ok_or(Error::NotFloat)?;
    Place::new(longitude, latitude).ok_or_else(|| {
        Error::Owned(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"))
    })
}

/// The place of a member, which must be there if the key is.
fn place_of(member: &[u8], set: Option<&SortedSet>) -> Result<Option<Place>, Error> {
    let Some(set) = set else { return Ok(None) };
    let score = set.score(member);
    let score = score.ok_or_else(|| Error::naming("ERR member ", member, " does not exist"))?;
    Ok(Some(Place::of_score(score)))
}

fn circle(radius: &[u8], unit: &[u8], spelling: Spelling) -> Result<(By, f64), Error> {
    let radius = spelling.read(radius).ok_or(Error::Text("ERR need numeric radius"))?;
    if radius < 0.0 {
        return Err(Error::Text("ERR radius cannot be negative"));
    }
    let unit_m = unit_m(unit)?;
    Ok((By::Outline(Outline::Circle { radius_m: radius * unit_m }), unit_m))
}

fn rectangle(
    width: &[u8],
    height: &[u8],
    unit: &[u8],
    spelling: Spelling,
) -> Result<(By, f64), Error> {
    let width = spelling.read(width).ok_or(Error::Text("ERR need numeric width"))?;
    let height = spelling.read(height).ok_or(Error::Text("ERR need numeric height"))?;
    if width < 0.0 || height < 0.0 {
        return Err(Error::Text("ERR height or width cannot be negative"));
    }
    let unit_m = unit_m(unit)?;
    let outline = Outline::Rectangle { width_m: width * unit_m, height_m: height * unit_m };
    Ok((By::Outline(outline), unit_m))
}

/// The corners of a polygon: their number and their degrees.
fn polygon(count: &[u8], corners: &[&[u8]], spelling: Spelling) -> Result<Vec<Place>, Error> {
    let count = parse_i64(count).and_then(|count| i32::try_from(count).ok());
    let count = count.ok_or(Error::Text("ERR invalid number of vertices"))?;
    let count = usize::try_from(count).ok().filter(|count| 3 <= *count);
    let corners = count.and_then(|count| corners.get(..2 * count));
    let too_few = Error::Text("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices");
    let corners = corners.ok_or(too_few)?.chunks_exact(2);
    corners.map(|corner| place(corner[0], corner[1], spelling)).collect()
}
