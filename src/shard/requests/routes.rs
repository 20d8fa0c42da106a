//! Where a request runs: by its keys alone.

use shards::base::hash::slot_of_hash;
use shards::base::number::parse_u64;
use shards::commands::spec::{Flag, Spread};
use shards::encodings::table::Position;

use crate::clients::client::Client;
use crate::cluster::ownership::{Ownership, Place};
use crate::routing::call::{Call, KeyShape, Run};
use crate::routing::keys::{falls_apart, key_places};
use crate::routing::request::Route;
use crate::shard::core::Core;
use crate::transactions::transaction::Footprint;

/// It is looked at again at the client's home.
const HOME: (Route, (u32, u64)) = (Route::Home, (0, 0));

impl Core {
    /// Where a request of this client runs, as far as can be told without running what is before
    /// it. `Home` is always right: there it is looked at again.
    #[inline]
    pub(crate) fn route(
        &self,
        client: &Client,
        call: Option<&Call>,
        args: &[&[u8]],
    ) -> (Route, (u32, u64)) {
        match call {
            Some(call) if !client.guards.meets(call.guards) && call.accepts(args) => {
                let (route, first_key) = self.client_route(call, args);
                match &self.node.cluster {
                    Some(ownership) if !is_plain(ownership, client, call, first_key) => HOME,
                    Some(_) | None => (route, first_key),
                }
            }
            Some(_) | None => HOME,
        }
    }

    /// Where a valid request of a client runs if nothing about the client, or about the cluster,
    /// stands in the way.
    #[inline]
    pub(crate) fn client_route(&self, call: &Call, args: &[&[u8]]) -> (Route, (u32, u64)) {
        let Run::Engine(command) = call.run else { return HOME };
        match call.keys {
            KeyShape::One(at) => {
                let Some(key) = args.get(at) else { return HOME };
                let hash = self.node.seed.key_hash(key);
                let place = u32::try_from(at).expect("a key's place is small");
                (Route::Shard(self.node.slots.owner(hash)), (place, hash))
            }
            KeyShape::Several if call.spec.spread == Spread::HandOver => HOME,
            KeyShape::Several if self.node.cluster.is_some() => self.route_of_slot(call, args),
            KeyShape::Several => {
                let footprint = self.footprint_of(call, args);
                match *footprint.shards(&self.node.slots).as_slice() {
                    [only] => (Route::Shard(only), (0, 0)),
                    [] => (Route::Shard(0), (0, 0)),
                    _ if falls_apart(call.spec, args) => (Route::Parts, (0, 0)),
                    _ => HOME,
                }
            }
            KeyShape::None => match command.spec.spread {
                Spread::Anywhere | Spread::Gather => (Route::Anywhere, (0, 0)),
                // Keys that are claimed may be on loan: a walk waits for them.
                Spread::Cursor if 1 < self.node.slots.shards() || !self.claims.idle() => {
                    (Route::Scan, (0, 0))
                }
                Spread::Cursor => (Route::Anywhere, (0, 0)),
                Spread::Split(_) | Spread::Everywhere(_) | Spread::HandOver => HOME,
            },
        }
    }

    /// Where a request on several keys runs, all of which are of one slot. If they are not, that
    /// is for its home to say.
    fn route_of_slot(&self, call: &Call, args: &[&[u8]]) -> (Route, (u32, u64)) {
        let mut first = None;
        for place in key_places(call.spec.keys, args) {
            let hash = self.node.seed.key_hash(args[place]);
            let (_, first_hash) = *first.get_or_insert((place, hash));
            if slot_of_hash(first_hash) != slot_of_hash(hash) {
                return HOME;
            }
        }
        let Some((place, hash)) = first else { return (Route::Shard(0), (0, 0)) };
        let place = u32::try_from(place).expect("arguments are few");
        (Route::Shard(self.node.slots.owner(hash)), (place, hash))
    }

    pub(crate) fn footprint_of(&self, call: &Call, args: &[&[u8]]) -> Footprint {
        let mut footprint = Footprint::default();
        footprint.add_call(&self.node.slots, call, args, |key| self.node.seed.key_hash(key));
        footprint
    }

    /// The shard that owns the slot in a SCAN cursor; any shard can refuse an invalid one.
    pub(crate) fn cursor_owner(&self, args: &[&[u8]]) -> u16 {
        self.slot_owner(args.get(1).and_then(|arg| parse_u64(arg)).unwrap_or(0))
    }

    /// The shard that owns the slot in a cursor.
    pub(crate) fn slot_owner(&self, cursor: u64) -> u16 {
        self.node.slots.owner(u64::from(Position(cursor).slot().number()) << 50)
    }
}

/// Whether it is plain that a request with this first key runs at this node. As ownership changes
/// between turns, that is final for what runs in this turn on this shard.
#[inline]
fn is_plain(
    ownership: &Ownership,
    client: &Client,
    call: &Call,
    (place, hash): (u32, u64),
) -> bool {
    if place == 0 || ownership.serves(slot_of_hash(hash)) {
        return true;
    }
    let reads = client.session.reads_replicas && !call.spec.flags.has(Flag::Write);
    reads && ownership.is_ok && ownership.place(slot_of_hash(hash)) == Place::AtPrimary
}
