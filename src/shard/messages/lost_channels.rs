//! Subscriptions to shard channels end when their slots leave the node; without a bus also when the
//! node becomes a replica.

use shards::base::slot::Slot;
use shards::resp::reply::Replies;

use crate::pubsub::interest::Changes;
use crate::pubsub::kind::Kind;
use crate::pubsub::messages::confirm;
use crate::pubsub::registry::Subscriber;
use crate::pubsub::subscriptions::Name;
use crate::reactor::ring::Token;
use crate::shard::core::Core;

impl Core {
    /// Ends what clients here listen to whose slots are elsewhere now, and tells them.
    pub(crate) fn leave_lost_channels(&mut self) {
        let Some(ownership) = self.node.cluster.as_deref() else { return };
        let is_lost = |name: &Name| !ownership.has_channels(Slot::of(name));
        let names = self.pubsub.registry.names(Kind::ShardChannel);
        let lost: Vec<(Name, Vec<Subscriber>)> = names
            .filter(|(name, _)| is_lost(name))
            .map(|(name, subscribers)| (name.clone(), subscribers.iter().copied().collect()))
            .collect();
        let mut changes = Vec::new();
        for (name, subscribers) in lost {
            for Subscriber(bits) in subscribers {
                self.leave_channel(Token::from_bits(bits), &name, &mut changes);
            }
        }
        self.tell_of_ends(changes);
    }

    fn leave_channel(&mut self, token: Token, name: &Name, changes: &mut Changes) {
        let Some(mut client) = self.take_client(token) else { return };
        self.end_subscription(&mut client, Kind::ShardChannel, name, changes);
        let left = client.subscriptions.take().filter(|subscriptions| !subscriptions.is_empty());
        client.subscriptions = left;
        let count = client.listens_to(Kind::ShardChannel);
        let protocol = client.session.protocol;
        // Like a message: behind the replies to what begins subscriptions.
        let out = if client.pushes.wait { &mut client.pushes.held } else { &mut client.out };
        let word = Kind::ShardChannel.unsubscribed();
        confirm(&mut Replies::new(out, protocol), word, Some(name), count);
        self.clients.mark_dirty(&mut client);
        self.put_client(client);
    }
}
