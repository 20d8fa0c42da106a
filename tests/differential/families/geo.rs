//! Places: sorted sets whose scores are cells of a grid.

use super::{Family, Line, Role, exact};

pub const GEO: Family = Family { role: Role::Values, lines: LINES };

// Without an order the places of a reply come cell by cell, which is part of what is compared.
const LINES: &[Line] = &[
    exact("GEOADD key {[NX|XX] [CH]} (longitude latitude member)..."),
    exact("GEOADD key (longitude latitude member)..."),
    exact("GEODIST key member member [unit]"),
    exact("GEOHASH key member..."),
    exact("GEOPOS key member..."),
    exact(
        "GEORADIUS key longitude latitude radius unit {[WITHCOORD] [WITHDIST] [WITHHASH] \
         [COUNT count|COUNT count ANY] [ASC|DESC] [STORE key|STOREDIST@8.0 key] [STORE key]}",
    ),
    exact(
        "GEORADIUSBYMEMBER key member radius unit {[WITHCOORD] [WITHDIST] [WITHHASH] \
         [COUNT count|COUNT count ANY] [ASC|DESC] [STORE key|STOREDIST@8.0 key]}",
    ),
    exact(
        "GEORADIUSBYMEMBER_RO key member radius unit {[WITHCOORD] [WITHDIST] [WITHHASH] \
         [COUNT count] [ASC|DESC]}",
    ),
    exact(
        "GEORADIUS_RO key longitude latitude radius unit {[WITHCOORD] [WITHDIST] [WITHHASH] \
         [COUNT count] [ASC|DESC]}",
    ),
    exact(
        "GEOSEARCH key {(FROMMEMBER member|FROMLONLAT longitude latitude) \
         (BYRADIUS radius unit|BYBOX radius radius unit) [ASC|DESC] \
         [COUNT count|COUNT count ANY] [WITHCOORD] [WITHDIST] [WITHHASH]}",
    ),
    exact(
        "GEOSEARCH@9.0 key {BYPOLYGON 3 longitude latitude longitude latitude longitude latitude \
         [ASC|DESC] [COUNT count] [WITHCOORD] [WITHDIST]}",
    ),
    exact(
        "GEOSEARCH@9.0 key (BYPOLYGON int longitude latitude longitude latitude longitude latitude\
         |BYPOLYGON 1 longitude latitude|FROMMEMBER member|BYRADIUS radius unit)",
    ),
    exact(
        "GEOSEARCHSTORE key key {(FROMMEMBER member|FROMLONLAT longitude latitude) \
         (BYRADIUS radius unit|BYBOX radius radius unit) [ASC|DESC] [COUNT count] [STOREDIST@8.0]}",
    ),
];
